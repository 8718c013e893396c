"""Runs and relevance judgements: the forms of ir-measures and TREC, and the same figures there."""

from __future__ import annotations

import numpy as np
import pytest

import fastcf
from fastcf.metrics import ranking_by_user, to_qrels, to_run


@pytest.fixture(scope="module")
def held_out():
    rng = np.random.default_rng(0)
    pairs = rng.choice(30 * 50, 300, replace=False)
    return fastcf.Ratings.from_coo(pairs // 50, pairs % 50, rng.integers(1, 11, 300) / 2)


@pytest.fixture(scope="module")
def lists():
    return np.random.default_rng(1).permuted(np.tile(np.arange(50), (30, 1)), axis=1)[:, :20]


@pytest.mark.parametrize("threshold", [None, 3.5])
def test_figures_equal_those_of_ir_measures(held_out, lists, threshold):
    peer = pytest.importorskip("ir_measures")
    names = {
        peer.P: "precision",
        peer.R: "recall",
        peer.Success: "hit",
        peer.RR: "reciprocal_rank",
        peer.nDCG: "ndcg",
    }
    run = to_run(lists, range(30)).to_dict()
    binary, graded = (to_qrels(held_out, threshold=threshold, unit=unit).to_dict() for unit in (None, 0.5))
    ours = ranking_by_user(lists, range(30), held_out, k=[1, 5, 20], threshold=threshold)

    def of_peer(measure, qrels):
        values = {one.query_id: one.value for one in peer.iter_calc([measure], qrels, run)}
        return [values[str(user)] for user in each.users.tolist()]

    for k, each in ours.items():
        for measure, name in names.items():
            np.testing.assert_allclose(getattr(each, name), of_peer(measure @ k, binary), rtol=1e-6)
        np.testing.assert_allclose(each.graded_ndcg, of_peer(peer.nDCG @ k, graded), rtol=1e-6)
        shared = np.minimum(k, each.n_relevant) / each.n_relevant  # AP@k divides by all relevant items
        np.testing.assert_allclose(each.average_precision * shared, of_peer(peer.AP @ k, binary), rtol=1e-6)


@pytest.mark.slow  # ranx is compiled by Numba
@pytest.mark.filterwarnings("ignore")  # of its compiler
@pytest.mark.parametrize("threshold", [None, 3.5])
def test_figures_equal_those_of_ranx(held_out, lists, threshold):
    peer = pytest.importorskip("ranx")
    names = {
        "precision": "precision",
        "recall": "recall",
        "hit_rate": "hit",
        "mrr": "reciprocal_rank",
        "ndcg": "ndcg",
    }
    ours = ranking_by_user(lists, range(30), held_out, k=[1, 5, 20], threshold=threshold)
    run = peer.Run(to_run(lists, range(30)).to_dict())
    binary, graded = (peer.Qrels(to_qrels(held_out, threshold=threshold, unit=unit).to_dict()) for unit in (None, 0.5))

    def of_peer(measure, qrels):
        peer.evaluate(qrels, run, measure, make_comparable=True)
        values = run.scores[measure]
        return [values[str(user)] for user in each.users.tolist()]

    for k, each in ours.items():
        for measure, name in names.items():
            np.testing.assert_allclose(getattr(each, name), of_peer(f"{measure}@{k}", binary), rtol=1e-6)
        np.testing.assert_allclose(each.graded_ndcg, of_peer(f"ndcg@{k}", graded), rtol=1e-6)
        shared = np.minimum(k, each.n_relevant) / each.n_relevant  # map@k divides by all relevant items
        np.testing.assert_allclose(each.average_precision * shared, of_peer(f"map@{k}", binary), rtol=1e-6)


def test_run_of_recommendations_has_their_order_and_no_padding():
    train = fastcf.data.make_ratings(30, 40, 600, random_state=0)
    model = fastcf.MatrixFactorization(2, random_state=0).fit(train)
    users = train.users.ids[:5]
    found = model.recommend(users, n=40)
    run = to_run(found)
    frame = run.to_frame()
    assert list(frame.columns) == ["query_id", "doc_id", "score"]
    assert len(frame) == found.mask.sum() < 200
    for row, user in enumerate(users):
        own = frame[frame.query_id == str(user)].sort_values("score", ascending=False)
        assert own.doc_id.tolist() == [str(item) for item in found.items[row][found.mask[row]]]
        assert not own.score.duplicated().any()
    assert to_run(model, users, k=3).to_dict() == to_run(model.recommend(users, n=3)).to_dict()
    lengths = [len(items) for items in to_run(model, users).to_dict().values()]
    assert lengths == [min(10, n) for n in found.mask.sum(axis=1).tolist() if n]


def test_trec_files_of_runs_and_judgements(held_out):
    run = to_run([["a", "b"], ["c", "a"]], ["u", "v"])
    assert run.to_trec("mine").splitlines() == [
        "u Q0 a 1 2 mine",
        "u Q0 b 2 1 mine",
        "v Q0 c 1 2 mine",
        "v Q0 a 2 1 mine",
    ]
    few = fastcf.Ratings.from_coo(["v", "u", "u"], ["c", "a", "b"], [3.0, 5.0, 1.0])
    assert to_qrels(few, threshold=3, unit=1).to_trec().splitlines() == ["u 0 a 5", "v 0 c 3"]
    assert to_qrels(few).to_frame().relevance.tolist() == [1, 1, 1]
    peer = pytest.importorskip("ir_measures")
    read = list(peer.read_trec_qrels(to_qrels(held_out, unit=0.5).to_trec()))
    assert [(one.query_id, one.doc_id, one.relevance) for one in read] == list(
        to_qrels(held_out, unit=0.5).to_frame().itertuples(index=False, name=None)
    )
    read = list(peer.read_trec_run(run.to_trec()))
    assert [(one.query_id, one.doc_id, one.score) for one in read] == list(
        run.to_frame().itertuples(index=False, name=None)
    )


def test_runs_refuse_what_has_no_form(held_out):
    with pytest.raises(
        ValueError, match=r"to_qrels: ratings must be whole numbers of units, at least 0; got \d.5 with"
    ):
        to_qrels(held_out, unit=1)
    with pytest.raises(ValueError, match="to_qrels: unit must be above 0; got 0"):
        to_qrels(held_out, unit=0)
    with pytest.raises(ValueError, match="to_qrels: some user must have relevant ratings"):
        to_qrels(held_out, threshold=9)
    with pytest.raises(ValueError, match="ids must not be empty or hold white space, which ends a column; got 'a b'"):
        to_run([["a b"]], ["u"]).to_trec()
    with pytest.raises(ValueError, match="got 'my system'"):
        to_run([["a"]], ["u"]).to_trec("my system")
    with pytest.raises(ValueError, match="to_run: users must be distinct, a list each; got 2 lists of user 1"):
        to_run([[1], [2]], [1, 1])
    with pytest.raises(ValueError, match="to_run: k must be an integer from 1 to 1, the length of the lists; got 2"):
        to_run([[1], [2]], [1, 2], k=2)
