"""The main table of the documentation: eight models on real sets, as ``fastcf.evaluate`` measures them.

    python bench/bench_evaluate.py FOLDER... [--repeats 1] [--threads 1]
    python bench/bench_evaluate.py --docs

FOLDER is a folder of ratings, or one that holds several. Choices are ratings of at least 4 of 5, or 8 of 10. Parameters
are the defaults, but 200 weights an item for the linear model. Splits, and the seeds of models, are those of
``--repeats``. Each set is written to bench/results/evaluate.json when it has been measured; others in the file stay.
``--docs`` writes the table of docs/evaluation.md from that file and measures nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import fastcf
from bench_accuracy import sets_of
from common import RESULTS, environment, write_json
from lists_protocols import read

RESULT = RESULTS / "evaluate.json"
PAGE = RESULTS.parents[1] / "docs" / "evaluation.md"
BEGIN, END = "<!-- bench/bench_evaluate.py -->", "<!-- end -->"
METRICS = ("rmse", "ndcg@10")


def models(threshold: float, threads: int | None) -> dict[str, Any]:
    """Return the models by the names of the table."""
    choices: dict[str, Any] = {"threshold": threshold, "n_threads": threads}
    return {
        "`Popular`": fastcf.Popular(**choices),
        "`ItemNeighbours`": fastcf.ItemNeighbours(**choices),
        "`ImplicitFactorization`": fastcf.ImplicitFactorization(**choices),
        "`LinearAutoencoder(neighbours=200)`": fastcf.LinearAutoencoder(neighbours=200, **choices),
        "`BiasModel`": fastcf.BiasModel(n_threads=threads),
        "`MatrixFactorization`": fastcf.MatrixFactorization(n_threads=threads),
        '`MatrixFactorization(solver="bayes")`': fastcf.MatrixFactorization(solver="bayes", n_threads=threads),
        "`Autoencoder`": fastcf.Autoencoder(n_threads=threads),
    }


def measure(folder: Path, repeats: int, threads: int | None) -> dict[str, Any]:
    """Return the table of one set as JSON has it."""
    ratings, threshold = read(folder)
    table = fastcf.evaluate(
        models(threshold, threads), ratings, metrics=METRICS, threshold=threshold, repeats=repeats, progress=True
    )
    print(f"\n{folder.name}, choices from {threshold:g} on\n{table}", flush=True)
    rows = [{name: None if value != value else value for name, value in row.items()} for row in table.to_dicts()]
    return {
        "measured": {
            "repeats": repeats,
            "threads": threads,
            **{name: environment()[name] for name in ("date", "commit")},
        },
        "ratings": ratings.nnz,
        "users": ratings.n_users,
        "items": ratings.n_items,
        "threshold": threshold,
        "held_out": table.protocol.n_held_out,
        "errors": table.errors,
        "rows": rows,
    }


def _cells(rows: list[dict[str, Any]], metric: str) -> dict[str, str]:
    """Return a cell per model: the figure and half the width of its interval, the best in bold."""
    own = {row["model"]: row for row in rows if row["metric"] == metric and row["value"] is not None}
    best = (min if metric == "rmse" else max)(own, key=lambda model: own[model]["value"])
    cells = {}
    for model, row in own.items():
        value = f"{row['value']:.3f}"
        cells[model] = f"{f'**{value}**' if model == best else value} ± {(row['upper'] - row['lower']) / 2:.3f}"
    return cells


def markdown(result: dict[str, Any]) -> str:
    """Return the table of the documentation."""
    sets = result["sets"]
    cells = {(name, metric): _cells(one["rows"], metric) for name, one in sets.items() for metric in METRICS}
    titles = {"rmse": "RMSE", "ndcg@10": "NDCG@10"}
    head = [titles[metric] if n else f"{name}: {titles[metric]}" for name in sets for n, metric in enumerate(METRICS)]
    lines = [f"| | {' | '.join(head)} |", f"|{'---|' * (len(head) + 1)}"]
    order = dict.fromkeys(row["model"] for one in sets.values() for row in one["rows"])
    for model in order:
        own = [cells[name, metric].get(model, "–") for name in sets for metric in METRICS]
        lines.append(f"| {model} | {' | '.join(own)} |")
    return "\n".join(lines)


def page_with_table(page: str, result: dict[str, Any]) -> str:
    """Return the page with the table of a result between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"the page must have the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{markdown(result)}\n{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--docs", action="store_true", help="the default without folders")
    arguments = parser.parse_args()
    sets = json.loads(RESULT.read_text(encoding="utf-8"))["sets"] if RESULT.is_file() else {}
    for path in (path for folder in arguments.folders for path in sets_of(folder)):
        sets[path.name] = measure(path, arguments.repeats, arguments.threads)
        write_json("evaluate", {"sets": sets})
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8"), result), encoding="utf-8")


if __name__ == "__main__":
    main()
