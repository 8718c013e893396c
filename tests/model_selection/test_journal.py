"""The journal of a search: killed anywhere, the search goes on to the same table; journals of others are refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone

import fastcf
from fastcf import data
from fastcf.errors import DataError
from fastcf.model_selection import GridSearch, HalvingSearch, MedianStopping, OptunaSearch, RandomSearch

R = data.make_ratings(60, 40, 900, random_state=0)
MODEL = fastcf.MatrixFactorization(2, n_epochs=4)
SEARCH = GridSearch(MODEL, {"reg": [0.1, 1.0, 10.0]}, metric="rmse", cv=2, n_jobs=1, random_state=0)


def assert_same_table(one, other, times=()):
    found, wanted = one.cv_results_, other.cv_results_
    assert list(found) == list(wanted)
    for name in found:
        if name in times or not name.endswith("_time"):
            np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)


def test_journal_has_a_line_per_fit_and_gives_the_same_table(tmp_path):
    path = tmp_path / "search.jsonl"
    search = clone(SEARCH).fit(R, journal=path)
    head, *lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert (head["journal"], head["search"], head["seed"]) == ("search", "GridSearch", 0)
    assert [(line["params"], line["fold"]) for line in lines] == [
        ({"reg": reg}, fold) for reg in (0.1, 1.0, 10.0) for fold in (0, 1)
    ]
    before = path.read_bytes()
    again = clone(SEARCH).fit(R, journal=path)
    assert path.read_bytes() == before
    assert_same_table(again, search, times=("mean_fit_time", "std_score_time"))
    assert_same_table(search, clone(SEARCH).fit(R))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("journal") / "whole.jsonl"
    return SEARCH.fit(R, journal=path), path.read_bytes()


@given(cut=st.floats(0, 1))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_journal_cut_anywhere_goes_on_to_the_same_table(tmp_path, whole, cut):
    search, content = whole
    path = tmp_path / "cut.jsonl"
    path.write_bytes(content[: round(cut * len(content))])
    assert_same_table(clone(SEARCH).fit(R, journal=path), search)
    assert len(path.read_bytes().splitlines()) == 7


@pytest.mark.parametrize(
    "search",
    [
        RandomSearch(MODEL, {"reg": [0.1, 1.0, 10.0, 100.0]}, 4, cv=2, stopping=MedianStopping(startup=2)),
        HalvingSearch(MODEL, {"reg": [0.1, 1.0, 10.0, 100.0]}, 4, factor=2, cv=2),
        OptunaSearch(MODEL, {}, 4, batch_size=2, cv=2),
    ],
    ids=lambda search: type(search).__name__,
)
def test_journal_goes_on_with_every_search(tmp_path, search):
    if isinstance(search, OptunaSearch):
        optuna = pytest.importorskip("optuna")
        search.set_params(param_distributions={"reg": optuna.distributions.FloatDistribution(0.1, 10)})
    path = tmp_path / "search.jsonl"
    search.set_params(random_state=3, n_jobs=1)
    plain = clone(search).fit(R)
    clone(search).fit(R, journal=path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:4]))
    resumed = clone(search).fit(R, journal=path)
    assert_same_table(resumed, plain)


def test_journal_keeps_the_seed_of_a_search_without_one(tmp_path):
    path = tmp_path / "search.jsonl"
    search = clone(SEARCH).set_params(random_state=None)
    first, second = (clone(search).fit(R, journal=path) for _ in range(2))
    assert_same_table(first, second)
    seed = json.loads(path.read_text().splitlines()[0])["seed"]
    assert_same_table(first, clone(search).set_params(random_state=seed).fit(R, journal=path))


def test_journal_takes_more_candidates(tmp_path):
    path = tmp_path / "search.jsonl"
    clone(SEARCH).fit(R, journal=path)
    n_lines = len(path.read_bytes().splitlines())
    more = clone(SEARCH).set_params(param_grid={"reg": [0.1, 1.0, 10.0, 3.0]})
    assert_same_table(clone(more).fit(R, journal=path), clone(more).fit(R))
    assert len(path.read_bytes().splitlines()) == n_lines + 2


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"estimator__n_epochs": 5}, "its estimator params n_epochs is 4, not 5"),
        ({"estimator": fastcf.BiasModel(), "param_grid": {"user_reg": [1.0]}}, "its estimator class is .*MatrixFact"),
        ({"param_grid": {"n_factors": [2]}}, r"its parameters is \['reg'\], not \['n_factors'\]"),
        ({"metric": "mae"}, "its metric name is 'rmse', not 'mae'"),
        ({"cv": 3}, "its folds differ"),
        ({"random_state": 1}, "its seed is 0, not 1"),
        ({"stopping": "median"}, "its stopping is None, not 'median'"),
    ],
)
def test_journal_of_another_search_is_refused_by_name(tmp_path, params, message):
    path = tmp_path / "search.jsonl"
    clone(SEARCH).fit(R, journal=path)
    before = path.read_bytes()
    other = clone(SEARCH)
    other.set_params(**params)
    with pytest.raises(DataError, match=rf"GridSearch.fit: journal .*search.jsonl is of another search: {message}"):
        other.fit(R, journal=path)
    assert path.read_bytes() == before


def test_journal_of_other_ratings_versions_and_files_is_refused(tmp_path):
    path = tmp_path / "search.jsonl"
    clone(SEARCH).fit(R, journal=path)
    content = path.read_text()
    with pytest.raises(DataError, match="its ratings differ"):
        clone(SEARCH).fit(data.make_ratings(60, 40, 900, random_state=1), journal=path)
    named = fastcf.Ratings.from_coo([f"u{u}" for u in R.to_coo()[0]], *R.to_coo()[1:])
    with pytest.raises(DataError, match="its ratings differ"):
        clone(SEARCH).fit(named, journal=path)
    path.write_text(content.replace(f'"fastcf": "{fastcf.__version__}"', '"fastcf": "0.0.1"'))
    with pytest.raises(DataError, match=r"its fastcf is '0\.0\.1', not"):
        clone(SEARCH).fit(R, journal=path)
    for text in ("user,item\n1,2\n", '{"journal": "of a ship"}\n', "[1]\n", content + "{}\n", "7\n", "\n"):
        path.write_text(text)
        with pytest.raises(DataError, match=r"search.jsonl is no journal of a search, or damaged; name another file"):
            clone(SEARCH).fit(R, journal=path)
        assert path.read_text() == text


def test_journal_refuses_parameters_that_it_cannot_write(tmp_path):
    search = clone(SEARCH).set_params(estimator__random_state=np.random.default_rng(0))
    with pytest.raises(TypeError, match=r"GridSearch.fit: parameters in a journal must be numbers.*; got Generator"):
        search.fit(R, journal=tmp_path / "search.jsonl")


def test_journal_of_a_full_disk_is_released_and_continued(tmp_path):
    resource = pytest.importorskip("resource")
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    path, limits = tmp_path / "search.jsonl", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            clone(SEARCH).fit(R, journal=path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert_same_table(clone(SEARCH).fit(R, journal=path), clone(SEARCH).fit(R))
    with pytest.raises(IsADirectoryError, match=r"GridSearch.fit: journal must be a file; got .*, a folder"):
        clone(SEARCH).fit(R, journal=tmp_path)


def test_journal_is_written_by_one_search_at_a_time(tmp_path):
    path = tmp_path / "search.jsonl"
    refused = []

    def nested(model, held_out):
        with pytest.raises(OSError, match=rf"process {os.getpid()}, this one writes it; wait until"):
            clone(SEARCH).fit(R, journal=path)
        refused.append(True)
        return 0.0

    outer = clone(SEARCH).set_params(metric=nested, on_error="raise").fit(R, journal=path)
    assert len(refused) == 6
    assert [each.name for each in tmp_path.iterdir()] == ["search.jsonl"]
    clone(outer).fit(R, journal=path)
    with pytest.raises(DataError, match="is of another search"):
        clone(SEARCH).fit(R, journal=path)
    assert not path.with_name("search.jsonl.lock").exists()  # also after an error


KILLED = """
import sys, time, fastcf
from fastcf.model_selection import GridSearch

