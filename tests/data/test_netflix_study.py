"""bench/netflix.py, on a small folder in the layout of the Netflix Prize set."""

from __future__ import annotations

import json

import numpy as np
import pytest

import netflix
from fastcf.data import read_log


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ratings of all months that the study looks at; user 90001 and movie 31 come in a test month only."""
    path = tmp_path_factory.mktemp("netflix")
    rng = np.random.default_rng(0)
    days = np.arange(np.datetime64("2004-05-25"), np.datetime64("2006-01-01"))
    (path / "training_set").mkdir()
    for movie in range(1, 31):
        users = rng.permutation(60)[:50] * 7 + 6
        rows = [f"{user},{rng.integers(1, 6)},{day}" for user, day in zip(users, rng.choice(days, 50), strict=True)]
        rows += ["90001,3,2005-12-24"] * (movie == 1)
        (path / "training_set" / f"mv_{movie:07d}.txt").write_text(f"{movie}:\n" + "\n".join(rows) + "\n")
    (path / "training_set" / "mv_0000031.txt").write_text("31:\n6,1,2005-12-01\n")
    return path


@pytest.mark.parametrize("name", netflix.SPLITS)
def test_netflix_splits_are_by_day_and_by_what_is_known(folder, name):
    log = read_log(folder)
    parts = netflix.split(log, name, seed=1)
    first, last, first_test, last_test = map(netflix.seconds, netflix.SPLITS[name])
    assert first < last < first_test < last_test
    assert parts.train.nnz == ((log.timestamps >= first) & (log.timestamps <= last)).sum()
    in_test = (log.timestamps >= first_test) & (log.timestamps <= last_test)
    in_test &= np.isin(log.users, parts.train.users.ids) & np.isin(log.items, parts.train.items.ids)
    wanted = sorted(zip(log.users[in_test], log.items[in_test], log.ratings[in_test], strict=True))
    assert sorted(row for part in parts[1:] for row in zip(*part.to_coo(), strict=True)) == wanted
    assert 90001 not in parts.train.users.ids
    assert min(part.nnz for part in parts) > 10
    again = netflix.split(log, name, seed=1)
    assert [part.nnz for part in again] == [part.nnz for part in parts]


def test_netflix_study_runs_and_goes_on_where_it_was(folder, tmp_path, capsys):
    results = tmp_path / "results" / "study.jsonl"
    arguments = [str(folder), "--epochs", "2", "--threads", "1", "--device", "cpu", "--results", str(results)]
    netflix.main([*arguments, "--sets", "3 months", "--only", "deep", "deep, tied"])
    capsys.readouterr()
    results.write_text(results.read_text() + '{"set": "3 mon')  # stopped while it wrote
    netflix.main([*arguments, "--sets", "3 months", "1 year"])
    lines = [json.loads(line) for line in results.read_text().splitlines() if line.endswith("}")]
    rows = [row for row in (*netflix.ablation("3 months"), *netflix.FINAL) if row.set in ("3 months", "1 year")]
    assert sorted((line["set"], line["network"]) for line in lines) == sorted((row.set, row.network) for row in rows)
    assert all(0.5 < line[name] < 6 for line in lines for name in ("train_rmse", "dev_rmse", "test_rmse"))
    assert all(len(line["dev_curve"]) == 2 for line in lines)

    capsys.readouterr()
    netflix.main([*arguments, "--sets", "3 months", "1 year"])  # nothing is left to do
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 2 + len(rows)
    cells = {tuple(line.split(" | ")[:2]): line.strip("| ").split(" | ") for line in table[2:]}
    assert cells["| 3 months", "deep, tied"][5] == "–"  # the poster's figures are of the full set
    assert [row.reported_dev for row in netflix.ablation("full") if row.network == "deep, tied"] == [0.984]
    assert cells["| 1 year", "the authors' network"][7] == "0.9225"
    ablated = [row for row in cells.values() if row[1] != "the authors' network"]
    best = min(ablated, key=lambda row: float(row[4]))
    assert [row for row in ablated if row[6] != "–"] == [best]  # only the best by dev shows its test error
    assert best[7] == "–"


def test_netflix_study_of_some_users_is_a_result_of_its_own(folder, tmp_path, capsys):
    results = tmp_path / "study.jsonl"
    arguments = [str(folder), "--epochs", "1", "--threads", "1", "--device", "cpu", "--results", str(results)]
    for limit in ([], ["--limit", "20"], ["--limit", "20"]):
        netflix.main([*arguments, *limit, "--sets", "full", "--only", "the authors' network"])
    whole, some = map(json.loads, results.read_text().splitlines())
    assert (whole["limit"], some["limit"]) == (None, 20)
    assert some["users"] <= 20 < whole["users"] == 60
    with pytest.raises(SystemExit):
        netflix.main([*arguments, "--only", "deeper"])
    assert "there is no network 'deeper'; there are deep, deep, dropout" in capsys.readouterr().err
