"""What each part of the autoencoder is worth: the ablation of Kuchaiev and Ginsburg (2017), on sets at hand.

    python bench/bench_ablation.py FOLDER [--epochs 30] [--plots FOLDER]

For every set found in FOLDER, the training part of bench_accuracy.py's split is cut again: a tenth of it is held out
for validation. A made-up set of 1 M ratings (6,040 x 3,706) represents larger and denser data. Every row of the table
is a network that differs in one thing from one of the rows above; the figures are the least validation RMSE, its epoch,
and the training RMSE there. Test ratings are not used. Other settings are the defaults of Autoencoder (Adam, residuals
of the bias model, half of the inputs dropped), but the networks above the default one are fed ratings alone; "the
study's settings" are raw ratings, SELU at the end too, no input dropped, no penalty, momentum 0.9 and a constant rate
of 0.005. --plots draws the curves.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import fastcf
from bench_accuracy import sets_of, split
from common import write_json
from fastcf.data import RatingLog, read_log
from fastcf.optimizers import Adam, Momentum

DEEP = (128, 256, 256)
ALONE: dict[str, Any] = {"rated_input": 0.0, "rated_output": False}  # ratings alone are fed, not which there are
SELU: dict[str, Any] = {**ALONE, "orientation": "user", "activation": "selu", "optimizer": Adam(0.001)}
STUDY: dict[str, Any] = {
    **SELU, "output_activation": "selu", "normalize": None, "input_dropout": 0.0, "reg": 0.0,
    "optimizer": Momentum(0.005, schedule="constant"), "init": "glorot", "batch_size": 32,
}  # fmt: skip
NETWORKS: dict[str, dict[str, Any]] = {
    "one layer, 128": {**SELU, "layers": (128,)},
    "one layer, 256": {**SELU, "layers": (256,)},
    "one layer, 512": {**SELU, "layers": (512,)},
    "deep": {**SELU, "layers": DEEP},
    "deep, tied": {**SELU, "layers": DEEP, "tied": True},
    "deep, dropout 0.2": {**SELU, "layers": DEEP, "dropout": 0.2},
    "deep, dropout 0.5": {**SELU, "layers": DEEP, "dropout": 0.5},
    "deep, dropout 0.8": {**SELU, "layers": DEEP, "dropout": 0.8},
    "deep, alpha-dropout 0.2": {**SELU, "layers": DEEP, "dropout": 0.2, "alpha_dropout": True},
    "deep, re-feeding": {**SELU, "layers": DEEP, "dense_refeeding": 1},
    "deep, no input dropped": {**SELU, "layers": DEEP, "input_dropout": 0.0},
    "deep, the study's settings": {**STUDY, "layers": DEEP},
    "one layer, the study's settings": {**STUDY, "layers": (128,)},
    "one layer, tanh": {**ALONE, "orientation": "user"},
    "one layer, tanh, by item": ALONE,
    "deep, by item": {**SELU, "layers": DEEP, "orientation": "item"},
    "one layer, sigmoid, by item": {**ALONE, "activation": "sigmoid"},
    "default: by item, positions as input": {},
    "default, rated_input 10": {"rated_input": 10.0},
    "default, rated_input 100": {"rated_input": 100.0},
    "default, reg 250": {"reg": 250.0},
    "default, reg 1000": {"reg": 1000.0},
    "default, no input dropped": {"input_dropout": 0.0},
    "default, 0.8 of inputs dropped": {"input_dropout": 0.8},
    "default, 256 units": {"layers": (256,)},
    "default, batches of 32": {"batch_size": 32, "optimizer": Adam(0.002)},
    "default, first weights by LeCun": {"init": "lecun"},
    "default, items' means only": {"normalize": "item"},
    "default, by user": {"orientation": "user"},
    "default, deep, SELU": {"layers": DEEP, "activation": "selu", "optimizer": Adam(0.001)},
    "default, no centres of output weights": {"rated_output": False},
}
SLOW = "deep, re-feeding"  # rows times columns per epoch


def validation_split(log: RatingLog) -> tuple[fastcf.Ratings, fastcf.Ratings]:
    """Return training and validation ratings, out of the training rows."""
    rows, _ = split(log)
    order = np.random.default_rng(77).permutation(len(rows.ratings))
    held_out, kept = order[: order.size // 10], order[order.size // 10 :]
    parts = (RatingLog(rows.users[p], rows.items[p], rows.ratings[p], None) for p in (kept, held_out))
    train, validation = (part.to_ratings(duplicates="last") for part in parts)
    return train, validation


DRAWN = (
    "default: by item, positions as input",
    "default, by user",
    "default, no input dropped",
    "one layer, tanh, by item",
    "one layer, 512",
    "deep",
    "deep, dropout 0.5",
    "deep, by item",
)


def plot(curves: dict[str, list[list[float]]], lines: dict[str, float], title: str, path: Path) -> None:
    """Draw validation and training errors by epoch of some networks, and the errors of other models as lines."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9.6, 5.2), layout="constrained")
    for axes, column, panel in zip(panels, (1, 0), ("validation", "training"), strict=True):
        for n, name in enumerate(DRAWN):
            errors = [record[column] for record in curves[name]]
            axes.plot(range(1, len(errors) + 1), errors, color=f"C{n}", label=name)
        axes.set(title=panel, xlabel="epoch", ylabel="RMSE")
        axes.grid(alpha=0.3)
    for (name, error), style in zip(lines.items(), ("--", "-."), strict=True):
        panels[0].axhline(error, color="0.4", linestyle=style, linewidth=1.2, label=name)
    lowest = min(record[1] for name in DRAWN for record in curves[name])
    span = max(lines.values()) - lowest  # curves that leave it are far behind all that matters
    highest = max(*lines.values(), *(record[1] for name in DRAWN for record in curves[name]))
    panels[0].set_ylim(lowest - 0.15 * span, min(lowest + 2 * span, highest + 0.15 * span))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(title)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def plot_all(results: list[dict[str, Any]], folder: Path) -> None:
    """Draw a picture of each set."""
    models, networks = results[:2], results[2:]
    for name in (key for key in models[0] if key != "network"):
        curves = {str(row["network"]): row[name]["curve"] for row in networks}
        lines = {str(row["network"]): row[name] for row in models}
        plot(curves, lines, name, folder / f"ablation-{name.replace(' ', '-')}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a set of ratings, or a folder of sets")
    parser.add_argument("--redraw", action="store_true", help="draw what is in bench/results/ablation.json, no more")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--plots", type=Path)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    if arguments.redraw:
        recorded = json.loads((Path(__file__).parent / "results" / "ablation.json").read_text())
        plot_all(recorded["results"], arguments.plots or Path("."))
        return
    sets = {path.name: validation_split(read_log(path)) for path in sets_of(arguments.folder)}
    made_up = fastcf.data.make_ratings(6_040, 3_706, 1_000_000, random_state=0)
    sets["made-up 1 M"] = fastcf.data.train_test_split(made_up, random_state=0)
    results: list[dict[str, Any]] = []
    print("| network | " + " | ".join(sets) + " |\n|---|" + "---|" * len(sets))
    for label, model in (("bias model", fastcf.BiasModel()), ("MatrixFactorization", fastcf.MatrixFactorization())):
        if label != "bias model":
            model.set_params(random_state=0, n_threads=arguments.threads)
        errors = {name: -model.fit(train).score(held_out) for name, (train, held_out) in sets.items()}
        results.append({"network": label, **errors})
        print(f"| {label} | " + " | ".join(f"{error:.4f}" for error in errors.values()) + " |", flush=True)
    for label, options in NETWORKS.items():
        cells, row = [], {"network": label, "options": {k: str(v) for k, v in options.items()}}
        for name, (train, held_out) in sets.items():
            epochs = arguments.epochs // 3 if label == SLOW and name != "ml-latest-small" else arguments.epochs
            network = fastcf.Autoencoder(
                **{"random_state": 0, "n_epochs": epochs, "n_threads": arguments.threads, **options}
            )
            started = time.perf_counter()
            end = ""
            try:
                network.fit(train, validation=held_out)
            except fastcf.DivergenceError:
                end = ", then diverged"
            seconds = time.perf_counter() - started
            history = network.history_[1:]  # after each epoch of training
            best = min(history, key=lambda record: record["validation_rmse"])
            cells.append(f"{best['validation_rmse']:.4f} ({best['epoch']}; {best['train_rmse']:.3f}{end})")
            row[name] = {key: best[key] for key in ("validation_rmse", "train_rmse", "epoch")}
            row[name].update(seconds=seconds, diverged=bool(end))
            row[name]["curve"] = [[record["train_rmse"], record["validation_rmse"]] for record in history]
        results.append(row)
        print(f"| {label} | " + " | ".join(cells) + " |", flush=True)
    if arguments.plots:
        plot_all(results, arguments.plots)
    print("\nwritten:", write_json("ablation", {"epochs": arguments.epochs, "results": results}))


if __name__ == "__main__":
    main()
