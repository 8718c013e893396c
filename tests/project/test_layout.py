"""The house rules that a machine can check: where things are, who imports whom, what is documented."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import inspect
import io
import pkgutil
import re
import tokenize
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastcf
from backends import BACKENDS

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python" / "fastcf"
NATIVE = ("_ingest", "_host", "_cpu", "_cuda", "_emu")
MAX_LINES, MAX_TEST_LINES = 400, 500  # of code; tests are read one at a time
MAX_OWN_CLASSES = 3  # in the MRO of a class
MAX_PARAMETERS = 17  # of an estimator's constructor

# Who may import whom: a module may import what stands before it, or beside it on its own line.
LAYERS = (
    ("_version", "_processors", "_callers", "errors"),
    ("_backend", "_random", "_parameters", "_durations", "_thresholds", "_threads", "_times"),
    ("_texts", "_id_columns"),
    ("ids", "ratings", "_columns", "_arrow_tables", "_assembly", "_dense", "_derived", "_tables", "serialization"),
    ("data", "preprocessing", "metrics", "plot"),
    ("features",),
    ("scores",),
    ("training",),
    ("ops",),
    ("models",),
    ("retrieval", "export"),
    ("model_selection", "evaluation", "serving"),
    ("callbacks", "costs", "gradient_check", "optimizers", "solvers"),  # public names of what stands above
    ("cli",),
    ("__main__",),
)
# Estimators with more parameters than MAX_PARAMETERS: how many they have, and why.
MANY_PARAMETERS = {
    "Autoencoder": (
        25,
        "seven say what the network is, five how inputs and hidden values are dropped and fed, one how outputs begin",
    ),
    "TwoTower": (22, "eight say what the two networks are, four what is learnt"),
}
# The same for csrc: a folder includes itself and what is named here.
INCLUDES = {
    "core": set(),
    "math": {"core"},
    "ops": {"core", "math"},
    "cpu": {"core", "math", "ops"},
    "cuda": {"core", "math", "ops"},
    "emu": {"core", "math", "ops", "cuda"},
    "ingest": {"core"},
    "networks": {"core", "math", "ops"},
    "train": {"core", "math", "ops", "networks"},
    "bind": {"core", "math", "ops", "cpu", "cuda", "emu", "ingest", "networks", "train"},
}

pytestmark = pytest.mark.skipif(not (ROOT / "csrc").is_dir(), reason="the source tree is not here")

OPS = sorted(path.stem for path in (ROOT / "csrc" / "ops").glob("*.h"))
MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = sorted(
    path
    for folder in ("csrc", "python", "tests", "bench", "examples")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".h", ".cpp", ".cu", ".cuh", ".py", ".pyi"}
)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# ---------------------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------------------


def test_layout_ops_have_implementation_test_and_benchmark():
    assert OPS
    wanted = {op: [f"csrc/cpu/{op}.cpp", f"tests/ops/test_{op}.py", f"bench/bench_{op}.py"] for op in OPS}
    missing = [
        f"csrc/ops/{op}.h wants {path}" for op, paths in wanted.items() for path in paths if not (ROOT / path).is_file()
    ]
    assert not missing, "\n".join(missing)


# What csrc/cuda has beside ops.
CUDA_SUPPORT = {
    "blas",
    "dot",
    "kernel",
    "launch",
    "memory",
    "probe",
    "row_lists",
    "rows",
    "runtime",
    "select",
    "staging",
}


def test_layout_cuda_files_belong_to_an_op():
    stems = {path.stem for path in (ROOT / "csrc" / "cuda").iterdir()} - CUDA_SUPPORT
    assert not [stem for stem in stems if not any(stem == op or stem.startswith(f"{op}_") for op in OPS)]


# Kernels that several ops share.
SHARED_KERNELS = {"factor_kernels"}


def test_layout_kernels_belong_to_an_op():
    paths = [path for folder in ("cpu", "cuda") for path in (ROOT / "csrc" / folder).glob("*_kernels.c*")]
    own = [path for path in paths if path.stem not in SHARED_KERNELS]
    assert not [relative(path) for path in own if not any(path.stem.startswith(f"{op}_") for op in OPS)]


def python_lines(text: str) -> int:
    """Number of lines of Python code, without docstrings, comments and blank lines."""
    blank = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    code = {line for token in tokens if token.type not in blank for line in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            code -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(code)


def native_lines(text: str) -> int:
    """Number of lines of C++ or CUDA code, without comments, blank lines and lone brackets."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    return sum(re.search(r"\w", line) is not None for line in text.splitlines())


def test_layout_files_have_one_subject():
    code = [path for path in SOURCES if path.suffix != ".pyi"]  # a stub lists arguments: to look up, not to read
    lines = {
        relative(path): (python_lines if path.suffix == ".py" else native_lines)(path.read_text(encoding="utf-8"))
        for path in code
    }
    limit = {path: MAX_TEST_LINES if path.startswith("tests/") else MAX_LINES for path in lines}
    long = {path: n for path, n in lines.items() if n > limit[path]}
    assert not long, (
        f"more lines of code than {MAX_LINES}, or {MAX_TEST_LINES} of tests: are there two subjects? {long}"
    )


