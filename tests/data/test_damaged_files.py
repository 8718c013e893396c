"""Files of every format with bytes changed, added and left out: ratings or a DataError, and nothing else."""

import bz2
import gzip
import io
import json
import lzma
import os
import time
import zipfile

import numpy as np
import pytest

import fastcf
from fastcf.data import load_dense, load_ratings

SECONDS = float(os.environ.get("FASTCF_FUZZ_SECONDS", "0"))
TEXT = b"userId,movieId,rating,timestamp\n" + b"".join(b"%d,%d,%d,1000\n" % (u, u % 7, u % 5 + 1) for u in range(40))


def zipped(content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ratings.csv", content)
    return buffer.getvalue()


def table(write):
    pa = pytest.importorskip("pyarrow")
    ids = np.arange(40)
    columns = {"user": pa.array(ids.astype(str)), "item": ids % 7, "rating": ids % 5 + 1.0, "timestamp": ids}
    buffer = io.BytesIO()
    write(pa, pa.table(columns), buffer)
    return buffer.getvalue()


def parquet(pa, rows, buffer):
    import pyarrow.parquet as parquet

    parquet.write_table(rows, buffer)


def arrow(pa, rows, buffer):
    with pa.ipc.new_file(buffer, rows.schema) as writer:
        writer.write_table(rows)


FILES = {
    "gzip": lambda: gzip.compress(TEXT, mtime=0),
    "bzip2": lambda: bz2.compress(TEXT),
    "xz": lambda: lzma.compress(TEXT),
    "zstd": lambda: pytest.importorskip("pyarrow").compress(TEXT, "zstd", asbytes=True),
    "zip": lambda: zipped(TEXT),
    "parquet": lambda: table(parquet),
    "arrow": lambda: table(arrow),
    "json lines": lambda: b"".join(
        json.dumps({"user": f"u{u}", "item": u % 7, "rating": u % 5, "note": "x"}).encode() + b"\n" for u in range(40)
    ),
    "dense": lambda: b"id,a,b,c\n" + b"".join(b"%d,1,,%d\n" % (u, u % 3) for u in range(30)),
}


def changed(content, random):
    content = bytearray(content)
    for _ in range(random.integers(1, 5)):
        at = int(random.integers(len(content) + 1))
        kind = random.integers(4)
        if kind == 0 and at < len(content):
            content[at] = random.integers(256)
        elif kind == 1:
            content[at:at] = random.bytes(int(random.integers(1, 9)))
        elif kind == 2:
            del content[at : at + int(random.integers(1, 60))]
        elif kind == 3:
            other = int(random.integers(len(content) + 1))
            content[at:at] = content[other : other + 20]
    return bytes(content)


@pytest.mark.parametrize("kind", FILES)
def test_damaged_files_are_ratings_or_data_errors(tmp_path, kind):
    whole = FILES[kind]()
    random = np.random.default_rng(7)
    end = time.monotonic() + SECONDS
    done, messages = 0, []
    while done < 60 or time.monotonic() < end:
        done += 1
        path = tmp_path / "file"
        content = changed(whole, random)
        path.write_bytes(content)
        try:
            if kind == "dense":
                ratings = load_dense(path, user=0)
            else:
                ratings = load_ratings(path, duplicates="last", user="user" if kind == "json lines" else None)
        except fastcf.DataError as error:
            messages.append(str(error))
            continue
        assert np.isfinite(ratings.values).all()
        assert 0 < ratings.n_ratings <= 100
    assert all(len(message) < 2000 for message in messages)
