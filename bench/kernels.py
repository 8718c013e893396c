"""Registers and shared memory of every CUDA kernel, by the compiler's report; needs nvcc, no GPU.

    python bench/kernels.py                  (writes bench/results/kernels.md)
    python bench/kernels.py --check MODULE   (fails where the table lacks a kernel of a built module, or holds another)

A kernel that spills registers stops a build with FASTCF_WERROR, on every architecture; here it stops the writing.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "bench" / "results" / "kernels.md"
ARCHITECTURES = (75, 80, 90, 100, 120)  # those of CMakeLists.txt
FLAGS = ("-std=c++20", "-O3", "--expt-relaxed-constexpr", f"-I{ROOT / 'csrc'}")
REPORT = ("-Xptxas=-v,--warn-on-spills", "-Werror=all-warnings")

Registers = dict[int, int]  # by architecture


def run(command: list[str]) -> str:
    """Return what a command prints, or end with it."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
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
    """Compile a file for every architecture and return the table's lines."""
    targets = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in ARCHITECTURES]
    report = run(["nvcc", *FLAGS, *REPORT, *targets, "-c", str(source), "-o", f"{folder}/{source.stem}.o"])
    registers: dict[str, Registers] = {}
    shared: dict[str, int] = {}
    for block in report.split("Compiling entry function '")[1:]:
        mangled, architecture = re.match(r"(\w+)' for 'sm_(\d+)'", block).groups()
        registers.setdefault(mangled, {})[int(architecture)] = int(re.search(r"Used (\d+) registers", block)[1])
        found = re.search(r"(\d+) bytes smem", block)
        shared[mangled] = max(shared.get(mangled, 0), int(found[1]) if found else 0)
    names = dict(zip(registers, short_names(list(registers)), strict=True)) if registers else {}
    return [
        f"| {source.name} | `{names[mangled]}` | {shared[mangled]} | "
        + " | ".join(str(registers[mangled][a]) for a in ARCHITECTURES)
        + " |"
        for mangled in sorted(registers, key=lambda kernel: names[kernel])
    ]


def write_table() -> None:
    """Compile everything and write the page."""
    release = re.search(r"V([\d.]+)", run(["nvcc", "--version"]))
    with tempfile.TemporaryDirectory() as folder:
        sources = sorted((ROOT / "csrc" / "cuda").glob("*.cu"))
        rows = [row for source in sources for row in compiled(source, folder)]
    lines = [
        "# CUDA kernels",
        "",
        f"What nvcc {release[1]} reports (`python bench/kernels.py`): the shared memory that a kernel declares, in",
        "bytes (what a launch adds is said in its file), and a thread's registers by architecture. No kernel spills",
        "registers on any of them.",
        "",
        "| file | kernel | shared | " + " | ".join(f"sm_{a}" for a in ARCHITECTURES) + " |",
        "|---|---|---:|" + "---:|" * len(ARCHITECTURES),
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
