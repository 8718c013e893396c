"""The table of a search's results, with scikit-learn's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from fastcf.model_selection.candidates import Candidate

__all__ = ["ranked", "table_of"]


def _order(candidates: Sequence[Candidate], sign: int) -> NDArray[np.float64]:
    """Return the mean scores such that smaller is better; infinite where a candidate is not complete."""
    means = -sign * np.array([candidate.mean for candidate in candidates], np.float64)
    return np.where(np.isnan(means), np.inf, means)


def ranked(candidates: Sequence[Candidate], sign: int) -> list[int]:
    """Return the positions of complete candidates, the best first; of equal ones the first comes first."""
    order = _order(candidates, sign)
    return [int(n) for n in np.argsort(order, kind="stable") if np.isfinite(order[n])]


def table_of(candidates: Sequence[Candidate], sign: int) -> dict[str, Any]:
    """Return ``cv_results_``: a column per entry, a row per candidate.

    ``sign`` is 1 where greater scores are better, else -1.
    """
    table: dict[str, Any] = {}
    for name in ("fit", "score"):
        seconds = np.array(
            [
                [np.nan if outcome is None else getattr(outcome, f"{name}_seconds") for outcome in candidate.outcomes]
                for candidate in candidates
            ]
        )
        done = ~np.isnan(seconds)
        mean = np.where(done, seconds, 0).sum(axis=1) / np.maximum(done.sum(axis=1), 1)
        off = np.where(done, seconds - mean[:, None], 0) ** 2
        table[f"mean_{name}_time"] = mean
        table[f"std_{name}_time"] = np.sqrt(off.sum(axis=1) / np.maximum(done.sum(axis=1), 1))
    for name in dict.fromkeys(name for candidate in candidates for name in candidate.params):
        column: Any = np.ma.masked_all(len(candidates), dtype=object)  # type: ignore[no-untyped-call]  # untyped
        for row, candidate in enumerate(candidates):
            if name in candidate.params:
                column[row] = candidate.params[name]
        table[f"param_{name}"] = column
    table["params"] = [dict(candidate.params) for candidate in candidates]
    for name in dict.fromkeys(name for candidate in candidates for name in candidate.columns):
        table[name] = np.array([candidate.columns[name] for candidate in candidates])
    scores = np.array([candidate.scores for candidate in candidates])
    for fold, column in enumerate(scores.T):
        table[f"split{fold}_test_score"] = column
    table["mean_test_score"] = np.array([candidate.mean for candidate in candidates])
    complete = np.isfinite(table["mean_test_score"])
    table["std_test_score"] = np.where(complete, np.where(complete[:, None], scores, 0).std(axis=1), np.nan)
    table["rank_test_score"] = rankdata(_order(candidates, sign), method="min").astype(np.int32)
    table["status"] = np.array([candidate.status for candidate in candidates])
    return table