def test_layout_code_is_counted_without_comments_and_docstrings():
    assert (
        python_lines(
            '"""Text\n\nmore."""\n\n# a\nx = 1  # b\n\n\ndef f():\n    """Doc."""\n    return [\n        2,\n    ]\n'
        )
        == 5
    )
    assert native_lines("// a\n/* b\n c */ int x;\n\nvoid f() {\n  g();  // d\n}\n") == 3


def test_layout_test_files_have_different_names():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]  # or pytest collects none of them
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_layout_no_merge_was_left_half_done():
    texts = [path for path in (*SOURCES, *ROOT.glob("*.*"), *(ROOT / "docs").rglob("*.md")) if path.is_file()]
    assert [relative(path) for path in texts if re.search(rb"^(<{7}|>{7}) ", path.read_bytes(), re.MULTILINE)] == []


def test_layout_headers_are_included_once():
    assert [
        relative(path) for path in SOURCES if path.suffix == ".h" and b"#pragma once" not in path.read_bytes()
    ] == []


def test_layout_csrc_includes_point_downwards():
    wrong = [
        f"{relative(path)} includes {include}"
        for folder, allowed in INCLUDES.items()
        for path in SOURCES
        if relative(path).startswith(f"csrc/{folder}/")
        for include in re.findall(r'^#include "([^"]+)"', path.read_text(encoding="utf-8"), re.MULTILINE)
        if include.split("/")[0] not in allowed | {folder}
    ]
    assert not wrong, "\n".join(wrong)


def test_layout_csrc_has_no_other_folder():
    assert {path.name for path in (ROOT / "csrc").iterdir() if path.is_dir()} <= set(INCLUDES)


# ---------------------------------------------------------------------------------------------------------------
# Imports
# ---------------------------------------------------------------------------------------------------------------


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def imports(path: Path, *, typing: bool = True) -> list[str]:
    """Full names of what a file imports from this package, wherever in the file; or without what only types need."""
    names = []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if not typing and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            skipped.update(node.body)
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names if alias.name.split(".")[0] == "fastcf"]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}:{node.lineno}: imports are absolute here"
            if node.module and node.module.split(".")[0] == "fastcf":
                names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def part(name: str) -> str:
    """The part of the package that a full name belongs to: fastcf.data.text.read -> data."""
    return name.split(".")[1] if "." in name else ""


def test_layout_only_the_backend_imports_native_modules():
    wrong = [
        f"{relative(path)} imports {name}"
        for path in MODULES
        if module_name(path) != "fastcf._backend"
        for name in imports(path)
        if part(name) in NATIVE
    ]
    assert not wrong, "\n".join(wrong)


def test_layout_modules_import_downwards():
    level = {name: n for n, layer in enumerate(LAYERS) for name in layer}
    wrong = []
    for path in MODULES:
        own = part(module_name(path))
        if module_name(path) == "fastcf":
            continue
        if own not in level:
            wrong.append(f"{relative(path)} has no place in LAYERS of tests/project/test_layout.py")
            continue
        names = {part(name) for name in imports(path)} - {own, *NATIVE}
        upwards = sorted(name for name in names if name not in level or level[name] > level[own])
        if upwards:
            wrong.append(f"{relative(path)} imports {upwards}")
    assert not wrong, "\n".join(wrong)


