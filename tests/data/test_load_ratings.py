"""load_ratings: from a file to Ratings in one go."""

import numpy as np
import pytest

import fastcf
from fastcf.data import load_ratings, read_log
from rating_logs import write

# -------------------------------------------------------------------------------------------------- to Ratings


def test_load_ratings_keeps_ids_and_timestamps(tmp_path):
    ratings = load_ratings(
        write(tmp_path, "2::0020::3.5::1000000200\n1::0010::4.0::1000000100\n1::0030::5.0::1000000300\n")
    )
    assert ratings.shape == (2, 3)
    assert ratings.items.ids.tolist() == ["0010", "0020", "0030"]
    assert ratings.values.tolist() == [4.0, 5.0, 3.5]
    assert ratings.timestamps.tolist() == [1000000100, 1000000300, 1000000200]


@pytest.mark.parametrize("order", ["sorted", "by user", "shuffled"])
@pytest.mark.parametrize("duplicates", ["error", "last", "mean", "sum"])
@pytest.mark.parametrize("timestamps", [True, False])
def test_load_ratings_agrees_with_building_from_the_log(tmp_path, order, duplicates, timestamps):
    rng = np.random.default_rng(0)
    pairs = rng.permutation(400 * 50)[:5000]
    if duplicates != "error":
        pairs = np.concatenate([pairs, pairs[::7]])
    users, items = pairs // 50, pairs % 50 * 1000
    if order == "shuffled":
        rows = np.arange(pairs.size)
    else:
        rows = np.lexsort((items, users)) if order == "sorted" else np.argsort(users, kind="stable")
    text = "".join(f"{users[i]},{items[i]},{i % 10}.5,{10**9 + i}\n" for i in rows)
    path = write(tmp_path, text)
    column = None if timestamps else False
    loaded = load_ratings(path, duplicates=duplicates, timestamp=column)
    built = read_log(path, timestamp=column).to_ratings(duplicates)
    assert (loaded.users, loaded.items) == (built.users, built.items)
    assert loaded.users.ids.dtype == np.int64
    for name in ("indptr", "indices", "values", "timestamps"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(built, name))
    with pytest.raises(ValueError, match="read-only"):
        loaded.values[0] = 0


def test_load_ratings_duplicates_are_refused_or_resolved(tmp_path):
    path = write(tmp_path, "1,2,3\n1,2,4\n")
    with pytest.raises(ValueError, match="load_ratings: "):
        load_ratings(path)
    assert load_ratings(path, duplicates="last").values.tolist() == [4]
    assert read_log(path).to_ratings("mean").values.tolist() == [3.5]


@pytest.mark.parametrize("n", [254, 255, 256, 1_000_000])
def test_load_ratings_ids_may_have_any_length(tmp_path, n):
    long = "x" * n
    text = "a,1,3.0\n" * 100 + f"{long},1,3.0\n{long}y,1,2.0\n{long},2,1.0\n" + "b,1,3.0\n" * 100
    ratings = load_ratings(write(tmp_path, text), duplicates="last")
    assert ratings.users.ids.tolist() == ["a", "b", long, long + "y"]
    assert ratings.user_counts().tolist() == [1, 1, 2, 1]


def test_load_ratings_null_character_is_no_digit(tmp_path):
    path = write(tmp_path, b"user,item,rating,time\n5,1,3.0,1\n\x005,2,3.0,1\n")
    with pytest.raises(fastcf.DataError, match=r":3: "):
        load_ratings(path)


def test_load_ratings_tiny_rating_is_zero(tmp_path):
    assert load_ratings(write(tmp_path, "1,1,1e-400\n1,2,3\n")).values.tolist() == [0.0, 3.0]


def test_load_ratings_absurd_number_of_threads_is_harmless():
    ratings = fastcf.Ratings.from_coo(np.array([1, 2**60]), [1, 2], [1.0, 2.0], n_threads=200_000)
    assert ratings.shape == (2, 2)
