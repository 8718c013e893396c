"""Model files of format version 1 say what they said when they were written; see tests/files/version_1/README.md.

Classes and parameters may have other names since: what is compared is what models say. Predictions have the same bits
on any instruction set, except those of models in ``ROUNDED``: there sums are longer than a vector, or a BLAS or an
activation computes them. Scores of recommendations are summed in another order than predictions, which depends on the
instruction set everywhere. So these are compared to 1e-6, and what is made of new ratings to 1e-5.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fastcf
from fastcf.serialization import load_archive

FILES = Path(__file__).resolve().parents[1] / "files" / "version_1"
EXPECTED = json.loads((FILES / "expected.json").read_text(encoding="utf-8"))
NAMES = tuple(EXPECTED)
with np.load(FILES / "expected.npz") as stored:
    NUMBERS = {kind: stored[kind] for kind in stored.files}
FOLDED = [
    (name, by)
    for by in ("user", "item")
    for name, whole in zip(NAMES, NUMBERS[f"folded_{by}"], strict=True)
    if not np.isnan(whole).all()
]

ROUNDED = {
    "autoencoder_sigmoid_output",
    "mf_bayes",
    "perceptron_levels",
    "perceptron_liked",
    "perceptron_liked_labels",
    "perceptron_mf",
}
# Since version 2 models of labels predict probabilities; those of LABELLED were the labels that these make likelier.
LABELLED = {
    name for name, whole in zip(NAMES, NUMBERS["predictions"], strict=True) if set(whole[~np.isnan(whole)]) <= {0, 1}
}
SCALARS = {"global_mean": "global_mean_", "rating_range": "rating_range_"}  # what expected.json has, and where it is

pytestmark = [
    pytest.mark.every_isa,
    pytest.mark.parametrize("device", ["cpu"], indirect=True),  # "auto", as loaded models have it, means the CPU
    pytest.mark.usefixtures("device"),
]


def load(name):
    return fastcf.load(FILES / f"{name}.fastcf")


def of(kind, name, shape):
    """Return what is expected of a file: all of it that is not filled up with NaN must be asked for."""
    whole = NUMBERS[kind][NAMES.index(name)]
    n_rows, n_columns = shape
    assert np.isnan(whole[n_rows:]).all()
    assert np.isnan(whole[:, n_columns:]).all()
    return whole[:n_rows, :n_columns]


def with_stranger(ids):
    return [*ids, "nobody" if isinstance(ids[0], str) else 123_456_789]


def all_pairs(name):
    users, items = (with_stranger(EXPECTED[name][side]) for side in ("users", "items"))
    return np.array([[user, item] for user in users for item in items], object)


def assert_predicts(model, name):
    shape = len(EXPECTED[name]["users"]) + 1, len(EXPECTED[name]["items"]) + 1
    predicted, wanted = model.predict(all_pairs(name)).reshape(shape), of("predictions", name, shape)
    assert predicted.dtype == np.float32
    if name in LABELLED:
        assert ((predicted > 0) & (predicted < 1)).all()
        predicted = (predicted >= 0.5).astype(np.float32)
    if name in ROUNDED:
        np.testing.assert_allclose(predicted, wanted, rtol=1e-6)
    else:
        np.testing.assert_array_equal(predicted, wanted)


def assert_recommends(model, name):
    wanted, users = EXPECTED[name], with_stranger(EXPECTED[name]["users"])
    found = model.recommend(users, 4, exclude_seen=name != "mf_no_seen")
    assert found.items.tolist() == wanted["recommended"]
    np.testing.assert_allclose(found.scores, of("scores", name, (len(users), 4)), rtol=1e-6)


def test_version_1_files_are_all_expected():
    assert {path.stem for path in FILES.glob("*.fastcf")} == set(NAMES)
    assert set(NAMES) >= ROUNDED


@pytest.mark.parametrize("name", NAMES)
def test_version_1_file_predicts_as_when_written(name):
    assert_predicts(load(name), name)


@pytest.mark.parametrize("name", NAMES)
def test_version_1_file_recommends_as_when_written(name):
    assert_recommends(load(name), name)


@pytest.mark.parametrize("name", NAMES)
def test_version_1_file_has_ids_and_scalars_of_when_written(name):
    model, wanted = load(name), EXPECTED[name]
    for side, kind, ids in zip(
        ("users", "items"), wanted["id_types"], (model.users_.ids, model.items_.ids), strict=True
    ):
        assert ids.tolist() == wanted[side]
        assert ids.dtype.kind == kind.replace("U", "T")  # strings of any width
    for key, attribute in SCALARS.items():
        np.testing.assert_array_equal(getattr(model, attribute), wanted[key])


@pytest.mark.parametrize("name", NAMES)
def test_version_1_file_saved_again_says_the_same(name, tmp_path):
    load(name).save(tmp_path / "again.fastcf")
    again = fastcf.load(tmp_path / "again.fastcf")
    assert_predicts(again, name)
    assert_recommends(again, name)


@pytest.mark.parametrize(("name", "by"), FOLDED)
def test_version_1_file_folds_in_as_when_written(name, by):
    users, items = EXPECTED[name]["users"], EXPECTED[name]["items"]
    pairs = np.array([[user, item] for user in users[::2] for item in items[::2]], object)
    values = np.arange(len(pairs)) % 5
    folded = load(name).fold_in(pairs, (values > 1).astype(float) if "labels" in name else values + 1.0, by=by)
    predicted = folded.predict_matrix()
    shape = (len(users[::2]), len(items)) if by == "user" else (len(users), len(items[::2]))
    assert predicted.shape == shape
    np.testing.assert_allclose(predicted, of(f"folded_{by}", name, shape), rtol=1e-5)


def test_version_1_file_without_seen_cannot_leave_it_out():
    with pytest.raises(ValueError, match="exclude_seen must be False"):
        load("mf_no_seen").recommend(EXPECTED["mf_no_seen"]["users"][0])


def test_version_1_file_has_titles_of_when_written():
    titles = load_archive(FILES / "mf_titles.fastcf").arrays["item_titles"]
    assert titles.tolist() == [f"Film {item} (żółty)" for item in EXPECTED["mf_titles"]["items"]]
