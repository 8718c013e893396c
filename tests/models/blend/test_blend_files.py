"""The blend of models on disk, on the command line, as scikit-learn has it, and given bad input."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold

import fastcf
from blends import MEMBERS, mf, string_ratings
from commands import run
from fastcf.serialization import load_archive, save_archive


@pytest.fixture(scope="module")
def ratings():
    return string_ratings()


@pytest.fixture(scope="module", params=MEMBERS)
def blend(request, ratings):
    return fastcf.Blend(MEMBERS[request.param](), random_state=0).fit(ratings)


# ---------------------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", ["file", "pickle", "copy"])
def test_blend_loaded_predicts_identically(blend, ratings, tmp_path, copied):
    blend.recommend("u001")
    if copied == "file":
        blend.save(tmp_path / "blend.fastcf")
        again = fastcf.load(tmp_path / "blend.fastcf")
    else:
        again = pickle.loads(pickle.dumps(blend)) if copied == "pickle" else copy.deepcopy(blend)
    assert isinstance(again, fastcf.Blend)
    np.testing.assert_array_equal(again.predict(ratings), blend.predict(ratings))
    np.testing.assert_array_equal(again.predict_matrix(["u001", "x"]), blend.predict_matrix(["u001", "x"]))
    mine, theirs = blend.recommend(["u001", "nobody"], 5), again.recommend(["u001", "nobody"], 5)
    np.testing.assert_array_equal(theirs.items, mine.items)
    np.testing.assert_array_equal(theirs.scores, mine.scores)
    for name in ("weights_", "intercept_", "reg_", "validation_rmse_", "member_rmse_", "n_validation_"):
        np.testing.assert_array_equal(getattr(again, name), getattr(blend, name))
    assert (again.users_, again.items_) == (blend.users_, blend.items_)
    if "Own(" not in repr(blend):  # loaded as its base
        assert repr(again) == repr(blend)
    np.testing.assert_array_equal(again.fit(ratings).predict(ratings), blend.predict(ratings))


def test_blend_of_fitted_members_is_loaded_with_them(ratings, tmp_path):
    train, held_out = fastcf.data.train_test_split(ratings, 0.2, random_state=0)
    models = [("mf", mf(random_state=0).fit(train)), ("no", "drop"), ("bias", fastcf.BiasModel().fit(train))]
    blend = fastcf.Blend(models, fit_members=False).fit(held_out)
    blend.save(tmp_path / "blend.fastcf", include_seen=False)
    loaded = fastcf.load(tmp_path / "blend.fastcf")
    assert [name for name, _ in loaded.models] == ["mf", "no", "bias"]
    assert loaded.models[1][1] == "drop"
    with pytest.raises(ValueError, match="exclude_seen must be False"):
        loaded.recommend("u001")
    assert loaded.models_["mf"].seen_ is None
    np.testing.assert_array_equal(loaded.fit(held_out).predict(ratings), blend.predict(ratings))


def test_blend_file_holds_ids_once(ratings, tmp_path):
    fastcf.Blend(MEMBERS["linear"](), random_state=0).fit(ratings).save(tmp_path / "blend.fastcf")
    with safe_open(tmp_path / "blend.fastcf", framework="numpy") as file:
        names = list(file.keys())
    assert not [name for name in names if name.endswith(("/user_ids", "/item_ids", "/seen_indices"))]
    assert "part0/user_factors" in names
    archive = load_archive(tmp_path / "blend.fastcf")
    assert list(archive.parts) == ["mf", "item", "bias"]
    assert archive.parts["mf"].held("user_ids") is archive.held("user_ids")


@pytest.mark.parametrize(
    "damage",
    [
        lambda archive: archive.parts.clear(),
        lambda archive: archive.parts.pop("bias"),
        lambda archive: archive.parts.update(more=archive.parts["bias"]),
        lambda archive: archive.parts.update(mf=replace(archive.parts["mf"], class_name="Nothing")),
        lambda archive: archive.parts["mf"].arrays.pop("user_ids"),
        lambda archive: archive.parts["mf"].arrays.pop("item_factors"),
        lambda archive: archive.params.update(models=[["nobody", False]]),
        lambda archive: archive.params.update(models=3),
        lambda archive: archive.params.update(reg="little"),
        lambda archive: archive.params.update(n_threads=-1),
        lambda archive: archive.params.pop("models"),
        lambda archive: archive.meta.pop("intercept"),
        lambda archive: archive.meta.update(member_rmse={"mf": 1.0}),
        lambda archive: archive.arrays.pop("weights"),
        lambda archive: archive.arrays.update(weights=np.ones(2)),
    ],
)
def test_blend_damaged_file_is_a_data_error(ratings, tmp_path, damage):
    archive = fastcf.Blend(MEMBERS["linear"](), random_state=0).fit(ratings).to_archive()
    damage(archive)
    save_archive(tmp_path / "model", archive)
    with pytest.raises(fastcf.DataError, match="model"):
        fastcf.load(tmp_path / "model")


# ---------------------------------------------------------------------------------------------------------------
# scikit-learn's conventions, and bad input
# ---------------------------------------------------------------------------------------------------------------


def test_blend_members_are_parameters():
    blend = fastcf.Blend([("mf", mf()), ("bias", fastcf.BiasModel())], reg=2.0)
    assert blend.get_params()["mf__n_factors"] == 4
    assert set(blend.get_params(deep=False)) == {
        "models", "metric", "threshold", "reg", "intercept", "non_negative", "by_count", "fit_members",
        "validation_fraction", "refit", "random_state", "n_threads", "device", "verbose",
    }  # fmt: skip
    again = clone(blend).set_params(mf__n_factors=9, reg=1.0, bias="drop")
    assert (again.get_params()["mf__n_factors"], again.reg, again.models[1]) == (9, 1.0, ("bias", "drop"))
    assert (blend.get_params()["mf__n_factors"], blend.models[1][0]) == (4, "bias")
    assert "bias=" not in repr(blend)
    assert "MatrixFactorization(n_epochs=5, n_factors=4, reg=1.0)" in repr(blend)
    bare = fastcf.Blend([mf(2), fastcf.BiasModel(), mf(3)])
    assert bare.get_params()["matrixfactorization-2__n_factors"] == 3
    assert bare.set_params(biasmodel__user_reg=3.0).models[1].user_reg == 3.0
    for wrong in ({"colour": 1}, {"nobody__n_factors": 1}, {"biasmodel__colour": 1}):
        with pytest.raises(ValueError, match=r"Invalid parameter|must be a parameter 'colour'"):
            bare.set_params(**wrong)
    assert bare.set_params(models=[("one", mf())], one__n_factors=8).models[0][1].n_factors == 8


def test_blend_works_in_grid_search():
    users, items, values = fastcf.data.make_ratings(60, 30, 900, random_state=0).to_coo()
    blend = fastcf.Blend([("mf", mf(random_state=0)), ("bias", fastcf.BiasModel())], random_state=0)
    grid = {"mf__n_factors": [2, 3], "bias": [fastcf.BiasModel(), "drop"]}
    search = GridSearchCV(blend, grid, cv=KFold(3, shuffle=True, random_state=0))
    search.fit(np.stack([users, items], axis=1), values)
    assert search.best_params_["mf__n_factors"] in (2, 3)
    assert len(search.best_estimator_.models_) == 1 + (search.best_params_["bias"] != "drop")
    assert -2 < search.best_score_ < 0


@pytest.mark.parametrize(
    ("models", "error", "message"),
    [
        (None, TypeError, "models must be a list of estimators or of pairs .*; got NoneType"),
        ([], ValueError, "must hold at least one estimator"),
        ([("mf", "drop")], ValueError, "must hold at least one estimator"),
        ([("mf", mf()), ("mf", mf())], ValueError, "names of models must differ.*got 'mf'"),
        ([("a__b", mf())], ValueError, "got 'a__b'"),
        ([("reg", mf())], ValueError, "got 'reg'"),
        ([(1, mf())], TypeError, "pairs"),
        ([("a", mf(), 3)], TypeError, "pairs"),
        ([("a", 3)], TypeError, "must be models of this package; got 3 as 'a'"),
        ([fastcf.BiasModel], TypeError, "must be models"),
        ([mf(cost="logistic", threshold=4.0)], ValueError, "got threshold=4.0 of 'matrixfactorization'"),
    ],
)
def test_blend_bad_models_raise(ratings, models, error, message):
    with pytest.raises(error, match=rf"Blend\.fit: .*{message}"):
        fastcf.Blend(models).fit(ratings)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"reg": -1.0}, ValueError, "reg must be a finite number of at least 0, or 'auto'; got -1.0"),
        ({"reg": "much"}, ValueError, "reg"),
        ({"intercept": 1}, TypeError, "intercept must be True or False"),
        ({"validation_fraction": 0.0}, ValueError, "validation_fraction must be a finite number above 0"),
        (
            {"validation_fraction": 1.0},
            ValueError,
            "validation_fraction must leave ratings.*got 1.0, which is 2500 of 2500",
        ),
        ({"verbose": 3}, ValueError, "verbose"),
        ({"device": "gpu"}, ValueError, "device"),
        ({"random_state": -1}, ValueError, "random_state"),
        ({"fit_members": False}, NotFittedError, "'biasmodel' is not"),
    ],
)
def test_blend_bad_parameters_raise(ratings, options, error, message):
    with pytest.raises(error, match=rf"Blend\.fit: .*{message}"):
        fastcf.Blend([fastcf.BiasModel()], **options).fit(ratings)


@pytest.mark.parametrize("options", [{"validation_fraction": 0.2}, {"refit": False}])
def test_blend_parameters_without_effect_raise(ratings, options):
    ((name, value),) = options.items()
    message = rf"Blend\.fit: {name} must be .* {{}}, where it has no effect; got {value}"
    ready = fastcf.Blend([fastcf.BiasModel().fit(ratings)], fit_members=False, **options)
    with pytest.raises(ValueError, match=message.format("with fit_members=False")):
        ready.fit(ratings)
    with pytest.raises(ValueError, match=message.format("where validation ratings are given")):
        fastcf.Blend([fastcf.BiasModel()], **options).fit(ratings, validation=ratings)


@pytest.mark.filterwarnings("ignore::fastcf.DataWarning")
def test_blend_bad_validation_raises(ratings):
    blend = fastcf.Blend([fastcf.BiasModel()])
    with pytest.raises(ValueError, match=r"validation must hold at least 2 ratings; got 1"):
        blend.fit(ratings, validation=([("u001", 3)], [3.0]))
    with pytest.raises(ValueError, match=r"Blend.fit: validation must be ratings or a pair \(X, y\)"):
        blend.fit(ratings, validation=(1, 2, 3))
    none = fastcf.Ratings.from_coo(["u001", "u002"], [3, 4], [1.0, 2.0], weights=[0.0, 0.0])
    with pytest.raises(ValueError, match=r"Blend.fit: validation: weights must not all be zero; got 2 zeros"):
        blend.fit(ratings, validation=none)
    fitted = fastcf.Blend([fastcf.BiasModel().fit(ratings)], fit_members=False)
    with pytest.raises(ValueError, match="validation must be None with fit_members=False"):
        fitted.fit(ratings, validation=ratings)


def test_blend_use_before_fit_and_strictness(blend):
    fresh = fastcf.Blend([fastcf.BiasModel()])
    for use in (lambda: fresh.predict([(1, 2)]), fresh.predict_matrix, lambda: fresh.recommend(1)):
        with pytest.raises(NotFittedError, match=r"Blend\.\w+: the model must be fitted first"):
            use()
    assert blend.n_features_in_ == 2
    with pytest.raises(ValueError, match=r"Blend.predict: strict=True needs known user ids; got 'nobody' at entry 0"):
        blend.predict([("nobody", 0)], strict=True)
    with pytest.raises(ValueError, match=r"Blend.recommend: strict=True needs known"):
        blend.recommend("nobody", strict=True)
    with pytest.raises(ValueError, match=r"Blend.predict: X must have shape \(n, 2\)"):
        blend.predict([(1, 2, 3)])
    with pytest.raises(ValueError, match=r"Blend.recommend: n must be"):
        blend.recommend("u001", 0)


@pytest.mark.filterwarnings("ignore::fastcf.DataWarning")
def test_blend_constant_ratings_are_predicted():
    ratings = fastcf.Ratings.from_coo(range(30), range(30), [3.0] * 30)
    np.testing.assert_allclose(fastcf.Blend([mf(), fastcf.BiasModel()]).fit(ratings).predict([(0, 0), (99, 99)]), 3)


# ---------------------------------------------------------------------------------------------------------------
# Command line and real ratings
# ---------------------------------------------------------------------------------------------------------------


def test_blend_file_is_known_to_the_command_line(ratings, tmp_path):
    train, test = fastcf.data.train_test_split(fastcf.data.make_ratings(80, 60, 2000, random_state=0), random_state=0)
    blend = fastcf.Blend([("mf", mf()), ("bias", fastcf.BiasModel())], random_state=0).fit(train)
    blend.save(tmp_path / "blend")
    rows = [f"{u},{i},{r:g}" for u, i, r in zip(*test.to_coo(), strict=True)]
    (tmp_path / "test.csv").write_text("\n".join(["user,item,rating", *rows, ""]))
    (tmp_path / "text.csv").write_text("\n".join(["user,item,rating", *rows, "someone,7,3", ""]))
    result = json.loads(run("evaluate", tmp_path / "blend", tmp_path / "test.csv", "--json").stdout)
    assert result["rmse"] == pytest.approx(-blend.score(test), abs=1e-6)
    text = json.loads(run("evaluate", tmp_path / "blend", tmp_path / "text.csv", "--json").stdout)
    assert (text["unknown_users"], text["cold_start"]) == (1, 1)
    assert text["rmse"] == pytest.approx(result["rmse"], abs=0.05)
    user = int(train.users.ids[3])
    found = json.loads(run("recommend", tmp_path / "blend", "-u", user, "-n", 4, "--json").stdout)
    assert [entry["item"] for entry in found[0]["results"]] == blend.recommend(user, 4).items.tolist()
    shown = run("info", tmp_path / "blend").stdout
    assert "MatrixFactorization" in shown
    assert f"{blend.weights_[0]:.4f}" in shown
    assert "no vectors to compare" in run("similar", tmp_path / "blend", "-i", 1, code=1).stderr
