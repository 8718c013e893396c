"""The service over HTTP: what it answers is what the model answers, and what it refuses it says why."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastcf
from fastcf.retrieval import Popular, TopItems, TwoStageRecommender

pytest.importorskip("fastapi", reason="the extra fastcf[serve] is not installed")

from fastapi.testclient import TestClient
from pydantic import TypeAdapter

from fastcf.serving import NeighbourTable, create_app
from fastcf.serving.messages import json_id

N_USERS, N_ITEMS = 60, 40


def strings(ratings: fastcf.Ratings) -> fastcf.Ratings:
    """Return ratings with texts for ids."""
    users, items, values = ratings.to_coo()
    return fastcf.Ratings.from_coo([f"u{user}" for user in users], [f"i{item}" for item in items], values)


RATINGS = fastcf.data.make_ratings(N_USERS, N_ITEMS, 900, random_state=0)
MODELS: dict[str, Any] = {
    "ratings": fastcf.MatrixFactorization(4, n_epochs=3, random_state=0).fit(RATINGS),
    "choices": fastcf.LinearAutoencoder(threshold=4).fit(RATINGS),
    "labels": fastcf.MatrixFactorization(4, cost="logistic", threshold=4, n_epochs=3, random_state=0).fit(RATINGS),
    "texts": fastcf.LinearAutoencoder(threshold=4).fit(strings(RATINGS)),
    "biases": fastcf.BiasModel().fit(RATINGS),
    "popular": fastcf.Popular(threshold=4).fit(RATINGS),
    "network of items": fastcf.Autoencoder((6,), orientation="item", n_epochs=1, random_state=0).fit(RATINGS),
}
MODELS["two stages"] = TwoStageRecommender(
    [Popular(k=10), TopItems(MODELS["choices"], k=20)], ranker=MODELS["ratings"]
).fit(RATINGS)


@contextmanager
def served(model: Any, folder: Path, **options: Any) -> Iterator[TestClient]:
    path = folder / "model.fastcf"
    model.save(path, metadata={"trained on": "made-up ratings"})
    (folder / "titles.csv").write_text("id,title\n" + "".join(f"{one},Film {one}\n" for one in model.items_.ids))
    options = {"titles": folder / "titles.csv", **options}
    with TestClient(create_app(path, **options), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module", params=list(MODELS))
def each(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, TestClient]]:
    """Each model in turn, and a client of a service of it."""
    model = MODELS[request.param]
    with served(model, tmp_path_factory.mktemp("served")) as client:
        yield model, client


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a service of the model of ratings, with small limits."""
    folder = tmp_path_factory.mktemp("served")
    with served(MODELS["ratings"], folder, max_n=20, max_batch=5, max_body=2000) as client:
        yield client


def asked(client: TestClient, path: str, **fields: Any) -> Any:
    """Return the answer to a request, which must be JSON as other languages read it."""
    response = client.post(path, json=fields)
    assert response.status_code == 200, response.text
    return json.loads(response.text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))


def refused(client: TestClient, status: int, path: str, **fields: Any) -> dict[str, Any]:
    """Return the first reason of a refusal, which has all that the page on errors promises."""
    response = client.post(path, json=fields)
    assert response.status_code == status, response.text
    first = response.json()["errors"][0]
    assert set(first) == {"caller", "argument", "requirement", "value", "remedy"}
    assert first["caller"] == f"POST {path}"
    assert first["requirement"]
    return first


def pairs_of(answer: dict[str, Any]) -> tuple[list[Any], list[float]]:
    return [item["item"] for item in answer["items"]], [item["score"] for item in answer["items"]]


# ------------------------------------------------------------------------------------------------------ answers


def test_recommend_answers_what_the_model_does(each: tuple[Any, TestClient]) -> None:
    model, client = each
    user = model.users_.id_at(7)
    answer = asked(client, "/recommend", user=user, n=N_ITEMS)
    found = model.recommend(user, N_ITEMS)
    items, scores = pairs_of(answer)
    assert items == found.items[np.isfinite(found.scores)].tolist()
    assert np.array_equal(np.float32(scores), found.scores[np.isfinite(found.scores)])
    assert answer["known"]
    assert answer["items"][0]["title"] == f"Film {items[0]}"


