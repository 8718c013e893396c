"""Draw layers.svg, the picture of docs/architecture.md: ``python docs/images/layers.py``. Needs matplotlib."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt

# What flows, and the folder of python/fastcf that holds it.
FLOW = (
    ("file, table", "", "#f2f2f2"),
    ("log, table", "data/\npreprocessing/\nfeatures/", "#dbe9f6"),
    ("Ratings", "ratings, ids", "#dbe9f6"),
    ("estimator.fit", "models/<family>/\n<family>.py", "#fde7cf"),
    ("Problem", "models/<family>/\nproblem.py", "#fde7cf"),
    ("trainer", "models/<family>/\ntraining/", "#fde7cf"),
    ("Scores, State", "scores/", "#dff0d8"),
    ("predict,\nrecommend", "scores/\nrecommender.py", "#dff0d8"),
    ("errors, lists", "metrics\nretrieval/", "#f2f2f2"),
)
# From the bottom to the top: a folder includes what stands below it.
NATIVE = (
    ("core/", "views, checks, threads, random numbers, memory of the device"),
    ("math/", "every formula once, for host and device"),
    ("ops/", "the contract of each op; implemented in cpu/ and cuda/ (emu/ runs cuda/ in tests)"),
    ("networks/", "layers and networks composed of ops"),
    ("train/", "trainers: epochs composed of ops and networks"),
    ("bind/", "pybind11: _cpu and _cuda with the same functions, _host and _ingest"),
)
WIDTH, HEIGHT, GAP, TOP = 1.45, 0.8, 0.35, 4.6


def box(axes: plt.Axes, x: float, y: float, size: tuple[float, float], text: str, colour: str) -> None:
    """Draw a box with a text in its middle."""
    axes.add_patch(plt.Rectangle((x, y), *size, facecolor=colour, edgecolor="0.35", linewidth=0.8))
    axes.text(x + size[0] / 2, y + size[1] / 2, text, ha="center", va="center")


def main() -> None:
    """Write the picture beside this file."""
    plt.switch_backend("svg")
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "layers", "font.size": 9.5})
    figure, axes = plt.subplots(figsize=(13.2, 5.0))
    step = WIDTH + GAP
    for n, (name, folder, colour) in enumerate(FLOW):
        box(axes, n * step, TOP, (WIDTH, HEIGHT), name, colour)
        axes.text(
            n * step + WIDTH / 2, TOP - 0.12, folder, ha="center", va="top", color="0.3", size=8.5, family="monospace"
        )
        if n:
            start, end = (n * step - GAP, TOP + HEIGHT / 2), (n * step, TOP + HEIGHT / 2)
            axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "0.2"})
    right = len(FLOW) * step - GAP
    axes.text(0, TOP + HEIGHT + 0.2, "python/fastcf", weight="bold")
    axes.text(right, TOP + HEIGHT + 0.2, "cli/ uses all of it", ha="right", color="0.3")
    left, height = 3.5, 0.42
    for n, (name, text) in enumerate(NATIVE):
        y = n * (height + 0.06)
        box(axes, left, y, (right - left, height), "", "#ece4f4")
        axes.text(left + 0.15, y + height / 2, name, va="center", family="monospace")
        axes.text(left + 1.7, y + height / 2, text, va="center")
    below = len(NATIVE) * (height + 0.06)
    axes.text(0, below - 0.3, "csrc", weight="bold")
    axes.text(0, below - 0.75, "a folder includes\nwhat stands below it", va="top", color="0.3")
    box(axes, 1.8, 0, (WIDTH, height), "ingest/", "#ece4f4")
    for n in (1, 5, 7):  # the steps that call native code
        centre = n * step + WIDTH / 2
        target = (centre, height if n == 1 else below)
        axes.annotate(
            "", target, (centre, TOP - 0.75), arrowprops={"arrowstyle": "-|>", "color": "0.5", "linestyle": ":"}
        )
    axes.set(xlim=(-0.1, right + 0.1), ylim=(-0.1, TOP + HEIGHT + 0.5))
    axes.axis("off")
    figure.savefig(Path(__file__).with_suffix(".svg"), bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main()
