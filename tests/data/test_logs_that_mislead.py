"""Files that are easily misread: ids that are missing, dates as numbers, columns of two meanings, no tables at all."""

import datetime
import io
import os
import threading
import zipfile

import numpy as np
import pytest

import fastcf
from fastcf.data import files, load_events, load_ratings, read_items, read_log
from rating_logs import NO_IDS, write


def triples(ratings):
    return list(zip(*(column.tolist() for column in ratings.to_coo()), strict=True))


def refused(read, path, *parts, **options):
    """Check that a file is refused on one line that has all these parts."""
    with pytest.raises(fastcf.DataError) as error:
        read(path, **options)
    message = str(error.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    for part in parts:
        assert part in message, message


# ------------------------------------------------------------------------------------------------ ids that are missing


@pytest.mark.parametrize("text", NO_IDS)
@pytest.mark.parametrize("others", ["7", "ann", '"b b"'])
def test_texts_that_stand_for_none_are_no_ids(tmp_path, text, others):
    rows = [f"{others},10,4"] * 40  # enough for bulk reading
    lines = ["user,item,rating", *rows, f"{text},10,4", *rows]
    path = write(tmp_path, "\n".join(lines) + "\n")
    refused(read_log, path, f":42: user id must not be missing; got '{text}'", "on_bad_lines='skip'", "id_type='str'")
    log = read_log(path, on_bad_lines="skip")
    assert (len(log.ratings), log.left_out.n_lines) == (80, 1)
    log = read_log(path, id_type=("str", "int"))
    assert text in log.users.tolist()
    assert len(log.ratings) == 81


def test_names_that_begin_like_missing_ones_are_ids(tmp_path):
    names = ["Nullarbor", "nano", "Nora", "N", "n", "none!", "NaNa", "\\Na", "<N>"]
    path = write(tmp_path, "user,item,rating\n" + "".join(f"{name},NULLs,4\n" for name in names))
    assert sorted(load_ratings(path).users.ids.tolist()) == sorted(names)


def test_missing_ids_of_items_and_of_event_logs(tmp_path):
    refused(load_ratings, write(tmp_path, "user,item,rating\n1,10,4\n1,NULL,3\n"), ":3: item id must not be missing")
    path = write(tmp_path, "user,item,event\n1,10,view\nNULL,10,view\n2,10,NULL\n")
    refused(load_events, path, ":3: user id must not be missing; got 'NULL'", weights={"view": 1}, ignore="NULL")
    ratings = load_events(path, weights={"view": 1}, ignore="NULL", on_bad_lines="skip")
    assert triples(ratings) == [(1, 10, 1.0)]


# ----------------------------------------------------------------------------------------------------- dates as numbers


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (20180725, 20181226, [(2018, 7, 25), (2018, 12, 26)]),
        (201807252209, 201812260000, [(2018, 7, 25, 22, 9), (2018, 12, 26)]),
        (20180725220911, 20181226000000, [(2018, 7, 25, 22, 9, 11), (2018, 12, 26)]),
    ],
)
def test_dates_written_as_numbers_are_asked_for(tmp_path, first, second, expected):
    seconds = [int(datetime.datetime(*each, tzinfo=datetime.timezone.utc).timestamp()) for each in expected]
    path = write(tmp_path, f"user,item,rating,time\n1,10,4,{first}\n2,11,3,{second}\n")
    refused(load_ratings, path, f"{first} may be dates; time_unit='date'")
    assert load_ratings(path, time_unit="date").timestamps.tolist() == seconds
    times = np.array([first, second])
    with pytest.raises(ValueError, match=f"{first} may be dates"):
        fastcf.Ratings.from_coo([1, 2], [1, 2], [1, 2], timestamps=times)
    ratings = fastcf.Ratings.from_coo([1, 2], [1, 2], [1, 2], timestamps=times, time_unit="date")
    assert ratings.timestamps.tolist() == seconds


@pytest.mark.parametrize(
    "number", [2018072522, 2018072524, 201807252260, 20180732, 20181301, 20180230, 2018, -20180725]
)
def test_numbers_that_are_no_dates(number):
    def dated(unit):
        return fastcf.Ratings.from_coo([1], [1], [1], timestamps=np.array([number]), time_unit=unit).timestamps.tolist()

    assert dated("s") == [number]
    if number == 2018072522:  # an hour, which only time_unit makes of it: it may be a second of 2033
        assert (dated("date"), dated("auto")) == ([1532556000], [number])
    else:
        with pytest.raises(ValueError, match="must be numbers YYYYMMDD, or all of them YYYYMMDDHHMMSS"):
            dated("date")


# ---------------------------------------------------------------------------------------- columns of two meanings