def test_recommend_to_a_history_answers_what_the_model_does(each: tuple[Any, TestClient]) -> None:
    model, client = each
    items = [model.items_.id_at(row) for row in (3, 5, 8)]
    history = [{"item": item, "rating": rating} for item, rating in zip(items, (5, 4, 1), strict=True)]
    if "history" in client.get("/model").json()["lacks"]:
        reason = refused(client, 501, "/recommend", history=history)
        assert type(model).__name__ in reason["remedy"]
        return
    pairs = np.array([(0, item) for item in items], dtype=object)
    found = model.recommend(history=(pairs, [5, 4, 1]), n=6)
    answer = asked(client, "/recommend", history=[*history, {"item": "nothing", "rating": 5}], n=6)
    assert pairs_of(answer)[0] == found.items[0][found.mask[0]].tolist()
    assert answer["unknown_items"] == ["nothing"]
    assert not {item["item"] for item in answer["items"]} & set(items)
    assert asked(client, "/recommend", history=[], n=3)["known"] is False


def test_batch_answers_as_one_by_one(each: tuple[Any, TestClient]) -> None:
    model, client = each
    users = [model.users_.id_at(row) for row in (7, 2, 9)]
    answers = asked(client, "/batch", users=[*users, "stranger"], n=4)["lists"]
    alone = [asked(client, "/recommend", user=user, n=4) for user in [*users, "stranger"]]
    assert answers == [{name: answer[name] for name in answers[0]} for answer in alone]
    assert asked(client, "/batch", users=[])["lists"] == []
    if "history" not in client.get("/model").json()["lacks"]:
        histories = [[], [{"item": model.items_.id_at(1)}], []]
        answers = asked(client, "/batch", histories=histories, n=4)["lists"]
        alone = [asked(client, "/recommend", history=history, n=4) for history in histories]
        assert answers == [{name: answer[name] for name in answers[0]} for answer in alone]


def test_similar_answers_what_the_model_does_or_says_why_not(each: tuple[Any, TestClient]) -> None:
    model, client = each
    item = model.items_.id_at(5)
    if not hasattr(model, "similar_items"):
        assert type(model).__name__ in refused(client, 501, "/similar", item=item)["remedy"]
        return
    found = model.similar_items(item, 5)
    answer = asked(client, "/similar", item=str(item), n=5)
    assert answer["item"] == item
    assert pairs_of(answer)[0] == found.ids[found.mask].tolist()
    assert refused(client, 404, "/similar", item="nothing")["value"] == "nothing"


def test_predict_answers_what_the_model_does(each: tuple[Any, TestClient]) -> None:
    model, client = each
    user, item = model.users_.id_at(7), model.items_.id_at(5)
    if not hasattr(model, "predict"):
        assert type(model).__name__ in refused(client, 501, "/predict", user=user, items=[item])["remedy"]
        return
    answer = asked(client, "/predict", user=user, items=[item, "nothing"])
    first, second = answer["predictions"]
    assert np.float32(first["prediction"]) == model.predict(np.array([[user, item]], dtype=object))[0]
    assert [first["known"], second["known"]] == [True, False]
    assert asked(client, "/predict", user="nobody", items=[item])["known"] is False
    assert asked(client, "/predict", user=user, items=[])["predictions"] == []
    if "history" not in client.get("/model").json()["lacks"]:
        history = [{"item": model.items_.id_at(1), "rating": 5}]
        answer = asked(client, "/predict", history=history, items=[item])
        pairs = np.array([(0, model.items_.id_at(1))], dtype=object)
        wanted = model.predict(np.array([[0, item]], dtype=object), history=(pairs, [5]))
        assert np.float32(answer["predictions"][0]["prediction"]) == wanted[0]


