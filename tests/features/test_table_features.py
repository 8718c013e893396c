"""Tables to features: every library's tables alike, against a plain encoding, and what new rows get."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import (
    check_get_params_invariance,
    check_no_attributes_set_in_init,
    check_parameters_default_constructible,
    check_set_params,
)

import fastcf
from fastcf.features import TableFeatures
from fastcf.preprocessing import MeanRangeScaler

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

FILMS = {
    "film": ["toy", "heat", "up", "x"],
    "country": ["us", "us", None, "fr"],
    "rating": [12, 18, 0, None],
    "sequel": [False, True, None, False],
    "genre": ["Animation|Comedy", "Crime", "Animation | Drama", None],
    "minutes": [81.0, 170.0, 96.0, None],
    "votes": [5, None, 7, 9],
    "title": ["Toy Story (1995)", "Heat (1995)", "Up (2009) ", "X"],
}
COLUMNS = {
    "id": "film",
    "one_hot": ["country", "rating", "sequel"],
    "multi_hot": ["genre"],
    "numeric": ["minutes", "votes"],
    "year": ["title"],
}
NAMES = [
    "country_fr", "country_us", "rating_0", "rating_12", "rating_18", "sequel_False", "sequel_True",
    "genre_Animation", "genre_Comedy", "genre_Crime", "genre_Drama", "minutes", "votes", "title_year",
]  # fmt: skip
PLAIN = [
    [0, 1, 0, 1, 0, 1, 0, 1, 1, 0, 0, 81, 5, 1995],
    [0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 170, 7, 1995],
    [0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1, 96, 7, 2009],
    [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 347 / 3, 9, 5999 / 3],
]


def polars_categories(table):
    return pl.DataFrame(table).with_columns(pl.col("country").cast(pl.Categorical))


def arrow_categories(table):
    frame = pa.table(table)
    at = frame.column_names.index("country")
    frame = frame.set_column(at, "country", frame["country"].dictionary_encode())
    return pa.concat_tables([frame.slice(0, 1), frame.slice(1)])


def masked_column(column):
    missing = [value is None for value in column]
    return np.ma.masked_array([type(column[0])() if value is None else value for value in column], missing)


def masked(table):
    """A dict of arrays whose missing numbers are masked."""
    numbers = ("rating", "sequel", "minutes", "votes")
    return {name: masked_column(column) if name in numbers else column for name, column in table.items()}


LIBRARIES = {
    "lists": dict,
    "masked arrays": masked,
    "pandas": pd.DataFrame,
    "pandas nullable": lambda table: pd.DataFrame(table).convert_dtypes(),
    "pandas arrow": lambda table: pd.DataFrame(table).convert_dtypes(dtype_backend="pyarrow"),
    "pandas categories": lambda table: pd.DataFrame(table).astype({"country": "category", "genre": "category"}),
    "pandas objects": lambda table: pd.DataFrame(table, dtype=object),
    "polars": pl.DataFrame,
    "polars categories": polars_categories,
    "arrow": pa.table,
    "arrow categories": arrow_categories,
    "arrow batch": lambda table: pa.table(table).to_batches()[0],
}


def dense(table):
    return table.matrix.toarray() if table.is_sparse else table.matrix


# ---------------------------------------------------------------------------------------------------------------
# What comes out
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", LIBRARIES)
def test_table_features_are_the_same_from_every_library(library):
    features = TableFeatures(**COLUMNS, scaler=None)
    table = features.fit_transform(LIBRARIES[library](FILMS))
    assert table.ids.ids.tolist() == FILMS["film"]
    assert table.names.tolist() == list(features.get_feature_names_out()) == NAMES
    np.testing.assert_allclose(dense(table), np.array(PLAIN, np.float32), rtol=1e-6)


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame, pa.table, dict])
def test_table_features_take_lists_of_labels(library):
    table = library({"id": [1, 2, 3], "genre": [["Drama", "War"], None, []]})
    got = TableFeatures(multi_hot=["genre"]).fit_transform(table)
    assert got.names.tolist() == ["genre_Drama", "genre_War"]
    assert dense(got).tolist() == [[1, 1], [0, 0], [0, 0]]


@st.composite
def tables(draw):
    n = draw(st.integers(1, 33))
    a_word, a_number = st.sampled_from(["a", "b", "c d", "é", ""]), st.integers(-1000, 1000)
    columns = {
        "word": st.none() | a_word,
        "code": st.none() | st.integers(0, 4),
        "labels": st.none() | st.lists(a_word).map("|".join),
        "number": st.none() | a_number.map(float),
        "other": a_number,
    }
    table = {name: draw(st.lists(column, min_size=n, max_size=n)) for name, column in columns.items()}
    for name, value in {"word": "a", "code": 1, "labels": "b|é", "number": 3.0}.items():
        table[name][draw(st.integers(0, n - 1))] = value
    return {"id": draw(st.permutations(range(n))), **table}


def plain_encoding(fitted, table):
    """Features, unscaled, of ``table`` for an encoder fitted on ``fitted``, one value at a time."""
    columns, n = [], len(table["id"])
    for name in ("word", "code"):
        for label in sorted({value for value in fitted[name] if value not in (None, "")}):
            columns.append([float(table[name][row] == label) for row in range(n)])
    split = [{label.strip() for label in (value or "").split("|")} - {""} for value in fitted["labels"]]
    for label in sorted(set.union(*split)):
        columns.append([float(label in (table["labels"][row] or "").split("|")) for row in range(n)])
    for name in ("number", "other"):
        known = [value for value in fitted[name] if value is not None]
        mean = sum(known) / len(known)
        columns.append([mean if value is None else value for value in table[name]])
    return np.array(columns).T


GENERATED = {"one_hot": ["word", "code"], "multi_hot": ["labels"], "numeric": ["number", "other"]}


@given(fitted=tables(), new=tables(), library=st.sampled_from([pd.DataFrame, pl.DataFrame, pa.table, dict]))
def test_table_features_fit_once_and_transform_other_rows(fitted, new, library):
    features = TableFeatures(**GENERATED, scaler=None).fit(library(fitted))
    for table in (fitted, new):
        got = features.transform(library(table))
        np.testing.assert_array_equal(got.ids.ids, table["id"])
        np.testing.assert_allclose(dense(got), plain_encoding(fitted, table), rtol=1e-6)
        assert got.is_sparse == features.transformer_.sparse_output_


@given(table=tables(), seed=st.integers(0, 1000))
def test_table_features_permuted_rows_permute_the_features(table, seed):
    order = np.random.default_rng(seed).permutation(len(table["id"]))
    permuted = {name: [column[row] for row in order] for name, column in table.items()}
    first, second = (TableFeatures(**GENERATED).fit_transform(each) for each in (table, permuted))
    np.testing.assert_array_equal(second.ids.ids, first.ids.ids[order])
    np.testing.assert_allclose(dense(second), dense(first)[order], rtol=1e-5, atol=1e-6)
    assert second.names.tolist() == first.names.tolist()


@pytest.mark.parametrize(
    ("scaler", "peer"),
    [
        ("standard", StandardScaler()),
        ("minmax", MinMaxScaler()),
        (MaxAbsScaler(), MaxAbsScaler()),
        (MeanRangeScaler(), MeanRangeScaler()),
    ],
)
def test_table_features_scale_as_scikit_learn_does(scaler, peer):
    random = np.random.default_rng(0)
    numbers, new = random.normal(3, 2, (20, 2)), random.normal(3, 2, (5, 2))
    features = TableFeatures(numeric=["a", "b"], scaler=scaler)
    got = features.fit_transform({"id": range(20), "a": numbers[:, 0], "b": numbers[:, 1]})
    np.testing.assert_allclose(got.matrix, peer.fit_transform(numbers), rtol=1e-5, atol=1e-6)
    got = features.transform({"b": new[:, 1], "a": new[:, 0], "id": range(5), "ignored": ["?"] * 5})
    np.testing.assert_allclose(got.matrix, peer.transform(new), rtol=1e-5, atol=1e-6)


def test_table_features_one_hot_is_scikit_learns():
    values = np.random.default_rng(0).choice(["x", "y", "z"], (30, 2))
    table = TableFeatures(one_hot=["a", "b"]).fit_transform({"id": range(30), "a": values[:, 0], "b": values[:, 1]})
    peer = OneHotEncoder().fit(values)
    np.testing.assert_array_equal(dense(table), peer.transform(values).toarray())
    assert table.names.tolist() == peer.get_feature_names_out(["a", "b"]).tolist()


def test_table_features_unknown_and_missing_values_of_new_rows():
    features = TableFeatures("film", one_hot=["country"], multi_hot=["genre"], numeric=["minutes"], year=["title"])
    features.fit(FILMS)
    new = {"film": ["new"], "country": ["de"], "genre": ["Western"], "minutes": [None], "title": ["New"]}
    got = features.transform(new)
    assert np.abs(dense(got)).max() < 1e-6  # categories unknown: zeros; the mean, standardised: zero


def test_table_features_of_an_item_table():
    items = fastcf.data.ItemTable(np.array([7, 8]), np.array(["A (1990)", "B"]), np.array(["War", ""]))
    got = TableFeatures("ids", multi_hot=["genres"], year=["titles"], scaler=None).fit_transform(items)
    assert dense(got).tolist() == [[1, 1990], [0, 1990]]


@pytest.mark.parametrize(
    ("title", "year"),
    [
        ("Toy Story (1995)", 1995),
        ("2001: A Space Odyssey (1968) ", 1968),
        ("Nikita (La Femme) (1990) (V)", 1990),
        ("Fawlty Towers (1975-1979)", 1975),
        ("Death Note (2006–2007)", 2006),
        ("Series (2013– )", 2013),
        ("Wrong (1000 Miles)", None),
        ("Blade Runner 2049", None),
        ("", None),
    ],
)
def test_table_features_year_of_a_title(title, year):
    table = {"id": [1, 2], "t": [title, "Known (1900)"]}
    got = TableFeatures(year=["t"], scaler=None).fit_transform(table)
    assert got.matrix[0, 0] == (year or 1900)


def test_table_features_min_count_leaves_rare_labels_out():
    table = {"id": [1, 2, 3], "tag": ["a|b|b", "a|c", "c"], "kind": ["x", "x", "y"]}
    features = TableFeatures(one_hot=["kind"], multi_hot=["tag"], min_count=2)
    assert features.fit_transform(table).names.tolist() == ["kind_x", "tag_a", "tag_c"]
    assert dense(features.transform(table)).tolist() == [[1, 1, 0], [1, 1, 1], [0, 0, 1]]
    with pytest.raises(
        ValueError, match=r"column 'kind' must have a label in at least min_count=9 rows; got none in 3"
    ):
        TableFeatures(one_hot=["kind"], min_count=9).fit(table)


def test_table_features_are_sparse_where_that_saves_memory():
    many = {"id": range(40), "kind": [f"k{row % 8}" for row in range(40)], "x": range(40)}
    features = TableFeatures(one_hot=["kind"], numeric=["x"]).fit(many)
    assert features.transform(many).is_sparse
    row = {name: column[:1] for name, column in many.items()}
    assert features.transform(row).is_sparse  # as in fit, whatever the new rows hold
    assert not TableFeatures(numeric=["x"]).fit_transform(many).is_sparse


# ---------------------------------------------------------------------------------------------------------------
# Conventions of scikit-learn
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "check",
    [
        check_get_params_invariance,
        check_no_attributes_set_in_init,
        check_parameters_default_constructible,
        check_set_params,
    ],
)
def test_table_features_follow_scikit_learns_conventions(check):
    check("TableFeatures", TableFeatures())


def test_table_features_clone_pickle_and_refit():
    scaler = MinMaxScaler()
    features = TableFeatures(**COLUMNS, scaler=scaler)
    assert features.fit(FILMS) is features
    wanted = dense(features.transform(FILMS))
    assert not hasattr(scaler, "scale_")  # a parameter is left as it was
    restored = pickle.loads(pickle.dumps(features))
    np.testing.assert_array_equal(dense(restored.transform(FILMS)), wanted)
    copy = clone(features)
    assert not hasattr(copy, "transformer_")
    np.testing.assert_array_equal(dense(copy.fit_transform(FILMS)), wanted)
    features.set_params(one_hot=[], multi_hot=[], numeric=["votes"], year=[]).fit(FILMS)
    assert features.get_feature_names_out().tolist() == ["votes"]
    assert features.feature_names_in_.tolist() == ["votes"]


def test_table_features_whatever_scikit_learn_puts_out():
    wanted = dense(TableFeatures(**COLUMNS).fit_transform(FILMS))
    with sklearn.config_context(transform_output="pandas"):
        features = TableFeatures(**COLUMNS).fit(FILMS)
        np.testing.assert_array_equal(dense(features.transform(FILMS)), wanted)


def test_table_features_need_no_table_library():
    code = """