@pytest.mark.parametrize(
    ("header", "role", "columns"),
    [
        ("user,artist_id,track_id,rating", "item", "1 'artist_id' and 2 'track_id'"),
        ("user,item,rating,score", "rating", "2 'rating' and 3 'score'"),
        ("user,item,rating,Rating", "rating", "2 'rating' and 3 'Rating'"),
        ("user_id,customer_id,item,rating", "user", "0 'user_id' and 1 'customer_id'"),
    ],
)
def test_columns_that_may_each_be_meant_are_asked_for(tmp_path, header, role, columns):
    path = write(tmp_path, f"{header}\n1,2,3,4\n")
    refused(load_ratings, path, f"columns {columns} may each be the {role}; pass {role}= by name or number")
    assert triples(load_ratings(path, user=0, item=1, rating=3)) == [(1, 2, 4.0)]


def test_columns_of_one_thing_are_not_asked_for(tmp_path):
    path = write(tmp_path, "user_id,username,asin,parent_asin,rating\n1,ann,B,P,4\n")
    assert triples(load_ratings(path)) == [(1, "B", 4.0)]


def test_names_given_for_several_columns_are_refused(tmp_path):
    path = write(tmp_path, "user,item,what,what\n1,2,3,4\n")
    with pytest.raises(ValueError, match=r"rating must name a column .* several columns are called so, pass a number"):
        load_ratings(path, rating="what")


# ------------------------------------------------------------------------------------------------------ how text begins


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_first_lines_of_spreadsheets_name_the_separator(tmp_path, first, end):
    path = write(tmp_path, end.join([first, "user;item;rating", "1;10;4,5", "2;;3", ""]))
    refused(load_ratings, path, ":4: item id must not be empty")
    assert triples(load_ratings(path, on_bad_lines="skip")) == [(1, 10, 4.5)]


def test_lines_above_the_header_are_named(tmp_path):
    path = write(tmp_path, "Ratings\nuser,item,rating\n1,10,4\n2,11,3\n")
    refused(load_ratings, path, ":1: the first line is not cut into 3 fields by ','", "'Ratings'")


@pytest.mark.parametrize("rows", [["1,10,4", "2,11,3"], ["ann,x,4", '"bob","y","3"'], ["4,ann,x", "3,bob,y"]])
def test_line_ends_that_were_doubled(tmp_path, rows):
    header = "rating,user,item" if rows[0].startswith("4") else "user,item,rating"
    lines = [header, *rows]
    expected = triples(load_ratings(write(tmp_path, "\n".join([*lines, ""]))))
    assert triples(load_ratings(write(tmp_path, "\r\r\n".join([*lines, ""])))) == expected


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32"])
def test_wide_text_is_named(tmp_path, encoding):
    path = write(tmp_path, "user,item,rating\nann,10,4\n".encode(encoding))
    refused(load_ratings, path, f"text; encoding='{encoding}' reads it")
    assert triples(load_ratings(path, encoding=encoding)) == [("ann", 10, 4.0)]


def _archive(*names):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"<!DOCTYPE html>\n<html><body>1, 2, 3</body></html>\n", "is a page of HTML; was there an error"),
        (b"\n <html>\n", "is a page of HTML"),
        (b'<?xml version="1.0"?>\n<a/>\n', "is an XML document; save the table as CSV"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 12\n",
            "is a pointer of Git LFS; git lfs pull",
        ),
        (_archive("mimetype", "content.xml", "meta.xml"), "is an Office document"),
    ],
)
def test_files_that_are_no_tables_are_named(tmp_path, content, part):
    for read in (load_ratings, load_events, read_items):
        refused(read, write(tmp_path, content), part)


# ------------------------------------------------------------------------------------------------------ pipes, folders


def test_pipes_need_a_writer(tmp_path, monkeypatch):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(fastcf.DataError, match="is a pipe, which can be read only once"):
        load_ratings(path)  # at once, although nobody writes
    monkeypatch.setattr(files, "_PATIENCE", 0.05)
    for read in (lambda: load_ratings(path, format="delimited"), lambda: load_events(path), lambda: read_items(path)):
        with pytest.raises(fastcf.DataError, match=r"nothing was written for 0.05 seconds; start its writer first"):
            read()


def test_pipes_are_waited_for(tmp_path, monkeypatch):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    monkeypatch.setattr(files, "_PATIENCE", 0.05)
    opened, late = threading.Event(), threading.Event()

    def produce():
        with open(path, "wb", buffering=0) as pipe:
            opened.set()
            late.wait(0.2)  # a writer that is there, and writes later than anyone waits for one
            pipe.write(b"user,item\n1,2\n1,2\n")

    writer = threading.Thread(target=produce)
    writer.start()
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # until the writer has opened its end
    assert opened.wait(5)
    ratings = load_events(path)
    writer.join()
    os.close(reader)
    assert triples(ratings) == [(1, 2, 2.0)]


def test_folders_without_a_known_layout_list_their_files(tmp_path):
    for name in ("part-1.csv", "part-0.csv", ".hidden"):
        (tmp_path / name).write_text("user,item,rating\n1,2,3\n")
    refused(load_ratings, tmp_path, "no ratings found", "there are part-0.csv, part-1.csv: name the file to read")
