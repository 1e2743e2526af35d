"""Finding and downloading public files; the only network is a server on this machine."""

from __future__ import annotations

import gzip
import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ptofa_gpu.datasets import _fetch
from ptofa_gpu.datasets._fetch import PublicFile, cache_dir, local_copy, read_public
from ptofa_gpu.errors import DataNotFoundError, InputError

TEXT = b"a,b\r\n1,2\r\n" * 100
DIGEST = hashlib.sha256(TEXT).hexdigest()
NAME = "ptofa-test-table.csv"


class Server(ThreadingHTTPServer):
    """Answers from `pages` and remembers what was asked."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.asked.append(self.path)
        body = server.pages.get(self.path)
        self.send_response(404 if body is None else 200)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as s:
        thread = threading.Thread(target=s.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield s
        s.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data folder, an empty cache, downloads allowed, no proxy between us and 127.0.0.1."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv(_fetch.DATA_VARIABLE, raising=False)
    monkeypatch.delenv(_fetch.OFFLINE_VARIABLE, raising=False)
    (tmp_path / "work" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work" / "here")


def file(*urls: str, digest: str = DIGEST) -> PublicFile:
    return PublicFile(NAME, (digest,), urls)


def test_a_download_happens_once(server: Server) -> None:
    server.pages["/t.csv"] = TEXT
    wanted = file(server.url("/t.csv"))
    assert read_public(wanted) == TEXT
    assert (cache_dir() / NAME).read_bytes() == TEXT
    assert read_public(wanted) == TEXT
    assert server.asked == ["/t.csv"]


def test_a_gzipped_download_is_unpacked_and_the_second_address_is_tried(server: Server) -> None:
    server.pages["/t.csv.gz"] = gzip.compress(TEXT)
    assert read_public(file(server.url("/gone"), server.url("/t.csv.gz"))) == TEXT
    assert server.asked == ["/gone", "/t.csv.gz"]


def test_a_download_of_something_else_is_refused_and_not_kept(server: Server) -> None:
    server.pages["/t.csv"] = b"<html>please log in</html>"
    server.pages["/broken.gz"] = gzip.compress(TEXT)[:-20]
    with pytest.raises(DataNotFoundError) as caught:
        read_public(file(server.url("/t.csv"), server.url("/broken.gz"), server.url("/gone")))
    text = str(caught.value)
    assert f"{server.url('/t.csv')}: sha256 " in text
    assert f"{server.url('/broken.gz')}: Compressed file ended" in text
    assert f"{server.url('/gone')}: Not Found" in text
    assert not cache_dir().exists()


def test_a_damaged_cache_is_downloaded_anew(server: Server) -> None:
    server.pages["/t.csv"] = TEXT
    cache_dir().mkdir(parents=True)
    (cache_dir() / NAME).write_bytes(TEXT[:50])
    assert read_public(file(server.url("/t.csv"))) == TEXT
    assert (cache_dir() / NAME).read_bytes() == TEXT


def test_a_cache_that_cannot_be_written_does_not_cost_the_data(server: Server, tmp_path: Path) -> None:
    server.pages["/t.csv"] = TEXT
    (tmp_path / "cache").write_text("a file where a folder should be")
    assert read_public(file(server.url("/t.csv"))) == TEXT


def test_an_endless_answer_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fetch, "_LIMIT", 500)
    server.pages["/long"] = TEXT
    server.pages["/bomb.gz"] = gzip.compress(TEXT)
    with pytest.raises(DataNotFoundError) as caught:
        read_public(file(server.url("/long"), server.url("/bomb.gz")))
    assert "the answer is larger" in str(caught.value)
    assert "it unpacks to more" in str(caught.value)


def test_a_server_that_says_nothing_is_given_up_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fetch, "_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/t.csv"
        with pytest.raises(DataNotFoundError, match="timed out"):
            read_public(file(url))


def test_offline_says_where_it_looked_and_what_to_do(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(_fetch.OFFLINE_VARIABLE, "1")
    monkeypatch.setenv(_fetch.DATA_VARIABLE, str(tmp_path / "mine"))
    with pytest.raises(DataNotFoundError) as caught:
        read_public(file(server.url("/t.csv")))
    text = str(caught.value)
    assert str(tmp_path / "mine" / f"{NAME}.gz") in text
    assert str(cache_dir() / NAME) in text
    assert "PTOFA_OFFLINE is set" in text
    assert f"set {_fetch.DATA_VARIABLE} to that folder" not in text.partition("On a machine")[0]
    assert server.url("/t.csv") in text
    assert server.asked == []


def test_the_data_folder_comes_before_the_cache_and_no_other_is_looked_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(_fetch.OFFLINE_VARIABLE, "1")
    beside = tmp_path / "work" / "shared" / "data"
    beside.mkdir(parents=True)
    (beside / NAME).write_bytes(TEXT)
    assert local_copy(file()) is None
    with pytest.raises(DataNotFoundError) as caught:
        read_public(file("http://127.0.0.1:1/t.csv"))
    assert str(beside) not in str(caught.value)
    cache_dir().mkdir(parents=True)
    (cache_dir() / NAME).write_bytes(TEXT)
    assert local_copy(file()) == cache_dir() / NAME
    assert read_public(file()) == TEXT
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / f"{NAME}.gz").write_bytes(gzip.compress(b"other"))
    monkeypatch.setenv(_fetch.DATA_VARIABLE, str(mine))
    assert local_copy(file()) == mine / f"{NAME}.gz"
    with pytest.raises(InputError, match="is not the published"):
        read_public(file())


def test_a_given_path_is_the_only_place_looked_at(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="does not exist"):
        read_public(file(), tmp_path / "none.csv")
    with pytest.raises(DataNotFoundError, match="does not exist"):
        read_public(file(), tmp_path)
    damaged = tmp_path / f"{NAME}.gz"
    damaged.write_bytes(gzip.compress(TEXT)[:-12])
    with pytest.raises(InputError, match="cannot be read"):
        read_public(file(), damaged)