def test_explain_answers_what_the_model_does_or_says_why_not(each: tuple[Any, TestClient]) -> None:
    model, client = each
    item, own = model.items_.id_at(5), [model.items_.id_at(row) for row in (1, 2)]
    if not hasattr(model, "explain"):
        with pytest.raises(AttributeError) as why:
            _ = model.explain
        assert refused(client, 501, "/explain", user=model.users_.id_at(0), item=item)["remedy"] == str(why.value)
        return
    if "history" in signature(model.explain).parameters:
        history = [{"item": one, "rating": 5} for one in own]
        answer = asked(client, "/explain", history=history, item=str(item), n=1)
        pairs = np.array([(0, one) for one in own], dtype=object)
        found = model.explain(0, item, n=1, history=(pairs, [5, 5]))
    else:
        answer = asked(client, "/explain", user=7, item=str(item), n=1)
        found = model.explain(7, item, n=1)
        assert refused(client, 501, "/explain", history=[], item=item)["value"] == "history"
    assert [answer[name] for name in ("item", "kind", "n_rest", "known")] == [item, found.kind, found.n_rest, True]
    assert [answer[name] for name in ("score", "prediction", "rest")] == pytest.approx(
        [found.score, found.prediction, found.rest]
    )
    assert answer["base"] == pytest.approx(found.base)
    assert [share["id"] for share in answer["shares"]] == found.ids.tolist()
    if found.kind == "item":
        assert [share["title"] for share in answer["shares"]] == [f"Film {one}" for one in found.ids]
    parts = [*answer["base"].values(), *(share["value"] for share in answer["shares"])]
    assert sum(parts) + answer["rest"] + answer["unexplained"] == pytest.approx(answer["score"], abs=1e-6)
    assert refused(client, 404, "/explain", user=7, item="nothing")["argument"] == "item"


def test_explain_a_blend_by_members_and_by_items(tmp_path: Path) -> None:
    als = fastcf.MatrixFactorization(4, solver="als", n_epochs=5, random_state=0)
    blend = fastcf.Blend([("biases", fastcf.BiasModel()), ("als", als)], random_state=0)
    with served(blend.fit(RATINGS), tmp_path) as client:
        history = [{"item": 1, "rating": 5.0}, {"item": 2, "rating": 1.0}]
        by_member = asked(client, "/explain", history=history, item=5)
        assert by_member["kind"] == "member"
        assert by_member["members"]["als"]["kind"] == "item"
        by_item = asked(client, "/explain", history=history, item=5, by="item")
        assert {share["id"] for share in by_item["shares"]} == {1, 2}
        assert by_item["score"] == by_member["score"]


def test_related_items_are_looked_up_where_a_table_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, table = MODELS["ratings"], tmp_path / "table"
    NeighbourTable.of(model, 6).save(table)
    wanted = model.similar_items(3, 9)

    def first(client: TestClient, n: int, **more: Any) -> Any:
        return pairs_of(asked(client, "/similar", item=3, n=n, **more))

    for neighbours in (np.int64(6), table, NeighbourTable.of(model, 6)):
        with served(model, tmp_path, neighbours=neighbours) as client:
            answer = client.get("/model").json()
            assert list(answer["files"]) == ["titles", "neighbours"][: 1 + (neighbours is table)]
            assert first(client, 9) == (wanted.ids.tolist(), pytest.approx(wanted.scores.tolist()))
            dot = model.similar_items(3, 4, metric="dot", exclude=[1])
            assert first(client, 4, metric="dot", exclude=[1])[0] == dot.ids.tolist()
            with monkeypatch.context() as no_model:
                no_model.setattr(fastcf.MatrixFactorization, "similar_items", None)
                assert first(client, 6)[0] == wanted.ids[:6].tolist()
                assert refused(client, 404, "/similar", item=999)["argument"] == "item"
    with served(MODELS["two stages"], tmp_path, neighbours=table) as client:  # which itself compares no items
        assert first(client, 5)[0] == wanted.ids[:5].tolist()
        assert "at most 6" in refused(client, 422, "/similar", item=3, n=7)["requirement"]
        assert "cosine" in refused(client, 422, "/similar", item=3, n=5, metric="dot")["requirement"]
        assert refused(client, 501, "/similar", item=3, n=5, exclude=[1])["argument"] == "exclude"
    with served(fastcf.BiasModel().fit(RATINGS), tmp_path, neighbours=table) as client:  # nor does this one
        assert refused(client, 422, "/similar", item=3, n=5, exclude=[1])["argument"] == "exclude"
        assert refused(client, 422, "/similar", item=3, n=7)["argument"] == "n"
    by_product = NeighbourTable.of(model, 6, metric="dot")  # whose metric is that of requests without one
    dot = model.similar_items(3, 5, metric="dot").ids.tolist()
    for each in (fastcf.BiasModel().fit(RATINGS), model):
        with served(each, tmp_path, neighbours=by_product) as client:
            assert first(client, 5)[0] == first(client, 5, metric="dot")[0] == dot


