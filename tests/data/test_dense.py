"""Dense tables of ratings: files and arrays."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastcf
from fastcf import IdMap, Ratings
from fastcf.data import load_dense
from rating_logs import write

JOKES = "74,-7.82,8.79,99\n100,4.08,-0.29,6.36\n49,99,5.5,99\n"
nan = np.nan


def triples(ratings):
    users, items, values = ratings.to_coo()
    return list(zip(users.tolist(), items.tolist(), values.tolist(), strict=True))


def assert_jokes(ratings, users=(0, 1, 2), items=(0, 1, 2)):
    assert ratings.shape == (3, 3)
    expected = [(0, 0, -7.82), (0, 1, 8.79), (1, 0, 4.08), (1, 1, -0.29), (1, 2, 6.36), (2, 1, 5.5)]
    assert triples(ratings) == [(users[u], items[i], float(np.float32(value))) for u, i, value in expected]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (JOKES, {"missing": 99, "ignore": 0}),
        (JOKES.replace("99,", "99.00,"), {"missing": [99.0], "ignore": [0]}),
        (JOKES.replace(",", ";"), {"missing": 99, "ignore": 0}),
        (JOKES.replace(",", "\t").replace("99\n", "NA\n").replace("\t99", "\t"), {"ignore": 0}),
        (JOKES.replace("99", "none"), {"missing": "none", "ignore": 0, "header": False}),
        ("n,0,1,2\n" + JOKES, {"missing": 99, "ignore": "n"}),
        (gzip.compress(JOKES.encode(), mtime=0), {"missing": 99, "ignore": 0}),
    ],
)
def test_load_dense_reads_a_line_per_user(tmp_path, text, options):
    assert_jokes(load_dense(write(tmp_path, text, "dense.csv"), **options))


def test_load_dense_takes_ids_from_a_column_and_the_header(tmp_path):
    path = write(tmp_path, "who,n,heat,up,jaws\nann,74,-7.82,8.79,\nbob,100,4.08,-0.29,6.36\ncy,49,,5.5,NA\n")
    loaded = load_dense(path, user="who", ignore=["n"])
    assert loaded.items.ids.tolist() == ["heat", "up", "jaws"]
    assert_jokes(loaded, ["ann", "bob", "cy"], ["heat", "up", "jaws"])
    assert_jokes(load_dense(path, user=0, ignore=1), ["ann", "bob", "cy"], ["heat", "up", "jaws"])
    numbers = load_dense(write(tmp_path, "id,7,5\n2,1,0\n1,,3\n"), user="id")
    assert triples(numbers) == [(2, 7, 1.0), (2, 5, 0.0), (1, 5, 3.0)]


def test_load_dense_takes_a_line_per_item(tmp_path):
    path = write(tmp_path, "film,ann,bob,cy\nheat,-7.82,4.08,\nup,8.79,-0.29,5.5\njaws,,6.36,\n")
    assert_jokes(load_dense(path, user="film", items_first=True), ["ann", "bob", "cy"], ["heat", "up", "jaws"])


def test_load_dense_zeros_are_ratings_unless_they_are_missing(tmp_path):
    path = write(tmp_path, "0,1,0\n1,0,1\n")
    assert load_dense(path).n_ratings == 6
    assert load_dense(path, missing=0).n_ratings == 3


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        ("1,2,3\n4,5\n", {}, fastcf.DataError, r"d.csv:2: expected 3 fields; got 2: '4,5'"),
        ("1,2,3\n4,x,6\n", {}, fastcf.DataError, r"d.csv:2: ratings must be finite numbers, or missing=; got 'x'"),
        ("1,2,3\n4,inf,6\n", {}, fastcf.DataError, r"d.csv:2: .* got 'inf'"),
        ("1,2,3\n4,1_0,6\n", {}, fastcf.DataError, r"d.csv:2: .* got '1_0'"),
        ("1,2,3\n4,1e39,6\n", {}, fastcf.DataError, r"d.csv:2: .* got '1e39'"),
        ("", {}, fastcf.DataError, "the file is empty"),
        ("a,b\n", {}, fastcf.DataError, "there are no lines below the header"),
        ("NA,\n", {}, fastcf.DataError, "there are no ratings: every field is missing"),
        ("a,a\n1,2\n", {}, fastcf.DataError, "items: IdMap: ids must be distinct"),
        ("1,2\n", {"user": "who"}, ValueError, r"user must be a position in \[0, 2\); got 'who'"),
        ("a,b\n1,2\n", {"ignore": "c"}, ValueError, r"ignore must be a position in \[0, 2\) or one of a, b; got 'c'"),
        ("1,2\n", {"ignore": [0, 1]}, ValueError, "some columns must be ratings; all 2 are left out"),
        ("1,2\n", {"missing": [None]}, TypeError, "missing must be numbers or texts; got None"),
        ("1,2\n", {"header": "yes"}, ValueError, "header must be True, False or 'auto'; got 'yes'"),
    ],
)
def test_load_dense_refuses_what_is_no_table(tmp_path, text, options, error, message):
    with pytest.raises(error, match=message):
        load_dense(write(tmp_path, text, "d.csv"), **options)


# ---------------------------------------------------------------------------------------------------------- arrays


@given(st.data(), st.booleans(), st.booleans(), st.sampled_from([np.float32, np.float64, np.int64, np.int8]))
def test_from_dense_agrees_with_a_loop(data, items_first, with_mask, dtype):
    shape = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    cells = st.integers(-3, 3)
    Y = np.array(data.draw(st.lists(cells, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1])), dtype)
    Y = Y.reshape(shape)
    rated = np.array(data.draw(st.lists(st.booleans(), min_size=Y.size, max_size=Y.size))).reshape(shape)
    expected = {
        ((j, i) if items_first else (i, j)): float(Y[i, j])
        for i in range(shape[0])
        for j in range(shape[1])
        if (rated[i, j] if with_mask else Y[i, j] != 2)
    }
    arguments = {"R": rated.astype(data.draw(st.sampled_from([bool, int, float])))} if with_mask else {"missing": 2}
    if not expected:
        with pytest.raises(ValueError, match="ratings must not be empty"):
            Ratings.from_dense(Y, items_first=items_first, **arguments)
        return
    ratings = Ratings.from_dense(Y, items_first=items_first, **arguments)
    assert ratings.shape == (shape[::-1] if items_first else shape)
    assert {(u, i): value for u, i, value in triples(ratings)} == expected
    Ratings(ratings.indptr, ratings.indices, ratings.values, users=ratings.users, items=ratings.items)  # checks all


def test_from_dense_zeros_are_ratings_where_the_mask_or_the_missing_value_says_so():
    Y = np.array([[5, 0, 0], [0, 0, 4]])
    R = np.array([[1, 1, 0], [0, 0, 1]])
    assert triples(Ratings.from_dense(Y, R)) == [(0, 0, 5.0), (0, 1, 0.0), (1, 2, 4.0)]
    assert triples(Ratings.from_dense(Y.T, R.T, items_first=True)) == [(0, 0, 5.0), (0, 1, 0.0), (1, 2, 4.0)]
    assert Ratings.from_dense(Y).n_ratings == 6
    assert triples(Ratings.from_dense(Y, missing=0)) == [(0, 0, 5.0), (1, 2, 4.0)]
    assert triples(Ratings.from_dense(np.where(R, Y, nan))) == [(0, 0, 5.0), (0, 1, 0.0), (1, 2, 4.0)]
    assert triples(Ratings.from_dense([[5, 99], [-1, 4]], missing=[99, -1])) == [(0, 0, 5.0), (1, 1, 4.0)]
    assert triples(Ratings.from_dense([[5, None], [None, 4]])) == [(0, 0, 5.0), (1, 1, 4.0)]
    masked = np.ma.masked_equal(Y, 0)
    assert triples(Ratings.from_dense(masked)) == [(0, 0, 5.0), (1, 2, 4.0)]


def test_from_dense_takes_frames_and_their_names():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    Y = {"heat": [-7.82, 4.08, nan], "up": [8.79, -0.29, 5.5], "jaws": [nan, 6.36, nan]}
    names = ["heat", "up", "jaws"]
    assert_jokes(Ratings.from_dense(pd.DataFrame(Y, index=["ann", "bob", "cy"])), ["ann", "bob", "cy"], names)
    assert_jokes(Ratings.from_dense(pd.DataFrame(Y).astype("Float64")), items=names)
    assert_jokes(Ratings.from_dense(pl.DataFrame(Y).with_columns(pl.all().fill_nan(None))), items=names)
    assert_jokes(Ratings.from_dense(pl.DataFrame(Y), users=["a", "b", "c"]), ["a", "b", "c"], names)
    assert_jokes(
        Ratings.from_dense(pd.DataFrame(Y, index=[7, 8, 9]).T, items_first=True, items=IdMap([3, 2, 1])),
        [7, 8, 9],
        [3, 2, 1],
    )
    pivoted = pd.DataFrame({"u": [1, 1, 2], "i": ["x", "y", "x"], "r": [3.0, 0, 2]}).pivot(index="u", columns="i")
    assert triples(Ratings.from_dense(pivoted["r"])) == [(1, "x", 3.0), (1, "y", 0.0), (2, "x", 2.0)]


def test_from_dense_models_learn_from_it():
    Y, R = np.array([[5.0, 1], [4, 0], [0, 2]]), np.array([[1, 1], [1, 0], [0, 1]])
    model = fastcf.BiasModel(user_reg=1, item_reg=1).fit(Ratings.from_dense(Y, R))
    again = fastcf.BiasModel(user_reg=1, item_reg=1).fit([(0, 0), (0, 1), (1, 0), (2, 1)], [5.0, 1, 4, 2])
    np.testing.assert_array_equal(model.predict_matrix(), again.predict_matrix())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"Y": [1, 2]}, ValueError, r"Y must have two dimensions, users x items; got shape \(2,\)"),
        ({"Y": [[1, 2], [3]]}, ValueError, "Y must have rows of one length"),
        ({"Y": [["a"]]}, TypeError, "Y must hold real numbers"),
        ({"Y": [[1j]]}, TypeError, "Y must hold real numbers"),
        ({"Y": [[1, np.inf]]}, ValueError, r"ratings must be finite as float32; got inf at \(0, 1\) of Y"),
        (
            {"Y": [[1], [1e39]], "items_first": True},
            ValueError,
            r"ratings must be finite as float32; got 1e\+39 at \(1, 0\)",
        ),
        ({"Y": [[1, nan]], "R": [[1, 1]]}, ValueError, r"ratings must be finite as float32; got nan at \(0, 1\) of Y"),
        ({"Y": [[1, 2]], "R": [[1]]}, ValueError, r"R must have the shape of Y, \(1, 2\); got \(1, 1\)"),
        ({"Y": [[1, 2]], "R": [[1, 3]]}, ValueError, r"R must be 1 where there is a rating, else 0; got 3 at \(0, 1\)"),
        ({"Y": [[1, 2]], "R": [[1, 0]], "missing": 0}, ValueError, "missing must be left out where R says"),
        ({"Y": [[1, 2]], "missing": "NA"}, TypeError, "missing must be a number, or several; got 'NA'"),
        ({"Y": [[nan]]}, ValueError, r"ratings must not be empty; got none in a table of shape \(1, 1\)"),
        ({"Y": [[1, 2]], "users": ["a", "b"]}, ValueError, "users must have 1 ids; got 2"),
        ({"Y": [[1, 2]], "items": ["a", "a"]}, ValueError, "items: IdMap: ids must be distinct"),
    ],
)
def test_from_dense_refuses_what_is_no_table(arguments, error, message):
    with pytest.raises(error, match=f"Ratings.from_dense: {message}"):
        Ratings.from_dense(**arguments)
