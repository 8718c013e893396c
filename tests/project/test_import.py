"""What ``import fastcf`` loads: nothing heavy before a name is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import fastcf
from fastcf.models import FAMILIES


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_import_loads_no_library_before_a_name_is_used():
    heavy = ("numpy", "scipy", "sklearn", "fastcf._cpu", "fastcf._ingest", "fastcf.models.estimator")
    code = f"import sys, fastcf; dir(fastcf); print([name for name in {heavy!r} if name in sys.modules])"
    assert run(code) == "[]"


def test_import_of_every_public_name():
    assert set(fastcf.__all__) <= set(dir(fastcf))
    for name in fastcf.__all__:
        assert getattr(fastcf, name) is not None


def test_import_of_modules_and_names_as_statements():
    imports = "from fastcf import MatrixFactorization, solvers; import fastcf.callbacks"
    assert run(f"{imports}; print(MatrixFactorization(solver=solvers.ALS()))") == "MatrixFactorization(solver=ALS())"


def test_import_of_an_unknown_name_raises():
    code = "import fastcf\ntry:\n    fastcf.Nothing\nexcept AttributeError as error:\n    print(error)"
    assert run(code) == "module 'fastcf' has no attribute 'Nothing'"


def test_import_of_ratings_and_metrics_does_without_scikit_learn():
    code = "import sys, fastcf; fastcf.data.make_ratings(20, 10, 80); fastcf.metrics.rmse([1], [2])"
    assert run(f"{code}; print(sys.modules.keys() & {{'sklearn', 'scipy.stats', 'pandas', 'pyarrow'}})") == "set()"


def test_import_of_load_is_of_the_family_in_the_file_only(tmp_path):
    path = tmp_path / "model.fastcf"
    fastcf.BiasModel().fit(fastcf.data.make_ratings(20, 10, 80, random_state=0)).save(path)
    others = sorted({f"fastcf.models.{family}" for family in FAMILIES.values()} - {"fastcf.models.bias"})
    unused = [*others, "fastcf.retrieval", "fastcf.serving", "sklearn.linear_model", "sklearn.metrics", "torch"]
    code = f"import sys, fastcf; model = fastcf.load({str(path)!r}); model.predict([(1, 1)]); model.recommend(1, n=3)"
    assert run(f"{code}; print(type(model).__name__, sys.modules.keys() & {unused!r})") == "BiasModel set()"


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_import_of_the_command_line_is_of_no_command_before_one_is_invoked(option):
    code = f"import sys; from fastcf.cli import main; main([{option!r}], standalone_mode=False)"
    loaded = run(f"{code}; print(*sys.modules)").splitlines()[-1].split()
    assert "fastcf.cli._app" in loaded
    ours = {name for name in loaded if name.startswith("fastcf.")}
    assert ours == {"fastcf._version", "fastcf.cli", "fastcf.cli._app", "fastcf.errors", "fastcf.models"}
    assert not {"numpy", "scipy", "sklearn"} & set(loaded)