def test_a_table_of_other_items_is_refused_and_a_new_one_is_served(tmp_path: Path) -> None:
    path, table = tmp_path / "model", tmp_path / "table"
    some = fastcf.Ratings.from_coo(*(column[RATINGS.indices < 30] for column in RATINGS.to_coo()))
    smaller = fastcf.MatrixFactorization(3, n_epochs=1, random_state=0).fit(some)
    smaller.save(path)
    NeighbourTable.of(smaller, 5).save(table)
    live = create_app(path, neighbours=table, reload_every=0).state.service.live
    first = live.current
    MODELS["ratings"].save(path)
    assert live.reload_if_changed()
    assert live.current is first
    assert "must have the model's 40 items" in live.error
    NeighbourTable.of(MODELS["ratings"], 5).save(table)
    assert live.reload_if_changed()
    assert live.error is None
    assert live.current.beside.digests["neighbours"] != first.beside.digests["neighbours"]
    assert live.current.similar(35, 3, "cosine").ids.tolist() == MODELS["ratings"].similar_items(35, 3).ids.tolist()
    with pytest.raises(fastcf.DataError, match="must be a table of neighbours; is a MatrixFactorization"):
        create_app(path, neighbours=path)
    MODELS["two stages"].save(tmp_path / "two")
    with pytest.raises(fastcf.DataError, match="TwoStageRecommender compares no items"):
        create_app(tmp_path / "two", neighbours=5)


def test_rules_of_a_file_apply_to_all_lists_and_are_watched(tmp_path: Path) -> None:
    model, rules = MODELS["ratings"], tmp_path / "rules.json"
    best = model.recommend(7, 3).items.tolist()
    rules.write_text(json.dumps({"exclude": best[:1], "exclude_for": {"7": best[1:2]}}))
    with served(model, tmp_path, rules=rules, reload_every=0.01) as client:

        def first() -> list[int]:
            return pairs_of(asked(client, "/recommend", user=7))[0][:1]

        assert pairs_of(asked(client, "/batch", users=[7])["lists"][0]) == pairs_of(asked(client, "/recommend", user=7))
        assert first() == best[2:]
        before = client.get("/model").json()
        other = tmp_path / "other.json"
        other.write_text("{}")
        other.replace(rules)
        for _ in range(6000):
            if first() == best[:1]:
                break
            time.sleep(0.01)
        assert first() == best[:1]
        after = client.get("/model").json()
        assert (before["version"], before["files"]["titles"]) == (after["version"], after["files"]["titles"])
        assert before["files"]["rules"] != after["files"]["rules"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1]", "must be a JSON object; got list"),
        ('{"most": 1}', "arguments of fastcf.serving.Rules only; got most"),
        ('{"quotas": 1}', "categories must be given"),
        ("{", "Expecting"),
    ],
)
def test_a_file_without_rules_is_refused(tmp_path: Path, text: str, why: str) -> None:
    MODELS["biases"].save(tmp_path / "model")
    (tmp_path / "rules").write_text(text)
    with pytest.raises(fastcf.DataError, match=f"rules: is no file of rules: .*{why}"):
        create_app(tmp_path / "model", rules=tmp_path / "rules")


