"""Write the type stubs of the native modules from their docstrings, or check that the stubs are up to date.

stubs.py           (writes python/fastcf/_cpu.pyi, _host.pyi and _ingest.pyi)
stubs.py --check   (changes nothing; exit status 1 where one differs)

Signatures are the first lines of docstrings. A line ``Settings: …`` lists the keywords behind ``**settings``.
All backends have one stub, that of ``_cpu``.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).resolve().parents[1] / "python" / "fastcf"
WIDTH = 120
TITLES = {
    "_cpu": "The CPU backend, csrc/bind/backend. Callers validate meaning; shapes and bounds are re-checked.",
    "_host": "What only the host has, csrc/bind/host. Shapes and bounds are re-checked.",
    "_ingest": "Native ingestion on the host, csrc/bind/ingest. Arrays are checked, never converted.",
}
# pybind11's names for types, and Python's.
NAMES = (
    (r"typing\.SupportsInt \| typing\.SupportsIndex|typing\.SupportsInt", "int"),
    (r"typing\.SupportsFloat \| typing\.SupportsIndex|typing\.SupportsFloat", "float"),
    (r"numpy\.typing\.NDArray", "NDArray"),
    (r"numpy\.ndarray\b", "NDArray[Any]"),
    (r"numpy\.dtype(\[.*\])?$", "np.dtype[Any]"),
    (r"numpy\.bool\b", "np.bool_"),
    (r"\bnumpy\.", "np."),
    (r"typing\.Annotated\[(.*?), \"FixedSize\(\d+\)\"\]", r"\1"),
    (r"collections\.abc\.Sequence\b", "Sequence"),
    (r"(?:collections\.abc|typing_extensions)\.Buffer\b", "Buffer"),
    (r"typing\.Any\b", "Any"),
    (r"\bEllipsis\b|\bellipsis\b", "..."),
    (r"fastcf\._\w+\.", ""),
    (r"\bobject\b", "Any"),
    (r"\blist\]", "list[Any]]"),
    (r"\blist$", "list[Any]"),
    (r"\btuple$", "tuple[Any, ...]"),
)


def clean(type_: str) -> str:
    """Return a type in the notation of stubs."""
    for pattern, name in NAMES:
        type_ = re.sub(pattern, name, type_)
    return type_


def split(text: str) -> list[str]:
    """Split at commas that stand in no brackets."""
    pieces, depth = [""], 0
    for character in text:
        depth += (character in "[({") - (character in "])}")
        if character == "," and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += character
    return [piece.strip() for piece in pieces if piece.strip()]


def parameter(text: str) -> str:
    """Return one parameter: its name, type and default."""
    found = re.match(r"(\w+): (.*?)(?: = (.*))?$", text)
    if found is None:
        return "self" if text.startswith("self") else text
    name, type_, default = found.groups()
    if name == "self":
        return name
    type_ = clean(type_)
    if default is None:
        return f"{name}: {type_}"
    if default == "None" and not type_.endswith("| None"):
        type_ += " | None"
    if not re.fullmatch(r"None|True|False|'[^']*'|-?[\d.]+(e-?\d+)?", default):
        default = "..."
    return f"{name}: {type_} = " + default.replace("'", '"')


def function(name: str, doc: str, indent: str) -> str:
    """Return the stub of a function or method, laid out as ``ruff format`` does."""
    line, *rest = doc.strip().splitlines()
    found = re.fullmatch(r"\w+\((.*)\) -> (.*)", line)
    if found is None:
        raise ValueError(f"{name} has no signature: {line!r}")
    parameters = [parameter(piece) for piece in split(found[1])]
    settings = [piece.removeprefix("Settings: ") for piece in rest if piece.startswith("Settings: ")]
    if settings:
        parameters = [each for each in parameters if not each.startswith("**")]
        if not any(each == "*" for each in parameters):
            parameters.append("*")
        parameters += [parameter(piece) for piece in split(settings[0])]
    head, result = f"{indent}def {name}(", clean(found[2])
    tail = f") -> {result}: ..."
    joined = ", ".join(parameters)
    if len(head + joined + tail) <= WIDTH:
        return head + joined + tail
    if len(tail) > WIDTH - len(indent):
        tail = wrapped(f") -> {result}: ...", indent)
    if len(indent) + 4 + len(joined) <= WIDTH:
        return f"{head}\n{indent}    {joined}\n{indent}{tail}"
    lines = [wrapped(f"{each},", indent + "    ") for each in parameters]
    return f"{head}\n" + "".join(f"{indent}    {line}\n" for line in lines) + f"{indent}{tail}"


def wrapped(text: str, indent: str) -> str:
    """Break a line that is too long after its first opening bracket, and the parts inside by the same rule."""
    if len(indent + text) <= WIDTH or "[" not in text:
        return text
    begin, end = text.index("["), text.rindex("]")
    inside = [wrapped(f"{each},", indent + "    ") for each in split(text[begin + 1 : end])]
    lines = "".join(f"{indent}    {each}\n" for each in inside)
    return f"{text[: begin + 1]}\n{lines}{indent}{text[end:]}"


def members(class_: type) -> Iterator[str]:
    """Stubs of a class's methods and properties."""
    for name, member in vars(class_).items():
        if isinstance(member, property):
            of = re.search(r"-> (.*)", member.fget.__doc__ or "")
            yield f"    @property\n    def {name}(self) -> {clean(of[1]) if of else 'Any'}: ..."
        elif callable(member) and (name in ("__init__", "__len__") or not name.startswith("_")):
            yield function(name, member.__doc__ or "", "    ")


def stub_of(module: ModuleType) -> str:
    """Return the text of a module's stub."""
    pieces, was_class = [], False
    for name, member in vars(module).items():
        if name.startswith("_") or isinstance(member, ModuleType):
            continue
        is_class = isinstance(member, type)
        if is_class:
            base = "" if member.__bases__[0].__module__ == "pybind11_builtins" else f"({member.__bases__[0].__name__})"
            body = [] if base else list(members(member))
            head = f"class {name}{base}:"
            piece = f"{head}\n" + "\n".join(body) if body else f"{head} ..."
            if base and member.__doc__:
                piece = f'{head}\n    """{member.__doc__}"""'
        else:
            piece = function(name, member.__doc__ or "", "")
        separated = pieces and (is_class or was_class)
        pieces.append(("\n" if separated else "") + piece)
        was_class = is_class
    body = "\n".join(pieces) + "\n"
    title = TITLES.get(module.__name__.rpartition(".")[2], TITLES["_cpu"])
    imports = {
        "from collections.abc import Sequence\n": "Sequence",
        "from typing import Any\n": "Any",
        "\nimport numpy as np\nfrom numpy.typing import NDArray\n": "NDArray",
        "from typing_extensions import Buffer\n": "Buffer",
    }
    used = "".join(line for line, name in imports.items() if re.search(rf"\b{name}\b", body))
    return f'"""{title}"""\n\n{used}\n{body}'


def main() -> int:
    """Write or check all stubs; return the exit status."""
    check, status = "--check" in sys.argv[1:], 0
    sys.path.insert(0, str(PACKAGE.parent))
    for name in TITLES:
        text, path = stub_of(importlib.import_module(f"fastcf.{name}")), PACKAGE / f"{name}.pyi"
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        status = 1
        print(f"{path} {'differs from the module: run .ci/stubs.py' if check else 'written'}")
        if not check:
            path.write_text(text, encoding="utf-8")
    return status if check else 0


if __name__ == "__main__":
    sys.exit(main())