def test_layout_underscore_modules_are_imported_in_their_folder_only():
    wrong = []
    for path in MODULES:
        own = module_name(path)
        for name in imports(path):
            pieces = name.split(".")
            hidden = next((n for n, piece in enumerate(pieces) if piece[0] == "_" and piece[:2] != "__"), None)
            if hidden is not None and not f"{own}.".startswith(".".join(pieces[:hidden]) + "."):
                wrong.append(f"{relative(path)} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_layout_modules_import_without_cycles():
    names = {module_name(path): path for path in MODULES if module_name(path) != "fastcf"}
    # `from fastcf.data import x` is the module fastcf.data.x where there is one, else fastcf.data itself
    graph = {
        name: {found if found in names else found.rpartition(".")[0] for found in imports(path, typing=False)}
        & names.keys() - {name}
        for name, path in names.items()
    }
    while leaves := {name for name, needed in graph.items() if not needed}:
        graph = {name: needed - leaves for name, needed in graph.items() if name not in leaves}
    assert not graph, "these import each other"


# ---------------------------------------------------------------------------------------------------------------
# Classes
# ---------------------------------------------------------------------------------------------------------------


def classes() -> dict[str, type]:
    """All classes of the package, by their full names."""
    found = {}
    for path in MODULES:
        if path.name == "__main__.py":
            continue
        try:
            module = importlib.import_module(module_name(path))
        except ModuleNotFoundError as missing:
            if missing.name != "torch":  # too large for every machine
                raise
            continue
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__.startswith("fastcf."):
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return found


def test_layout_classes_are_composed_rather_than_inherited():
    own = {
        name: [base.__name__ for base in kind.__mro__ if base.__module__.split(".")[0] == "fastcf"]
        for name, kind in classes().items()
    }
    deep = {name: bases for name, bases in own.items() if len(bases) > MAX_OWN_CLASSES}
    assert not deep, f"more than {MAX_OWN_CLASSES} own classes: {deep}"


def test_layout_estimators_have_few_parameters():
    counts = {
        kind.__name__: len(inspect.signature(kind).parameters)
        for name, kind in public_objects()
        if inspect.isclass(kind) and hasattr(kind, "get_params")
    }
    many = {name: n for name, n in counts.items() if n > MANY_PARAMETERS.get(name, (MAX_PARAMETERS, ""))[0]}
    assert not many, f"more than {MAX_PARAMETERS} parameters, or more than MANY_PARAMETERS grants: {many}"
    idle = [name for name in MANY_PARAMETERS if counts.get(name, 0) <= MAX_PARAMETERS]
    assert not idle, f"these need no exception: {idle}"


# ---------------------------------------------------------------------------------------------------------------
# Documentation and stubs
# ---------------------------------------------------------------------------------------------------------------


def public_objects() -> Iterator[tuple[str, object]]:
    """What users import: from fastcf, its modules and its packages; the files of a package are its own affair."""
    for name in ["fastcf", *(info.name for info in pkgutil.iter_modules(fastcf.__path__, "fastcf."))]:
        if name.startswith("fastcf._") or name == "fastcf.cli":
            continue
        module = importlib.import_module(name)
        assert hasattr(module, "__all__"), f"{name} must say what is public, in __all__"
        for exported in module.__all__:
            yield f"{name}.{exported}", getattr(module, exported)


def parameters(object_: object) -> list[str]:
    ignored = {"self", "cls", "args", "kwargs"}
    return [name for name in inspect.signature(object_).parameters if name not in ignored and not name.startswith("_")]


def test_layout_public_names_are_documented():
    wrong = []
    for name, object_ in public_objects():
        if not (inspect.isclass(object_) or inspect.isfunction(object_)):
            continue  # constants stand in their module's text
        text = inspect.getdoc(object_) or ""
        if not text:
            wrong.append(f"{name} has no docstring")
            continue
        if inspect.isclass(object_) and (
            issubclass(object_, (BaseException, tuple)) or object_.__init__ is object.__init__
        ):
            continue  # nothing to construct, or its fields stand under Attributes
        absent = [each for each in parameters(object_) if not re.search(rf"\b{re.escape(each)}\b", text)]
        if absent:
            wrong.append(f"{name} does not describe {absent}")
        if parameters(object_) and not re.search(r"^(Parameters|Attributes)\n-+$", text, re.MULTILINE):
            wrong.append(f"{name} has no section Parameters")
        returns = inspect.isfunction(object_) and inspect.signature(object_).return_annotation not in ("None", None)
        if returns and not re.search(r"^(Returns|Yields)\n-+$", text, re.MULTILINE):
            wrong.append(f"{name} has no section Returns")
    assert not wrong, "\n".join(wrong)


def test_layout_package_names_are_sorted_and_exist():
    assert [name for name in fastcf.__all__ if not hasattr(fastcf, name)] == []
    assert len(set(fastcf.__all__)) == len(fastcf.__all__)


def native_module(name: str) -> types.ModuleType:
    module = BACKENDS.get(name.lstrip("_"))
    if module is None:
        try:
            module = importlib.import_module(f"fastcf.{name}")
        except ImportError:
            pytest.skip(f"this build has no {name}")
    return module


@pytest.mark.parametrize("name", NATIVE)
def test_layout_stub_matches_the_native_module(name):
    script = ROOT / ".ci" / "stubs.py"
    if not script.is_file():
        pytest.skip("the script that makes stubs is not here")
    spec = importlib.util.spec_from_file_location("stubs", script)
    stubs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stubs)
    stub = PACKAGE / f"{name if name in ('_host', '_ingest') else '_cpu'}.pyi"  # every backend has the same functions
    assert stub.read_text(encoding="utf-8") == stubs.stub_of(native_module(name)), "run .ci/stubs.py"


def test_layout_architecture_page_names_every_room_and_what_is_there():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {name for layer in LAYERS for name in layer if (PACKAGE / name).is_dir()}
    families = {path.name for path in (PACKAGE / "models").iterdir() if (path / "__init__.py").is_file()}
    folders = {path.name for path in (ROOT / "csrc").iterdir() if path.is_dir()}
    wanted = {*(f"`{name}/`" for name in rooms | families), *(f"`csrc/{name}`" for name in folders)}
    assert not sorted(name for name in wanted if name not in page)
    named = re.findall(r"`((?:python/fastcf|csrc|tests|bench|docs)/[\w/.-]+)`", page)
    assert not sorted(name for name in named if not (ROOT / name).exists())