def test_answers_name_the_version_of_the_file(each: tuple[Any, TestClient]) -> None:
    model, client = each
    version = client.get("/model").json()["version"]
    assert len(version) == 64
    assert {client.get("/health").json()["version"], client.get("/search").json()["version"]} == {version}
    assert asked(client, "/recommend", user=model.users_.id_at(0))["version"] == version


def test_model_says_what_is_served(client: TestClient) -> None:
    answer = client.get("/model").json()
    assert [answer[name] for name in ("model", "n_users", "n_items", "titles")] == [
        "MatrixFactorization", N_USERS, N_ITEMS, True,
    ]  # fmt: skip
    assert answer["limits"] == {"n": 20, "batch": 5, "body": 2000}
    assert answer["metadata"] == {"trained on": "made-up ratings"}
    low, high = MODELS["ratings"].rating_range_
    assert answer["scale"] == {"kind": "ratings", "low": low, "high": high, "step": 0.5, "liked": high, "disliked": low}


def test_a_scale_is_that_of_the_model(each: tuple[Any, TestClient]) -> None:
    model, client = each
    scale = client.get("/model").json()["scale"]
    if not hasattr(model, "state"):
        assert scale is None
    elif scale["kind"] == "ratings":
        assert (scale["low"], scale["high"]) == model.rating_range_
    else:
        assert (scale["low"], scale["liked"], scale["disliked"]) == (None, 4.0, 3.0)


def test_seen_items_are_those_of_training(client: TestClient) -> None:
    model = MODELS["ratings"]
    indptr, rows = model.seen_
    found = client.get("/seen", params={"user": "7", "n": 20}).json()["items"]
    row = int(model.users_.rows([7])[0])
    wanted = model.items_.ids[rows[indptr[row] : indptr[row + 1]]].tolist()
    assert [item["item"] for item in found] == wanted[:20]
    assert client.get("/seen", params={"user": "nobody"}).status_code == 404


def test_what_is_liked_is_a_choice_of_every_member_of_a_blend(tmp_path: Path) -> None:
    members = [("linear", fastcf.LinearAutoencoder(threshold=4)), ("popular", fastcf.Popular(threshold=3))]
    blend = fastcf.Blend(members, metric="ndcg@5", random_state=0).fit(RATINGS)
    with served(blend, tmp_path) as client:
        scale = client.get("/model").json()["scale"]
        assert (scale["kind"], scale["liked"], scale["disliked"]) == ("choices", 4.0, 0.0)
        history = [{"item": item} for item in (1, 2)]
        liked = [{**each, "rating": 4.0} for each in history]
        assert asked(client, "/recommend", history=history) == asked(client, "/recommend", history=liked)


def test_filters_are_those_of_the_model(client: TestClient) -> None:
    model = MODELS["ratings"]
    best = model.recommend(7, 5).items.tolist()
    options = {"exclude": [best[0], str(best[1]), "nothing"], "candidates": best, "exclude_seen": False}
    answer = asked(client, "/recommend", user=7, n=5, **options)
    assert [item["item"] for item in answer["items"]] == best[2:]
    at_least = float(model.recommend(7, 3).scores[2])
    assert len(asked(client, "/recommend", user=7, min_score=at_least)["items"]) == 3
    assert refused(client, 404, "/recommend", user=7, exclude=["nothing"], strict=True)["argument"] == "exclude"
    assert refused(client, 404, "/recommend", user="me", strict=True)["argument"] == "user"
    assert refused(client, 404, "/recommend", history=[{"item": "x"}], strict=True)["argument"] == "history"


