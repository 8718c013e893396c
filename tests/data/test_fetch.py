"""Data sets that are downloaded, from a server of this machine."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import threading
import zipfile
from pathlib import Path

import pytest

import fastcf
from fastcf.data import download, fetch_movielens, fetch_movietweetings
from fastcf.data.download import cache_folder


def archive(folder="ml-tiny/", **more):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for name, content in {
            "README.txt": "terms",
            "ratings.csv": "userId,movieId,rating,timestamp\n" + "".join(f"{u},10,4.5,100\n" for u in range(1, 500)),
            "movies.csv": "movieId,title,genres\n10,Heat (1995),Crime\n",
            **more,
        }.items():
            file.writestr(folder + name, content)
    return buffer.getvalue()


class Server:
    """A server of files; ``cut`` breaks connections after so many bytes, ``ranges`` says whether it goes on."""

    def __init__(self):
        self.files, self.asked, self.cut, self.ranges = {}, [], None, True
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append((self.path, self.headers.get("Range")))
                content = outer.files.get(self.path)
                if content is None:
                    self.send_error(404)
                    return
                begin, given = 0, self.headers.get("Range")
                if given is not None and outer.ranges:
                    begin = int(given.removeprefix("bytes=").rstrip("-"))
                    if begin >= len(content):
                        self.send_response(416)
                        self.send_header("Content-Range", f"bytes */{len(content)}")
                        self.send_header("Content-Length", "0")
                        self.end_headers()
                        return
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
                else:
                    self.send_response(200)
                self.send_header("Content-Length", str(len(content) - begin))
                self.end_headers()
                self.wfile.write(content[begin:][: outer.cut])

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}/sets"

    def put(self, name, content, md5=True):
        self.files[f"/sets/{name}"] = content
        if md5:
            self.files[f"/sets/{name}.md5"] = f"MD5 ({name}) = {hashlib.md5(content).hexdigest()}\n".encode()

    def requests(self, name):
        return [given for path, given in self.asked if path == f"/sets/{name}"]

    def stop(self):
        if self.thread.is_alive():
            self.server.shutdown()
            self.server.server_close()
            self.thread.join()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.stop()


ZIP = "ml-latest-small.zip"


def test_fetch_movielens_downloads_once_and_shows_the_terms(server, tmp_path, capsys):
    server.put(ZIP, archive())
    ratings, _, films = fetch_movielens(folder=tmp_path, mirror=server.address + "/")
    assert (ratings.shape, ratings.rating_range) == ((499, 1), (4.5, 4.5))
    assert films.title_of([10]).tolist() == ["Heat (1995)"]
    shown = capsys.readouterr()
    assert "no commercial use without permission" in shown.err
    assert "ml-latest-small-README" in shown.err
    assert shown.out == ""
    server.stop()  # from now on it is there
    again = fetch_movielens("latest-small", folder=tmp_path, mirror=server.address)
    assert len(again.log.ratings) == 499
    assert capsys.readouterr().err == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checksums.json", "ml-latest-small"]


def test_fetch_quietly(server, tmp_path, capsys):
    server.put("ml-1m.zip", archive("ml-1m/"))
    assert fetch_movielens("1m", folder=tmp_path, mirror=server.address, quiet=True).ratings.n_users == 499
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("ranges", [True, False])
def test_fetch_goes_on_where_a_download_broke_off(server, tmp_path, ranges):
    whole = archive()
    server.put(ZIP, whole)
    server.cut, server.ranges = 5_000, ranges
    broken = rf"the connection broke after 5,000 of {len(whole):,} bytes\); without a connection, put the file at "
    with pytest.raises(ConnectionError, match=broken + r".*ml-latest-small\.zip \(5,000 bytes are there; the next"):
        fetch_movielens(folder=tmp_path, mirror=server.address)
    assert (tmp_path / f"{ZIP}.part").stat().st_size == 5_000
    server.cut = None
    assert fetch_movielens(folder=tmp_path, mirror=server.address).ratings.n_users == 499
    assert server.requests(ZIP) == [None, "bytes=5000-"]


def test_fetch_goes_on_from_a_download_that_was_whole(server, tmp_path):
    server.put(ZIP, archive())
    (tmp_path / f"{ZIP}.part").write_bytes(archive())
    assert fetch_movielens(folder=tmp_path, mirror=server.address).ratings.n_users == 499


def test_fetch_begins_anew_where_the_rest_is_of_another_file(server, tmp_path):
    server.put(ZIP, archive())
    (tmp_path / f"{ZIP}.part").write_bytes(b"x" * 3_000)
    assert fetch_movielens(folder=tmp_path, mirror=server.address).ratings.n_users == 499
    assert server.requests(ZIP) == ["bytes=3000-", None]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / f"{ZIP}.part").write_bytes(b"x" * 300_000)  # longer than the file
    assert fetch_movielens(folder=tmp_path / "b", mirror=server.address).ratings.n_users == 499


def test_fetch_refuses_another_checksum_than_the_publishers(server, tmp_path):
    server.put(ZIP, archive())
    server.files[f"/sets/{ZIP}"] = archive(more="changed")
    with pytest.raises(fastcf.DataError, match=r"download has the checksum \w{32}, but \w{32} the publisher states"):
        fetch_movielens(folder=tmp_path, mirror=server.address)
    assert list(tmp_path.iterdir()) == []


def test_fetch_without_a_connection_says_where_to_put_the_file(server, tmp_path):
    with pytest.raises(ConnectionError, match=r"25m\.zip: the server answers 404 Not Found; without a connection, put"):
        fetch_movielens("25m", folder=tmp_path, mirror=server.address)
    address = "http://127.0.0.1:9/sets"  # nobody listens
    with pytest.raises(ConnectionError, match=r"25m\.zip: cannot be reached \(.*refused\); without a conn") as error:
        fetch_movielens("25m", folder=tmp_path, mirror=address)
    assert str(error.value).endswith(f"put the file at {tmp_path / 'ml-25m.zip'}")
    (tmp_path / "ml-25m.zip").write_bytes(archive("ml-25m/"))  # by hand
    assert fetch_movielens("25m", folder=tmp_path, mirror=address).ratings.n_users == 499


def test_fetch_names_archives_that_are_no_sets(server, tmp_path):
    server.put(ZIP, b"<html>Sign in</html>")
    with pytest.raises(fastcf.DataError, match=r"the zip archive is damaged: .*; remove it, and fetch it again"):
        fetch_movielens(folder=tmp_path, mirror=server.address)
    server.put("ml-1m.zip", archive("a/") + b"")
    two = io.BytesIO()
    with zipfile.ZipFile(two, "w") as file:
        file.writestr("a/x", "")
        file.writestr("b/x", "")
    server.put("ml-1m.zip", two.getvalue())
    with pytest.raises(fastcf.DataError, match="the archive must hold one folder; it has 2"):
        fetch_movielens("1m", folder=tmp_path, mirror=server.address)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("ml-10m/ratings.dat", bytes(10_000_000))
    server.put("ml-10m.zip", bomb.getvalue())
    with pytest.raises(fastcf.DataError, match=r"[\d,]+ bytes would become 10,000,000; is this the set\?"):
        fetch_movielens("10m", folder=tmp_path, mirror=server.address)


def test_fetch_checks_names_and_addresses(tmp_path):
    with pytest.raises(ValueError, match=r"name must be one of 'latest-small', .*; got '25M'"):
        fetch_movielens("25M", folder=tmp_path)
    with pytest.raises(ValueError, match=r"name must be one of 'latest', .*; got '1m'"):
        fetch_movietweetings("1m", folder=tmp_path)
    with pytest.raises(ValueError, match="mirror must be an address that begins with http"):
        fetch_movielens(folder=tmp_path, mirror="file:///etc")


def test_fetch_movietweetings_records_checksums(server, tmp_path, capsys):
    server.put("snapshots/100K/ratings.dat", b"1::0114508::8::1381006850\n1::0114508::9::1381006851\n", md5=False)
    server.put("snapshots/100K/movies.dat", b"0114508::Species (1995)::Action|Sci-Fi\n", md5=False)
    ratings, log, films = fetch_movietweetings("100k", folder=tmp_path, mirror=server.address)
    assert "MovieTweetings was collected by Simon Dooms" in capsys.readouterr().err
    assert (ratings.items.ids.tolist(), ratings.values.tolist(), len(log.ratings)) == (["0114508"], [9.0], 2)
    assert films.titles.tolist() == ["Species (1995)"]
    place = tmp_path / "movietweetings-100k"
    known = json.loads((place / "checksums.json").read_text())
    assert known["ratings.dat"] == hashlib.sha256((place / "ratings.dat").read_bytes()).hexdigest()
    asked = len(server.asked)
    fetch_movietweetings("100k", folder=tmp_path, mirror=server.address)
    assert len(server.asked) == asked
    (place / "ratings.dat").write_bytes(b"1::2::3::4\n")
    with pytest.raises(fastcf.DataError, match=r"ratings\.dat: has changed since it was fetched"):
        fetch_movietweetings("100k", folder=tmp_path, mirror=server.address)
    (place / "ratings.dat").unlink()
    server.put("snapshots/100K/ratings.dat", b"1::0114508::7::1\n", md5=False)
    with pytest.raises(fastcf.DataError, match=r"but \w{64} was recorded at the first fetch; .*remove its entry from"):
        fetch_movietweetings("100k", folder=tmp_path, mirror=server.address)


def test_cache_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTCF_DATA", str(tmp_path / "sets"))
    assert cache_folder() == tmp_path / "sets"
    assert cache_folder("here") == Path("here")
    monkeypatch.delenv("FASTCF_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setattr(download.sys, "platform", "linux")
    assert cache_folder() == tmp_path / "caches" / "fastcf"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "fastcf"
