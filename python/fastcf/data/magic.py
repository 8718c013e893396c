"""What a file is, by its first bytes."""

from __future__ import annotations

__all__ = [
    "ARROW",
    "ARROW_STREAM",
    "COMPRESSED",
    "HEAD",
    "PARQUET",
    "SAFETENSORS",
    "binary_kind",
    "kind_of",
    "remedy_for",
    "text_kind",
    "wide_encoding",
]

HEAD = 512
"""How many bytes the functions of this module look at."""

PARQUET, ARROW, ARROW_STREAM = "a Parquet file", "an Arrow file", "an Arrow stream"
SAFETENSORS = "a file of safetensors (a fastcf model, for example)"

COMPRESSED = {
    "a gzip file": (".gz",),
    "a bzip2 file": (".bz2",),
    "an xz file": (".xz",),
    "a Zstandard file": (".zst", ".zstd"),
    "a zip archive": (".zip",),
}
"""The compressed kinds, and how their names end."""

_EXTRACT = "extract the file of ratings"
_SAVE = "save the table as CSV or Parquet"

# First bytes, the kind, and what to do with it where it is neither a table nor compressed.
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "a gzip file", ""),
    (b"\xfd7zXZ\0", "an xz file", ""),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", ""),
    (b"PK\x03\x04", "a zip archive", ""),
    (b"PK\x05\x06", "a zip archive", ""),
    (b"PAR1", PARQUET, ""),
    (b"ARROW1\0\0", ARROW, ""),
    (b"\xff\xff\xff\xff", ARROW_STREAM, ""),
    (b"FEA1", "a Feather file of version 1", "write it again as version 2, or as Parquet"),
    (b"ORC", "an ORC file", _SAVE),
    (b"Obj\x01", "an Avro file", _SAVE),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "read it with h5py or pandas, and use Ratings.from_coo or from_arrow"),
    (b"\x93NUMPY", "a NumPy array", "read it with numpy.load, and use Ratings.from_dense or Ratings.from_coo"),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file", "read it with scipy.io.loadmat, and use Ratings.from_dense"),
    (b"SQLite format 3\0", "an SQLite database", "read the table with DuckDB or ADBC, and use Ratings.from_arrow"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document (Excel's old format, for example)", _SAVE),
    (b"RDX2\n", "an R data file", _SAVE),
    (b"RDX3\n", "an R data file", _SAVE),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _EXTRACT),
    (b"Rar!\x1a\x07", "a RAR archive", _EXTRACT),
    (b"\x1f\x9d", "a file of Unix compress", "decompress it"),
    (b"\x04\x22\x4d\x18", "an LZ4 file", "decompress it, or compress it with gzip or Zstandard"),
    (b"\xff\x06\0\0sNaPpY", "a Snappy file", "decompress it, or compress it with gzip or Zstandard"),
    (b"%PDF-", "a PDF document", ""),
    (b"\x89PNG\r\n\x1a\n", "a PNG image", ""),
    (b"\xff\xd8\xff", "a JPEG image", ""),
    (b"GIF87a", "a GIF image", ""),
    (b"GIF89a", "a GIF image", ""),
    (b"\x7fELF", "a program", ""),
)
# Text that is no table: its first bytes, in lower case, the kind, and what to do with it.
_TEXTS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs.github.com/spec/", "a pointer of Git LFS", "git lfs pull fetches the file itself"),
    (b"<!doctype html", "a page of HTML", "was there an error when it was downloaded?"),
    (b"<html", "a page of HTML", "was there an error when it was downloaded?"),
    (b"<?xml", "an XML document", _SAVE),
    (b"@relation", "an ARFF file", "read it with scipy.io.arff.loadarff, and use Ratings.from_coo"),
)
# Marks at the beginning of text in wide characters; those of UTF-32 begin like those of UTF-16.
_WIDE_MARKS = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_TEXT_CONTROLS = frozenset(b"\t\n\v\f\r\x1a\x1b")


def kind_of(head: bytes) -> str | None:
    """Return what a file is that begins with these bytes; None where they are of no kind that is known here."""
    for magic, kind, _ in _MAGIC:
        if head.startswith(magic) and not _goes_on_as_text(head, magic):
            return kind
    if head[:3] == b"BZh" and head[4:10] in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"):
        return "a bzip2 file"
    if head[8:10] == b'{"' and head[5:8] == b"\0\0\0":
        return SAFETENSORS
    if head[257:262] == b"ustar":
        return "a tar archive"
    if len(head) > 2 and head[0] == 0x80 and 2 <= head[1] <= 5 and (head[1] < 4 or head[2] == 0x95):
        return "a Python pickle"
    return None


def _goes_on_as_text(head: bytes, magic: bytes) -> bool:
    """Return whether three letters such as ORC may be the beginning of text."""
    return len(magic) < 5 and magic.isalnum() and chr(head[len(magic)] if len(head) > len(magic) else 0).isprintable()


def text_kind(head: bytes) -> str | None:
    """Return what kind of text, and no table, a file is; None where it is not recognised."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((kind for magic, kind, _ in _TEXTS if start.startswith(magic)), None)


def wide_encoding(head: bytes) -> str | None:
    """Return the encoding of text in characters of two or four bytes, by its mark or by where its zeros are."""
    for mark, encoding in _WIDE_MARKS:
        if head.startswith(mark):
            return encoding
    even, odd = head[::2], head[1::2]
    for zeros, letters, encoding in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if len(letters) > 2 and not any(zeros) and all(byte >= 32 or byte in _TEXT_CONTROLS for byte in letters):
            return encoding
    return None


def remedy_for(kind: str) -> str:
    """Return what to do with a binary file instead; "" where there is no remedy."""
    if kind == "a tar archive":
        return _EXTRACT
    if kind == "a Python pickle":
        return "load it in Python if you trust its source, and use Ratings.from_coo or Ratings.from_arrow"
    return next((remedy for _, each, remedy in (*_MAGIC, *_TEXTS) if each == kind), "")


def binary_kind(head: bytes) -> str | None:
    """Return what a file is, if it is not text: one of a known kind, or a binary file.

    Text may hold a stray zero byte below its first line, which its reader names; the encodings of
    :func:`wide_encoding` are text.
    """
    kind = kind_of(head)
    if kind is not None or wide_encoding(head) is not None:
        return kind
    controls = {byte for byte in head if byte < 32} - _TEXT_CONTROLS
    return "a binary file" if b"\0" in head.partition(b"\n")[0] or len(controls) > 2 else None
