"""Check a built wheel: what it holds, how large it is, and which libraries its modules want.

check_wheel.py WHEEL
check_wheel.py --cuda WHEEL   (one with the CUDA module)
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

MAX_BYTES = 8 * 2**20
MAX_CUDA_BYTES = 48 * 2**20  # with device code for five generations of GPUs
PAGE = {
    f"fastcf/serving/page/{name}" for name in ("index.html", "page.css", "page.js", "parts.js", "api.js", "icon.svg")
}
WANTED = PAGE | {"fastcf/__init__.py", "fastcf/py.typed", "fastcf/_cpu.pyi", "fastcf/_host.pyi", "fastcf/_ingest.pyi"}
# Everything else a module links would have to be installed by the user.
LIBRARIES = re.compile(r"lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s|gomp|omp)\.so(\.\d+)*|ld-linux.*|linux-vdso.*")


def check_libraries(module: Path) -> None:
    """Print what a module links; AssertionError names what it must not."""
    command = ["readelf", "--dynamic", "--wide", str(module)]
    dynamic = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    libraries = re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic)
    wrong = [library for library in libraries if not LIBRARIES.fullmatch(library)]
    assert libraries, f"readelf says nothing about {module.name}"
    assert not wrong, f"{module.name} links {wrong}"
    assert not re.search(r"\((RPATH|RUNPATH)\)", dynamic), f"{module.name} has a run path"
    print(f"{module.name}: {module.stat().st_size / 2**20:.2f} MiB, {', '.join(libraries)}")


def main(path: Path, cuda: bool) -> None:
    """Print what was found; AssertionError says what is wrong."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as wheel, tempfile.TemporaryDirectory() as folder:
        names = set(wheel.namelist())
        assert names >= WANTED, f"the wheel lacks {sorted(WANTED - names)}"
        license_ = [name for name in names if name.endswith("LICENSE")]
        assert license_, "the wheel lacks its license"
        foreign = [name for name in names if not re.match(r"fastcf(/|-[^/]+\.dist-info/)", name)]
        assert not foreign, f"the wheel holds {foreign}"
        modules = sorted(name for name in names if name.endswith(".so"))
        stems = {Path(name).name.split(".")[0] for name in modules}
        wanted = {"_cpu", "_host", "_ingest"} | ({"_cuda"} if cuda else set())
        assert stems == wanted, f"the native modules are {sorted(stems)}"
        assert len(modules) == len(stems), f"the wheel holds a module twice: {modules}"
        most = MAX_CUDA_BYTES if cuda else MAX_BYTES
        assert size <= most, f"{path.name} has {size} bytes; at most {most} are allowed"
        for name in modules:
            check_libraries(Path(wheel.extract(name, folder)))
    print(f"{path.name}: {size / 2**20:.2f} MiB, {len(names)} files")


if __name__ == "__main__":
    main(Path(sys.argv[-1]), cuda="--cuda" in sys.argv[1:-1])
