"""Registers and shared memory of every CUDA kernel, by the compiler's report; needs nvcc, no GPU.

    python bench/kernels.py                  (writes bench/results/kernels.md)
    python bench/kernels.py --check MODULE   (fails where the table lacks a kernel of a built module, or holds another)

A kernel that spills registers stops a build with FASTCF_WERROR, on every architecture; here it stops the writing.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "bench" / "results" / "kernels.md"
ARCHITECTURE = 90  # what the table lists; builds are for more
FLAGS = ("-std=c++20", "-O3", "--expt-relaxed-constexpr", f"-I{ROOT / 'csrc'}")
LAUNCHER = os.environ.get("CMAKE_CUDA_COMPILER_LAUNCHER", "").split()  # ccache, for who has it
REPORT = ("-Xptxas=-v,--warn-on-spills", "-Werror=all-warnings")


def run(command: list[str]) -> str:
    """Return what a command prints, or end with it."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if " info " not in line]
        sys.exit("\n".join([" ".join(command), *errors]))
    return done.stdout + done.stderr


def short_names(mangled: list[str]) -> list[str]:
    """Return kernels' names and template arguments."""
    return [short_name(name) for name in run(["c++filt", *mangled]).splitlines()]


def short_name(name: str) -> str:
    """Return a demangled name without its namespace and parameters."""
    name = name.replace("(anonymous namespace)::", "").replace("fastcf::", "")
    name = re.sub(r"^void ", "", name)
    depth = 0
    for position, character in enumerate(name):  # up to the parameter list
        depth += (character == "<") - (character == ">")
        if character == "(" and depth == 0:
            name = name[:position]
            break
    return re.sub(r"\(\w+\)(\d+)", r"\1", name).replace("unsigned short", "half").replace(" ", "")


def compiled(source: Path, folder: str) -> list[str]:
    """Compile a file and return the table's lines."""
    report = run(
        [
            *LAUNCHER,
            "nvcc",
            *FLAGS,
            *REPORT,
            f"-arch=sm_{ARCHITECTURE}",
            "-c",
            str(source),
            "-o",
            f"{folder}/{source.stem}.o",
        ]
    )
    found = {}
    for block in report.split("Compiling entry function '")[1:]:
        shared = re.search(r"(\d+) bytes smem", block)
        registers = re.search(r"Used (\d+) registers", block)
        found[block.split("'", 1)[0]] = int(registers[1]), int(shared[1]) if shared else 0
    names = short_names(list(found)) if found else []
    return sorted(
        f"| {source.name} | `{name}` | {registers} | {shared} |"
        for name, (registers, shared) in zip(names, found.values(), strict=True)
    )


def write_table() -> None:
    """Compile everything and write the page."""
    release = re.search(r"V([\d.]+)", run(["nvcc", "--version"]))
    with tempfile.TemporaryDirectory() as folder:
        sources = sorted((ROOT / "csrc" / "cuda").glob("*.cu"))
        rows = [row for source in sources for row in compiled(source, folder)]
    lines = [
        "# CUDA kernels",
        "",
        f"What nvcc {release[1]} reports for sm_{ARCHITECTURE} (`python bench/kernels.py`). Shared memory is what a",
        "kernel declares; what a launch adds is said in its file. No kernel spills registers.",
        "",
        "| file | kernel | registers | shared memory, bytes |",
        "|---|---|---:|---:|",
        *rows,
    ]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(rows)} kernels, no spills")


def check_table(module: Path) -> None:
    """Compare names only: another compiler gives other numbers."""
    listed = set(re.findall(r"^\| \S+ \| `(.+?)`", TABLE.read_text(encoding="utf-8"), re.MULTILINE))
    mangled = set(re.findall(rb"(?<=\0)_ZN6fastcf\w+_kernel[IE]\w+(?=\0)", module.read_bytes()))
    kernels = set(short_names([name.decode() for name in mangled]))
    if listed != kernels:
        sys.exit(f"{TABLE} is out of date, run python bench/kernels.py: {sorted(listed ^ kernels)[:5]}")
    print(f"{module.name}: {len(kernels)} kernels, all listed")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", type=Path, metavar="MODULE")
    arguments = parser.parse_args()
    if arguments.check:
        check_table(arguments.check)
    else:
        write_table()


if __name__ == "__main__":
    main()