def slow(model, held_out):
    time.sleep(0.05)
    return model.score(held_out)

R = fastcf.data.make_ratings(60, 40, 900, random_state=0)
model = fastcf.MatrixFactorization(2, n_epochs=4)
grid = {"reg": [0.01 * n for n in range(1, 11)]}
search = GridSearch(model, grid, metric=slow, cv=2, n_jobs=2, random_state=0).fit(R, journal=sys.argv[1])
print(search.cv_results_["mean_test_score"].tolist())
"""


def test_journal_of_a_killed_search_is_continued(tmp_path):
    path = tmp_path / "search.jsonl"
    command = [sys.executable, "-c", KILLED, str(path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not path.exists() or len(path.read_bytes().splitlines()) < 6:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(OSError, match=rf"GridSearch.fit: journal .*jsonl must be .*; process {process.pid} writes it"):
        clone(SEARCH).fit(R, journal=path)
    process.kill()
    process.communicate()
    assert path.with_name("search.jsonl.lock").exists()  # left by the dead process: it does not block
    n_done = len(path.read_bytes().splitlines())
    assert n_done < 21
    resumed = subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout
    assert len(path.read_bytes().splitlines()) == 21
    assert not path.with_name("search.jsonl.lock").exists()
    plain = GridSearch(MODEL, {"reg": [0.01 * n for n in range(1, 11)]}, cv=2, random_state=0, refit=False).fit(R)
    assert json.loads(resumed) == plain.cv_results_["mean_test_score"].tolist()
