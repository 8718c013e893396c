"""Event logs and ratings from databases, batch by batch, and lists written back: DuckDB, SQLite and PostgreSQL."""

from __future__ import annotations

import numpy as np
import pytest

import fastcf
from fastcf.data import load_events
from postgres import find_programs, private_server

pa = pytest.importorskip("pyarrow")

WEIGHTS = {"view": 1, "cart": 3, "buy": 5}
DAY = 86_400


def made_log(n=20_000):
    """A log with ids of both kinds: (columns, the same as an Arrow table)."""
    rng = np.random.default_rng(0)
    users = rng.integers(0, 300, n)
    names = np.array(["view", "cart", "buy", "shown"])
    return pa.table(
        {
            "customer": [f"c-{user:04}" for user in users.tolist()],
            "item_id": rng.integers(1, 80, n) + 2**33,
            "action": names[rng.choice(4, n, p=[0.5, 0.1, 0.1, 0.3])].tolist(),
            "moment": pa.array(1_600_000_000 + rng.integers(0, 90 * DAY, n)).cast(pa.timestamp("s", "UTC")),
        }
    )


def loaded(source):
    return load_events(source, user="customer", timestamp="moment", weights=WEIGHTS, exposure="shown", half_life="30d")


def assert_same(ours, expected):
    """The same rows in another order: sums may differ in the last bit."""
    assert ours.users == expected.users
    assert ours.items == expected.items
    np.testing.assert_array_equal(ours.indptr, expected.indptr)
    np.testing.assert_array_equal(ours.indices, expected.indices)
    np.testing.assert_allclose(ours.values, expected.values, rtol=1e-6)
    np.testing.assert_array_equal(ours.timestamps, expected.timestamps)


def lists_of(ratings):
    """Three items for each of a few users, as an Arrow table."""
    users = ratings.users.ids[:4]
    lists = fastcf.LinearAutoencoder().fit(ratings).recommend(users, 3)
    rank = np.broadcast_to(np.arange(1, 4), lists.items.shape)
    columns = {"customer": np.repeat(users, 3).tolist(), "rank": rank.ravel(), "item_id": lists.items.ravel()}
    return pa.table({**columns, "score": lists.scores.ravel()})


def test_duckdb_relations_are_read_and_lists_written_back(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    log = made_log()
    with duckdb.connect(str(tmp_path / "shop.db")) as connection:
        connection.execute("create table events as select * from log")
        ratings = loaded(connection.sql("select * from events order by moment"))
        assert_same(ratings, loaded(log))
        recent = connection.sql("select * from events where action <> 'shown' and moment >= '2020-10-01'")
        assert loaded(recent).nnz < ratings.nnz
        made = lists_of(ratings)
        connection.execute("create table lists as select * from made")
        assert connection.sql("select * from lists").fetchall() == [tuple(row.values()) for row in made.to_pylist()]


def test_duckdb_relations_are_ratings():
    duckdb = pytest.importorskip("duckdb")
    relation = duckdb.sql("select i % 7 as user, i % 5 as item, i % 3 + 1 as rating from range(20) t(i)")
    ratings = fastcf.Ratings.from_arrow(relation)
    assert ratings.nnz == 20
    assert ratings.mean == pytest.approx(np.mean(np.arange(20) % 3 + 1))


def test_sqlite_is_read_through_adbc(tmp_path):
    sqlite = pytest.importorskip("adbc_driver_sqlite.dbapi")
    log = made_log(2000)
    seconds = log.set_column(3, "moment", log["moment"].cast(pa.int64()))
    with sqlite.connect(str(tmp_path / "shop.sqlite")) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("events", seconds, mode="create")
        cursor.execute("select * from events")
        assert_same(loaded(cursor), loaded(log))


@pytest.fixture(scope="module")
def postgres():
    """A connection to a private server."""
    dbapi = pytest.importorskip("adbc_driver_postgresql.dbapi")
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with private_server(programs) as uri, dbapi.connect(uri) as connection:
        yield connection


def test_postgresql_is_streamed_and_lists_written_back(postgres):
    log = made_log()
    with postgres.cursor() as cursor:
        cursor.adbc_ingest("events", log, mode="create")
        postgres.commit()
        cursor.execute("SELECT customer, item_id, action, moment FROM events ORDER BY moment")
        reader = cursor.fetch_record_batch()
        ratings = loaded(reader)
        assert_same(ratings, loaded(log))
        table = lists_of(ratings)
        cursor.adbc_ingest("lists", table, mode="create")
        postgres.commit()
        cursor.execute("SELECT customer, rank, item_id, score FROM lists ORDER BY customer, rank")
        assert cursor.fetchall() == [tuple(row.values()) for row in table.to_pylist()]


def test_postgresql_cursors_are_read_in_batches(postgres):
    with postgres.cursor() as cursor:
        cursor.execute(
            "SELECT g % 100 AS user_id, g % 7 AS item, to_timestamp(g) AS at FROM generate_series(1, 100000) AS g"
        )
        ratings = load_events(cursor, timestamp="at")
        cursor.execute("SELECT 1 AS user, 2 AS item, 4.5::float4 AS rating")
        assert fastcf.Ratings.from_arrow(cursor).values.tolist() == [4.5]
    assert ratings.nnz == 700
    assert ratings.values.sum() == 100_000
    assert ratings.timestamps.max() == 100_000


@pytest.mark.parametrize(
    ("kind", "value", "seconds"),
    [("date", "'1970-01-03'", 2 * DAY), ("timestamp", "'1970-01-01 00:01:00'", 60), ("bigint", "77", 77)],
)
def test_postgresql_types_of_times(postgres, kind, value, seconds):
    with postgres.cursor() as cursor:
        cursor.execute(f"SELECT 'ann'::text AS customer, 7::smallint AS item, {value}::{kind} AS time")
        ratings = load_events(cursor)
    assert ratings.timestamps.tolist() == [seconds]
    assert ratings.users.ids.tolist() == ["ann"]


def test_postgresql_nulls_are_named(postgres):
    with postgres.cursor() as cursor:
        cursor.execute("SELECT * FROM (VALUES (1, 2), (1, NULL)) AS t(customer, item)")
        with pytest.raises(ValueError, match="column 'item' must have no nulls; got one at row 1; filter them out"):
            load_events(cursor)