import sys

class Absent:
    def find_spec(self, name, *rest):
        if name in ("pandas", "polars", "pyarrow"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import fastcf
print(fastcf.features.TableFeatures(one_hot=["a"]).fit_transform({"id": [1], "a": ["x"]}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "FeatureTable(1 rows x 1 features, dense: a_x)\n"


# ---------------------------------------------------------------------------------------------------------------
# Bad input
# ---------------------------------------------------------------------------------------------------------------


def test_table_features_before_fit_raises():
    with pytest.raises(NotFittedError, match=r"TableFeatures.transform: the features must be fitted first"):
        TableFeatures(numeric=["a"]).transform({"id": [1], "a": [1]})
    with pytest.raises(NotFittedError, match="must be fitted first"):
        TableFeatures(numeric=["a"]).get_feature_names_out()


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({}, ValueError, "one_hot, multi_hot, numeric, year must name at least one column; got none"),
        ({"one_hot": "a"}, TypeError, "one_hot must be a list of names of columns; got 'a'"),
        ({"one_hot": ["a", "a"]}, ValueError, r"one_hot must name each column once; got \['a', 'a'\]"),
        ({"numeric": ["b"]}, ValueError, "X must have one column 'b'; it has 'id', 'a'"),
        ({"one_hot": ["a"], "id": "key"}, ValueError, "X must have one column 'key'"),
        ({"one_hot": ["a"], "separator": ""}, ValueError, "separator must not be empty; got ''"),
        ({"one_hot": ["a"], "separator": 1}, TypeError, "separator must be a string; got 1"),
        ({"one_hot": ["a"], "min_count": 0}, ValueError, "min_count must be a positive integer; got 0"),
        ({"one_hot": ["a"], "min_count": 0.5}, TypeError, "min_count must be a positive integer; got 0.5"),
        ({"one_hot": ["a"], "scaler": "robust"}, ValueError, "scaler must be 'standard', .*; got 'robust'"),
    ],
)
def test_table_features_bad_parameters_raise(parameters, error, message):
    with pytest.raises(error, match=f"TableFeatures.fit: {message}"):
        TableFeatures(**parameters).fit({"id": [1], "a": ["x"]})


@pytest.mark.parametrize(
    ("group", "column", "error", "message"),
    [
        ("one_hot", ["x", 1, "y"], TypeError, "must hold strings, .*, one kind of them; got 1 at row 1"),
        ("one_hot", [True, 1, 0], TypeError, "one kind of them; got 1 at row 1"),
        ("one_hot", [1.5, 2, 3], TypeError, "one kind of them; got 1.5 at row 0"),
        ("one_hot", [None, np.nan, ""], ValueError, "must have a value; all 3 are missing"),
        ("multi_hot", ["a", 3, "b"], TypeError, "must hold strings or lists of strings; got 3 at row 1"),
        ("multi_hot", ["a", ["b", 1], "b"], TypeError, r"must hold strings or lists.*; got \['b', 1\] at row 1"),
        ("multi_hot", ["", None, "|"], ValueError, "must have a value"),
        ("numeric", [1, "2", 3], TypeError, "must hold numbers; got '2' at row 1"),
        ("numeric", [1.0, np.inf, 3], ValueError, "must be finite, or NaN where unknown; got inf at row 1"),
        ("numeric", np.array(["2000-01-01"] * 3, "datetime64[ns]"), TypeError, "numbers; got dtype datetime64"),
        ("numeric", np.ones((3, 2)), ValueError, r"must be one-dimensional; got shape \(3, 2\)"),
        ("numeric", [np.nan, None, np.nan], ValueError, "must have a value; all 3 are missing"),
        ("numeric", [1, 2], ValueError, "must have 3 rows, as the others; got 2"),
        ("year", ["A (1990)", 1990, None], TypeError, "must hold titles; got 1990 at row 1"),
        ("year", ["A", "B", "C"], ValueError, "must have a value"),
    ],
)  # fmt: skip
def test_table_features_bad_columns_raise(group, column, error, message):
    with pytest.raises(error, match=rf"TableFeatures.fit: column 'a'.* {message}"):
        TableFeatures(**{group: ["a"]}).fit({"id": [1, 2, 3], "a": column})


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([1, 1], ValueError, "column 'id': IdMap: ids must be distinct; got 1 at positions 0 and 1"),
        (["a", None], TypeError, "column 'id' must be integers or strings; got a missing value .None. at entry 1"),
        ([0.5, 1.5], TypeError, "column 'id' must be integers or strings; got 0.5 at entry 0"),
    ],
)
def test_table_features_bad_ids_raise(ids, error, message):
    features = TableFeatures(numeric=["a"]).fit({"id": [1], "a": [1]})
    with pytest.raises(error, match=f"TableFeatures.transform: {message}"):
        features.transform({"id": ids, "a": [1, 2]})


def test_table_features_bad_tables_raise():
    features = TableFeatures(one_hot=["a"])
    for table in ([[1]], 3, np.ones((2, 2)), "table"):
        with pytest.raises(TypeError, match=r"X must be a pandas or Polars data frame.*; got"):
            features.fit(table)
    for library in (dict, pd.DataFrame, pl.DataFrame):
        with pytest.raises(ValueError, match=r"TableFeatures.fit: X must not be empty; got 0 rows"):
            features.fit(library({"id": [], "a": []}))
    twice = pd.DataFrame([[1, "x", "y"]], columns=["id", "a", "a"])
    with pytest.raises(ValueError, match="X must have one column 'a'; it has 'id', 'a', 'a'"):
        features.fit(twice)
    features.fit({"id": [1], "a": ["7"]})
    with pytest.raises(TypeError, match=r"TableFeatures.transform: column 'a' must hold str values, as in fit; got 7"):
        features.transform({"id": [1], "a": [7]})
