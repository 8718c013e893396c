"""The example of a model in MLflow: with MLflow where it is installed, and always with a stand-in."""

from __future__ import annotations

import runpy
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import fastcf

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "mlflow_model.py"
pytestmark = pytest.mark.skipif(not EXAMPLE.is_file(), reason="the source tree is not here")


def test_mlflow_example_predicts_and_recommends_from_a_file(tmp_path, monkeypatch):
    import pandas as pd

    chosen = []
    stand_in = types.SimpleNamespace(
        pyfunc=types.SimpleNamespace(PythonModel=object), models=types.SimpleNamespace(set_model=chosen.append)
    )
    monkeypatch.setitem(sys.modules, "mlflow", stand_in)
    example = runpy.run_path(str(EXAMPLE))
    (model,) = chosen
    assert isinstance(model, example["FastcfModel"])
    fitted = fastcf.BiasModel().fit(fastcf.data.make_ratings(30, 20, 200, random_state=0))
    fitted.save(tmp_path / "m")
    model.load_context(types.SimpleNamespace(artifacts={"model": str(tmp_path / "m")}))
    pairs = pd.DataFrame({"user": [3, 7], "item": [5, 6]})
    np.testing.assert_array_equal(model.predict(None, pairs).prediction, fitted.predict([(3, 5), (7, 6)]))
    lists = model.predict(None, pairs[["user"]], {"n": 2})
    assert lists.item.tolist() == fitted.recommend([3, 7], n=2).items.reshape(-1).tolist()


@pytest.mark.slow  # the stand-in looks at the same code
@pytest.mark.filterwarnings("ignore")  # of MLflow
def test_mlflow_example_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'fastcf[mlflow]'")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert "prediction" in capsys.readouterr().out