def test_titles_come_from_a_file_where_one_is_given(tmp_path: Path) -> None:
    (tmp_path / "titles.csv").write_text("code;name\n1;One\n2;Two\n")
    columns = {"id": "code", "title": "name"}
    MODELS["ratings"].save(tmp_path / "model")
    app = create_app(tmp_path / "model", titles=tmp_path / "titles.csv", title_columns=columns)
    found = TestClient(app).get("/search", params={"words": "tw"}).json()["items"]
    assert found == [{"item": 2, "title": "Two"}]


@given(st.integers(-(2**70), 2**70))
def test_ids_are_numbers_where_all_readers_keep_their_digits(one: int) -> None:
    written = json_id(one)
    assert int(written) == one
    assert isinstance(written, str) or float(written) == one


# ----------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("path", "fields", "argument"),
    [
        ("/recommend", {}, ""),
        ("/recommend", {"user": 1, "history": []}, ""),
        ("/recommend", {"user": 1, "n": 0}, "n"),
        ("/recommend", {"user": 1, "n": 21}, "n"),
        ("/recommend", {"user": 1, "n": "10"}, "n"),
        ("/recommend", {"user": 1.5}, "user.int"),
        ("/recommend", {"user": 1, "most": 5}, "most"),
        ("/recommend", {"history": [{"item": 1}, {"item": "1"}]}, "history"),
        ("/recommend", {"history": [{"item": 1, "rating": "good"}]}, "history.0.rating"),
        ("/batch", {"users": [1], "histories": [[]]}, ""),
        ("/similar", {"item": 1, "metric": "near"}, "metric"),
        ("/similar", {}, "item"),
        ("/predict", {"user": 1, "items": 5}, "items"),
    ],
)
def test_a_wrong_field_is_named(client: TestClient, path: str, fields: dict[str, Any], argument: str) -> None:
    assert refused(client, 422, path, **fields)["argument"] == argument


@pytest.mark.parametrize(
    "text", ['{"user": 1, "min_score": NaN}', '{"user": 1, "min_score": -Infinity}', "{", "[]", ""]
)
def test_what_is_no_json_object_is_refused(client: TestClient, text: str) -> None:
    response = client.post("/recommend", content=text, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["requirement"]


def test_a_batch_or_a_body_that_is_too_large_is_refused(client: TestClient) -> None:
    assert refused(client, 413, "/batch", users=[1, 2, 3, 4, 5, 6])["argument"] == "users"
    assert refused(client, 413, "/recommend", user=1, exclude=list(range(1000)))["argument"] == "body"

    def pieces() -> Iterator[bytes]:
        for _ in range(300):
            yield b"          "

    response = client.post("/recommend", content=pieces())  # without a length
    assert response.status_code == 413
    assert "2,000 bytes" in response.json()["errors"][0]["requirement"]


def test_what_the_model_refuses_is_passed_on(tmp_path: Path) -> None:
    model = fastcf.LinearAutoencoder().fit(RATINGS)  # without a threshold values are strengths
    with served(model, tmp_path) as client:
        reason = refused(client, 422, "/recommend", history=[{"item": 1, "rating": -1}])
        assert "must not be negative" in reason["requirement"]
        assert reason["value"].startswith("-1")


TEXTS = st.text(max_size=4) | st.sampled_from(["\ud800", "7", "\0", "i3", "u3", "-0"])
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 45), st.integers(), st.floats(), TEXTS, st.just([]), st.just({}),
)  # fmt: skip
HISTORY = st.lists(st.fixed_dictionaries({"item": ODD}, optional={"rating": ODD}), max_size=4)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "user": ODD,
        "item": ODD,
        "history": HISTORY | ODD,
        "users": st.lists(ODD, max_size=3) | ODD,
        "histories": st.lists(HISTORY, max_size=3) | ODD,
        "items": st.lists(ODD, max_size=4) | ODD,
        "n": ODD,
        "candidates": st.lists(ODD, max_size=4),
        "exclude": st.lists(ODD, max_size=4),
        "min_score": ODD,
        "strict": ODD,
    },
)


