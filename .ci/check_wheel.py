"""Check a built wheel: what it holds, how large it is, and which libraries its modules want."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

MAX_BYTES = 8 * 2**20
WANTED = {"fastcf/__init__.py", "fastcf/py.typed", "fastcf/_cpu.pyi", "fastcf/_ingest.pyi"}
# Everything else a module links would have to be installed by the user.
LIBRARIES = re.compile(r"lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s|gomp|omp)\.so(\.\d+)*|ld-linux.*|linux-vdso.*")


def main(path: Path) -> None:
    """Print what was found; AssertionError says what is wrong."""
    size = path.stat().st_size
    assert size <= MAX_BYTES, f"{path.name} has {size} bytes; at most {MAX_BYTES} are allowed"
    with zipfile.ZipFile(path) as wheel, tempfile.TemporaryDirectory() as folder:
        names = set(wheel.namelist())
        assert names >= WANTED, f"the wheel lacks {sorted(WANTED - names)}"
        license_ = [name for name in names if name.endswith("LICENSE")]
        assert license_, "the wheel lacks its license"
        foreign = [name for name in names if not re.match(r"fastcf(/|-[^/]+\.dist-info/)", name)]
        assert not foreign, f"the wheel holds {foreign}"
        modules = sorted(name for name in names if name.endswith(".so"))
        stems = {Path(name).name.split(".")[0] for name in modules}
        assert {"_cpu", "_ingest"} <= stems, f"the wheel's native modules are {sorted(stems)}"
        assert len(modules) == len(stems), f"the wheel holds a module twice: {modules}"
        for name in modules:
            dynamic = subprocess.run(
                ["readelf", "--dynamic", "--wide", wheel.extract(name, folder)],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            libraries = re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic)
            wrong = [library for library in libraries if not LIBRARIES.fullmatch(library)]
            assert libraries, f"readelf says nothing about {name}"
            assert not wrong, f"{name} links {wrong}"
            assert not re.search(r"\((RPATH|RUNPATH)\)", dynamic), f"{name} has a run path"
            print(f"{name}: {', '.join(libraries)}")
    print(f"{path.name}: {size / 2**20:.2f} MiB, {len(names)} files")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
