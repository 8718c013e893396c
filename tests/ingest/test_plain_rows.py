"""Bulk reading of plain rows of text, at every instruction set: against Python, and against reading them one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcf._backend import ingest
from rating_logs import assert_same, ids_reference, native

pytestmark = pytest.mark.every_isa


@settings(max_examples=100)
@given(
    order=st.permutations(["user", "item", "rating", "timestamp"]),
    odd=st.lists(
        st.tuples(
            st.integers(0, 400),
            st.sampled_from(
                [
                    '"7",8,9,1',
                    " 7,8,9,1",
                    "7,8,9,1 ",
                    "7,-8,9,1",
                    "",
                    "7,8,9.25,1",
                    "77777777777,8,9,1",
                    "7,08,9,1",
                    "7,8,+9,12345678901234567",
                    "7,8,1e1,1",
                    "1234567890123456,8,9,1",
                    "7,8,99.5,0",
                ]
            ),
        ),
        max_size=5,
    ),
    newline=st.sampled_from(["\n", "\r\n"]),
    piece_bytes=st.sampled_from([50, 1000, 1 << 20]),
    narrow=st.booleans(),
)
def test_read_log_odd_lines_among_plain_ones(order, odd, newline, piece_bytes, narrow):
    lines = [f"{i},{i % 7},{i % 10}.5,{10**9 + i}" for i in range(400)]
    for at, line in odd:
        lines.insert(at, line)
    columns = [
        [field.strip(' "') for field in column] for column in zip(*(x.split(",") for x in lines if x), strict=True)
    ]
    names = ["user", "item", "rating", "timestamp"]
    shuffled = [",".join(line.split(",")[names.index(name)] for name in order) if line else "" for line in lines]
    log = native(
        newline.join(shuffled).encode(),
        columns=tuple(order.index(name) for name in names),
        piece_bytes=piece_bytes,
        narrow=narrow,
    )
    users, items, ratings, times = columns
    expected = [np.array([float(r) for r in ratings]).astype(np.float32), np.array([int(t) for t in times], np.int64)]
    assert_same(log, ids_reference(users), ids_reference(items), *expected)


def outcome(text, **options):
    """Rows, or the line and problem of the error."""
    try:
        return [None if column is None else column.tolist() for column in native(text, **options)]
    except ingest.ParseError as error:
        return error.args


@settings(max_examples=300)
@given(
    changes=st.lists(st.tuples(st.integers(0, 9999), st.sampled_from(b'0159-+.,:; \r\n"a/\x00\xff')), max_size=3),
    newline=st.sampled_from(["\n", "\r\n"]),
    n_fields=st.sampled_from([3, 4]),
    digits=st.integers(1, 15),
    narrow=st.booleans(),
)
def test_read_log_many_rows_together_as_one_by_one(changes, newline, n_fields, digits, narrow):
    rows = [
        [
            f"{i % 10 + 1}",
            f"{(i * 7919 + 1) % 10**digits}",
            f"{i % 5}.{i % 7}" if i % 3 else f"{i % 12}",
            f"{10**9 + i}",
        ]
        for i in range(200)
    ]
    text = bytearray("".join(",".join(row[:n_fields]) + newline for row in rows).encode())
    for at, byte in changes:
        text[at % len(text)] = byte
    options = {"n_fields": n_fields, "columns": (0, 1, 2, 3 if n_fields == 4 else -1), "narrow": narrow}
    # Pieces of one line are read row by row.
    assert outcome(bytes(text), **options) == outcome(bytes(text), piece_bytes=1, **options)


@pytest.mark.parametrize("where", [0, 1, 4000])
@pytest.mark.parametrize("narrow", [False, True])
def test_read_log_line_longer_than_a_block(where, narrow):
    lines = [f"{i},{i},1" for i in range(4001)]
    lines[where] = f"{where}," + " " * 50_000 + f"{where},1"
    users, items, _, _ = native("\n".join(lines).encode(), n_fields=3, columns=(0, 1, 2, -1), narrow=narrow)
    assert users.tolist() == items.tolist() == list(range(4001))


@pytest.mark.parametrize("wide", [2**31 - 1, -(2**31), 2**31, -(2**31) - 1, 2**40])
def test_read_log_narrow_ids_widen_when_one_does_not_fit(wide):
    text = "".join(f"{i},{i},1\n" for i in range(1000)) + f"1000,{wide},1\n" + "7,7,1\n" * 20
    users, items, _, _ = native(text.encode(), n_fields=3, columns=(0, 1, 2, -1), narrow=True, piece_bytes=500)
    assert users.dtype == np.int32
    assert items.dtype == (np.int32 if -(2**31) <= wide < 2**31 else np.int64)
    assert items.tolist() == [*range(1000), wide, *[7] * 20]


def test_read_log_every_rating_of_two_digits_is_exact():
    texts = [f"{units}.{tenths}" for units in range(100) for tenths in range(10)] + [str(i) for i in range(1000)]
    text = "".join(f"1,{i},{rating},0\n" for i, rating in enumerate(texts)).encode()
    np.testing.assert_array_equal(native(text)[2], np.array(texts, dtype=np.float64).astype(np.float32))


def test_read_log_integer_ids_of_every_length_and_both_ends_of_int64():
    ids = [10**k for k in range(19)] + [10**k - 1 for k in range(1, 19)] + [2**63 - 1, -(2**63), -1, 0]
    text = "".join(f"{i},{i},1,{i}\n" for i in ids).encode() + b"1,1,1,1\n" * 8
    users, items, _, times = native(text)
    assert users[: len(ids)].tolist() == items[: len(ids)].tolist() == times[: len(ids)].tolist() == ids