@given(path=st.sampled_from(["/recommend", "/batch", "/similar", "/predict", "/explain"]), fields=FIELDS)
def test_whatever_is_asked_is_answered_or_refused(
    each: tuple[Any, TestClient], path: str, fields: dict[str, Any]
) -> None:
    taken = {
        "/recommend": {"user", "history", "n", "candidates", "exclude", "min_score", "strict"},
        "/batch": {"users", "histories", "n", "candidates", "exclude", "min_score", "strict"},
        "/similar": {"item", "n", "candidates", "exclude"},
        "/predict": {"user", "history", "items", "strict"},
        "/explain": {"user", "history", "item", "n"},
    }
    body = json.dumps({name: value for name, value in fields.items() if name in taken[path]})
    response = each[1].post(path, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (200, 404, 413, 422, 501), (body, response.text)
    json.loads(response.text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))


def test_wrong_paths_and_methods_are_answered_as_json(client: TestClient) -> None:
    for response, status in ((client.get("/recommend"), 405), (client.post("/nothing", json={}), 404)):
        assert response.status_code == status
        assert response.json()["errors"][0]["remedy"]


def test_a_failure_of_the_server_is_answered_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(MODELS["ratings"], tmp_path) as client:
        live = client.app.state.service.live  # type: ignore[attr-defined]  # of a FastAPI application
        monkeypatch.setattr(type(live.current.catalogue), "search", lambda *_: 1 / 0)
        response = client.get("/search")
        assert response.status_code == 500
        assert response.json()["errors"][0]["value"] == "ZeroDivisionError"
        assert 'fastcf_requests_total{path="/search",status="500"} 1' in client.get("/metrics").text


def test_arguments_of_the_application_are_checked(tmp_path: Path) -> None:
    MODELS["biases"].save(tmp_path / "model")
    for name in ("max_n", "max_batch", "max_body", "neighbours"):
        with pytest.raises(ValueError, match=f"create_app: {name} must be an integer of at least 1 .*; got 0"):
            create_app(tmp_path / "model", **{name: 0})
    for name, wrong in (("neighbours", 5.0), ("rules", {"exclude": [1]})):
        with pytest.raises(TypeError, match=f"create_app: {name} must be .* or the path of a file; got"):
            create_app(tmp_path / "model", **{name: wrong})
    with pytest.raises(ValueError, match="reload_every must be at least 0 seconds"):
        create_app(tmp_path / "model", reload_every=float("nan"))
    with pytest.raises(FileNotFoundError):
        create_app(tmp_path / "none")


# ------------------------------------------------------------------------------------------------- descriptions


def test_openapi_describes_every_path(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {
        "/recommend", "/batch", "/similar", "/predict", "/explain", "/search", "/seen", "/model", "/health", "/metrics",
    }  # fmt: skip
    for path, methods in described["paths"].items():
        for operation in methods.values():
            assert operation["description"], path
    assert TypeAdapter(dict[str, Any]).validate_python(described["components"]["schemas"])


def test_the_page_loads_nothing_from_elsewhere(client: TestClient) -> None:
    response = client.get("/")
    assert response.headers["content-security-policy"].startswith("default-src 'self'")
    texts = [
        response.text,
        *(client.get(f"/page/{name}").text for name in ("page.js", "parts.js", "api.js", "page.css")),
    ]
    assert not [text for text in texts if "://" in text.replace("http://www.w3.org/2000/svg", "")]


def test_there_may_be_no_page(tmp_path: Path) -> None:
    with served(MODELS["biases"], tmp_path, page=False) as client:
        assert client.get("/").status_code == 404


def test_a_file_without_lists_for_users_is_refused(tmp_path: Path) -> None:
    Popular(k=5).fit(RATINGS).save(tmp_path / "source")
    with pytest.raises(fastcf.DataError, match="which makes no lists for users"):
        create_app(tmp_path / "source")
