"""Registers, shared memory and spills of every CUDA kernel, by the compiler's report; needs nvcc, no GPU.

Writes bench/results/kernels.md. With --check it writes nothing, and fails where a kernel spills or the table lacks one.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "bench" / "results" / "kernels.md"
FLAGS = ("-std=c++20", "-O3", "--expt-relaxed-constexpr", "-Xptxas", "-v", f"-I{ROOT / 'csrc'}")


class Kernel(NamedTuple):
    """One kernel of one file, as compiled."""

    file: str
    name: str
    registers: int
    shared_bytes: int
    spill_bytes: int


def compile_file(source: Path, architecture: str, folder: str) -> str:
    """Return what the compiler reports."""
    command = ["nvcc", *FLAGS, f"-arch={architecture}", "-c", str(source), "-o", f"{folder}/{source.stem}.o"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def short_name(mangled: str) -> str:
    """Return a kernel's name and template arguments."""
    name = subprocess.run(["c++filt", mangled], capture_output=True, text=True, check=True).stdout.strip()
    name = name.replace("(anonymous namespace)::", "").replace("fastcf::", "")
    name = re.sub(r"^void ", "", name)
    depth = 0
    for position, character in enumerate(name):  # up to the parameter list
        depth += (character == "<") - (character == ">")
        if character == "(" and depth == 0:
            name = name[:position]
            break
    return re.sub(r"\(\w+\)(\d+)", r"\1", name).replace("unsigned short", "half").replace(" ", "")


def kernels_of(source: Path, architecture: str, folder: str) -> list[Kernel]:
    """Compile a file and read the report."""
    report = compile_file(source, architecture, folder)
    found = []
    for block in re.split(r"Compiling entry function '", report)[1:]:
        mangled = block.split("'", 1)[0]
        registers = re.search(r"Used (\d+) registers", block)
        shared = re.search(r"(\d+) bytes smem", block)
        spills = re.findall(r"(\d+) bytes spill (?:stores|loads)", block)
        found.append(
            Kernel(
                source.name,
                short_name(mangled),
                int(registers[1]) if registers else 0,
                int(shared[1]) if shared else 0,
                sum(map(int, spills)),
            )
        )
    return sorted(found, key=lambda kernel: kernel.name)


def table(kernels: list[Kernel], architecture: str) -> str:
    """Return the page."""
    version = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    release = re.search(r"V([\d.]+)", version)
    lines = [
        "# CUDA kernels",
        "",
        f"What nvcc {release[1] if release else '?'} reports for {architecture} (`python bench/kernels.py`). Shared",
        "memory is what a kernel declares; what a launch adds is said in its file. Spills are bytes stored and loaded.",
        "",
        "| file | kernel | registers | shared memory, bytes | spills |",
        "|---|---|---:|---:|---:|",
        *(f"| {k.file} | `{k.name}` | {k.registers} | {k.shared_bytes} | {k.spill_bytes} |" for k in kernels),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="sm_90")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kernels = [
            kernel
            for source in sorted((ROOT / "csrc" / "cuda").glob("*.cu"))
            for kernel in kernels_of(source, arguments.architecture, folder)
        ]
    page = table(kernels, arguments.architecture)
    spilling = [f"{kernel.file}: {kernel.name}" for kernel in kernels if kernel.spill_bytes]
    if not arguments.check:
        TABLE.write_text(page, encoding="utf-8")
        print(page, end="")
        return
    if spilling:
        sys.exit(f"kernels that spill registers: {spilling}")
    # Another compiler gives other numbers; names must agree.
    names = re.findall(r"^\| (\S+) \| `(.+?)`", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    if set(names) != {(kernel.file, kernel.name) for kernel in kernels}:
        sys.exit(f"{TABLE} is out of date: run python bench/kernels.py")
    print(f"{len(kernels)} kernels, no spills")


if __name__ == "__main__":
    main()
