"""Compressed files and archives of ratings, and what is said of files that are no text."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import pickle
import random
import threading
import zipfile

import numpy as np
import pytest

import fastcf
from fastcf.data import (
    compression,
    detect_format,
    files,
    load_dense,
    load_movielens,
    load_ratings,
    read_items,
    read_log,
)
from rating_logs import write

TEXT = b"userId,movieId,rating\n" + b"".join(b"%d,10,4\n" % user for user in range(1, 10))


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def zstd(content):
    return pytest.importorskip("pyarrow").compress(content, "zstd", asbytes=True)


COMPRESS = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
    "zip": lambda content: zipped(**{"ratings.csv": content}),
    "stored zip": lambda content: zipped(**{"ratings.csv": content}),
    "gzip in a zip": lambda content: zipped(**{"ratings.csv.gz": gzip.compress(content)}),
    "two members of gzip": lambda content: gzip.compress(content[:50]) + gzip.compress(content[50:]),
    "two frames of zstd": lambda content: zstd(content[:50]) + zstd(content[50:]),
    "two streams of xz": lambda content: lzma.compress(content[:50]) + lzma.compress(content[50:]),
    "two streams of bzip2": lambda content: bz2.compress(content[:50]) + bz2.compress(content[50:]),
    "with a read-me": lambda content: zipped(
        **{"README.txt": b"hello", "a/": b"", "a/ratings.csv": content, "__MACOSX/._ratings.csv": b"\0\1"}
    ),
}


@pytest.mark.parametrize("kind", COMPRESS)
@pytest.mark.parametrize("name", ["ratings.csv", "what.ever"])
def test_compressed_files_load_whatever_their_name(tmp_path, kind, name):
    ratings = load_ratings(write(tmp_path, COMPRESS[kind](TEXT), name))
    assert ratings.users.ids.tolist() == list(range(1, 10))
    assert ratings.values.tolist() == [4] * 9


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd", "zip"])
def test_compressed_files_that_are_cut_short_are_damaged(tmp_path, kind):
    text = b"".join(b"%d,%d,3\n" % (i % 97, i) for i in range(3000))
    whole = COMPRESS[kind](text)
    for size in (len(whole) - 9, len(whole) // 2):
        with pytest.raises(fastcf.DataError, match=r"x\.bin: the .* is damaged: "):
            load_ratings(write(tmp_path, whole[:size], "x.bin"))


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd", "zip"])
def test_compressed_bombs_are_refused_with_the_sizes(tmp_path, monkeypatch, kind):
    bomb = COMPRESS[kind](b"0,0,0\n" * 2_000_000)
    path = write(tmp_path, bomb, "bomb")
    with pytest.raises(fastcf.DataError, match=r"bomb.*: [\d,]+ compressed bytes become more than [\d,]+, over"):
        load_ratings(path)
    monkeypatch.setenv("FASTCF_MAX_EXPANSION", "1e9")
    assert load_ratings(path, duplicates="last").n_ratings == 1
    monkeypatch.setenv("FASTCF_MAX_EXPANSION", "much")
    with pytest.raises(ValueError, match="FASTCF_MAX_EXPANSION must be a number of at least 1; got 'much'"):
        load_ratings(path)


def test_compressed_small_files_may_grow_by_any_factor(tmp_path):
    packed = lzma.compress(b"1,2,3\n" * 150_000)
    assert 1000 * len(packed) < 900_000
    assert load_ratings(write(tmp_path, packed), duplicates="last").n_ratings == 1


def test_compressed_bomb_within_a_bomb_is_refused(tmp_path):
    content = TEXT
    for _ in range(6):
        content = gzip.compress(content)
    with pytest.raises(fastcf.DataError, match="is a gzip file, not text"):
        load_ratings(write(tmp_path, content, "deep.gz"))


def test_zip_archive_of_several_tables_asks_for_one_and_takes_it(tmp_path):
    path = write(tmp_path, zipped(**{"2019/a.csv": TEXT, "2020/a.csv": b"user,item,rating\n7,8,1\n"}), "logs.zip")
    with pytest.raises(
        fastcf.DataError, match=r"holds several files \(2019/a.csv, 2020/a.csv\); name the one to read as logs.zip/2019"
    ):
        load_ratings(path)
    assert load_ratings(path / "2020" / "a.csv").users.ids.tolist() == [7]
    assert load_ratings(f"{path}/2019/a.csv").n_users == 9
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_ratings(path / "2021" / "a.csv")
    with pytest.raises(fastcf.DataError, match="the zip archive holds no table"):
        load_ratings(write(tmp_path, zipped(**{"README.md": b"# Nothing"}), "none.zip"))
    malformed = write(tmp_path, zipped(**{"r.csv": b"user,item,rating\n1,2,x\n", "b.csv": b""}), "bad.zip") / "r.csv"
    with pytest.raises(fastcf.DataError, match=r"bad\.zip/r\.csv:2: rating must be a number"):
        load_ratings(malformed)


def test_zip_archive_of_a_movielens_set_is_read_whole(tmp_path):
    folder = "ml-tiny/"
    path = write(
        tmp_path,
        zipped(
            **{
                folder + "README.txt": b"licence",
                folder + "movies.csv": b"movieId,title,genres\n10,Heat (1995),Crime\n",
                folder + "ratings.csv": b"userId,movieId,rating,timestamp\n1,10,4.5,100\n",
                folder + "tags.csv": b"userId,movieId,tag,timestamp\n1,10,good,1\n",
            }
        ),
        "ml-tiny.zip",
    )
    found = detect_format(path)
    assert found.format == "movielens-csv"
    assert found.items == path / "ml-tiny" / "movies.csv"
    ratings, log, films = load_movielens(path)
    assert films.title_of([10]).tolist() == ["Heat (1995)"]
    assert (ratings.values.tolist(), log.timestamps.tolist()) == ([4.5], [100])
    assert read_items(found.items).genres.tolist() == ["Crime"]


def test_zip_archive_members_do_not_lead_out_of_it(tmp_path):
    write(tmp_path, b"userId,movieId,rating\n1,2,3\n", "ratings.csv")
    for name in (f"{tmp_path}/ratings.csv", "../ratings.csv", "a/../../ratings.csv"):
        path = write(tmp_path, zipped(**{name: TEXT}), "set.zip")
        with pytest.raises(fastcf.DataError, match="the zip archive holds no table"):
            load_ratings(path)


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zst", ".zip"])
def test_folders_of_compressed_files_are_recognised(tmp_path, ending):
    compress = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd, ".zip": COMPRESS["zip"]}
    write(tmp_path, compress[ending](TEXT), f"ratings.csv{ending}")
    write(tmp_path, b"movieId,title\n10,Heat\n", "movies.csv")
    found = detect_format(tmp_path)
    assert found.format == "movielens-csv"
    assert found.items.name == "movies.csv"
    assert load_ratings(tmp_path).n_ratings == 9
    netflix = tmp_path / "netflix"
    netflix.mkdir()
    write(netflix, compress[ending](b"1:\n7,3,2005-09-06\n"), f"combined_data_1.txt{ending}")
    assert load_ratings(netflix).items.ids.tolist() == [1]


# --------------------------------------------------------------------------------------------------- what is no text


def npy():
    buffer = io.BytesIO()
    np.save(buffer, np.arange(3.0))
    return buffer.getvalue()


def npz():
    buffer = io.BytesIO()
    np.savez(buffer, Y=np.arange(3.0))
    return buffer.getvalue()


def tar_gz():
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("ratings.csv")
        info.size = len(TEXT)
        archive.addfile(info, io.BytesIO(TEXT))
    return buffer.getvalue()


BINARY = {
    "NumPy array": (npy, "is a NumPy array, not text; read it with numpy.load"),
    "NumPy archive": (npz, "is a NumPy archive; read it with numpy.load"),
    "tar": (tar_gz, "is a tar archive, not text; extract the file of ratings"),
    "Excel": (lambda: zipped(**{"[Content_Types].xml": b"<x/>", "xl/workbook.xml": b"<x/>"}), "an Office document"),
    "old Excel": (lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "an Office document"),
    "pickle": (lambda: pickle.dumps({"user": [1]}, protocol=5), "is a Python pickle, not text; load it in Python if"),
    "pickle of protocol 2": (lambda: pickle.dumps([1], protocol=2), "is a Python pickle, not text"),
    "PNG": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(100), "is a PNG image, not text"),
    "PDF": (lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "is a PDF document, not text"),
    "SQLite": (lambda: b"SQLite format 3\0" + bytes(84), "is an SQLite database, not text; read the table with DuckDB"),
    "HDF5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(9), "is an HDF5 file, not text"),
    "MATLAB": (lambda: b"MATLAB 5.0 MAT-file, Platform" + bytes(99), "scipy.io.loadmat, and use Ratings.from_dense"),
    "R": (lambda: gzip.compress(b"RDX3\nX\n\0\0\0\3"), "is an R data file, not text"),
    "ORC": (lambda: b"ORC\x0a\x0b\x00\x00", "is an ORC file, not text"),
    "Avro": (lambda: b"Obj\x01\x02\x16avro.schema", "is an Avro file, not text"),
    "7z": (lambda: b"7z\xbc\xaf\x27\x1c\0\4", "is a 7z archive, not text; extract"),
    "zero bytes": (lambda: bytes(100), "is a binary file, not text"),
    "noise": (lambda: random.Random(0).randbytes(5000), "is a binary file, not text"),
    "compressed noise": (lambda: bz2.compress(random.Random(1).randbytes(5000)), "is a binary file, not text"),
    "a program": (lambda: b"\x7fELF\2\1\1" + bytes(99), "is a program, not text"),
}


@pytest.mark.parametrize("kind", BINARY)
@pytest.mark.parametrize("read", [load_ratings, read_log, load_dense, read_items], ids=lambda read: read.__name__)
def test_binary_files_are_named_and_not_printed(tmp_path, kind, read):
    make, message = BINARY[kind]
    with pytest.raises(fastcf.DataError) as error:
        read(write(tmp_path, make(), "file"))
    assert message in str(error.value)
    assert str(error.value).isprintable()
    assert str(error.value).isascii()


def test_binary_model_file_is_named(tmp_path):
    path = tmp_path / "model.fastcf"
    fastcf.BiasModel().fit([(1, 2), (2, 1)], [3.0, 4.0]).save(path)
    with pytest.raises(fastcf.DataError, match="holds a BiasModel, not Ratings; load it with"):
        load_ratings(path)


@pytest.mark.parametrize("word", ["ORCID", "PAR1", "FEA1", "BZhang", "PKU", "GIF8", "7z", "Obj"])
def test_text_may_begin_like_the_name_of_a_format(tmp_path, word):
    ratings = load_ratings(write(tmp_path, f"{word},i1,3\nu2,i1,4\n"))
    assert word in ratings.users.ids.tolist()


def test_devices_and_endless_pipes_are_refused(tmp_path, monkeypatch):
    for name in ("/dev/zero", "/dev/null", "/dev/urandom"):
        for options in ({}, {"format": "delimited"}):
            with pytest.raises(fastcf.DataError, match=f"{name}: is a device, which may never end"):
                load_ratings(name, **options)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    monkeypatch.setattr(files, "_LONGEST_PIPE", 1000)

    def endless():
        with contextlib.suppress(BrokenPipeError), open(path, "wb", buffering=0) as pipe:
            while True:
                pipe.write(b"1,2,3\n" * 100)

    writer = threading.Thread(target=endless)
    writer.start()
    with pytest.raises(fastcf.DataError, match="is a pipe that has not ended after 1,000 bytes; write it to a file"):
        load_ratings(path, format="delimited")
    writer.join()


def test_pipe_whose_layout_is_to_be_recognised_is_refused(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    holder = os.open(path, os.O_RDWR)  # a writer that never writes
    try:
        with pytest.raises(fastcf.DataError, match="is a pipe, which can be read only once"):
            load_ratings(path)
    finally:
        os.close(holder)


def test_pipe_may_be_compressed(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(gzip.compress(TEXT),))
    writer.start()
    assert load_ratings(path, format="delimited").n_users == 9
    writer.join()


def test_zstd_without_a_library_names_what_to_install(tmp_path, monkeypatch):
    path = write(tmp_path, zstd(TEXT))

    def nothing(name):
        raise ImportError(name)

    monkeypatch.setattr(compression.importlib, "import_module", nothing)
    with pytest.raises(ImportError, match=r"needs Python 3\.14, the package zstandard, or pyarrow: pip install"):
        load_ratings(path)


def test_package_zstandard_reads_frames_and_notices_what_is_missing(tmp_path):
    zstandard = pytest.importorskip("zstandard")
    text = b"".join(b"%d,%d,3\n" % (user, user % 7) for user in range(20_000))
    compress = zstandard.ZstdCompressor(write_checksum=True).compress
    halves = [compress(half) for half in (text[:100_000], text[100_000:], b"")]
    whole = b"".join(halves)

    def read(content):
        return compression._zstd(io.BytesIO(content), "x").read()

    assert read(whole) == text
    for size in (1, 20, len(halves[0]) - 1, len(halves[0]) + 5, len(whole) - 1):
        with pytest.raises(EOFError, match="ends within a frame"):
            read(whole[:size])
    damaged = bytearray(whole)
    damaged[len(whole) // 3] ^= 0xFF
    with pytest.raises(fastcf.DataError, match="the Zstandard file is damaged"):
        load_ratings(write(tmp_path, bytes(damaged), "log.zst"))
