"""The table of docs/evaluation.md is the one that bench/results has the figures of."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not (ROOT / "bench" / "results").is_dir(), reason="the source tree is not here")
def test_table_of_the_documentation_is_made_of_the_results():
    from bench_evaluate import PAGE, RESULTS, page_with_table

    result = json.loads((RESULTS / "evaluate.json").read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    assert page_with_table(page, result) == page, "run python bench/bench_evaluate.py --docs"
    assert len(result["sets"]) == 3
    assert len({row["model"] for row in result["sets"]["ml-latest-small"]["rows"]}) == 8
