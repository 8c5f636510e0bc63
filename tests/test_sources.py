"""Reading what a person wrote down: missing files, servers that fail, secrets in addresses."""

import contextlib
import http.server
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from upath import UPath

from topview_pipeline.sources import (
    SourceError,
    SourceTimeout,
    is_url,
    local_path,
    mark_of,
    read_changed,
    read_limited,
    resolved,
    shown,
)
from topview_pipeline.sources import http as http_source


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "/file?signature=s3cret")
            self.end_headers()
            return
        self.send_response(200 if self.path.startswith("/file") else 404)
        self.send_header("Content-Length", "12" if "cut" in self.path else "6")
        self.end_headers()
        self.wfile.write(b"pixels")

    def log_message(self, *_: object) -> None:
        """Keep the test output clean."""


@pytest.fixture
def server() -> Iterator[str]:
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_every_kind_of_reference_gives_its_bytes(server: str, tmp_path: Path) -> None:
    (tmp_path / "a b.png").write_bytes(b"pixels")
    UPath("memory://sources/a.png").write_bytes(b"pixels")
    for ref in (
        str(tmp_path / "a b.png"),
        (tmp_path / "a b.png").as_uri(),
        "memory://sources/a.png",
        f"{server}/file",
        f"{server}/moved",
    ):
        assert read_limited(ref, 6) == b"pixels"


def test_what_is_too_large_is_not_read_to_its_end(server: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"pixels")
    UPath("memory://sources/a.png").write_bytes(b"pixels")
    for ref in (str(tmp_path / "a.png"), "memory://sources/a.png", f"{server}/file"):
        with pytest.raises(SourceError, match="larger than"):
            read_limited(ref, 5)


@pytest.mark.parametrize(
    ("path", "words"),
    [("/gone?signature=s3cret", "HTTP 404"), ("/file/cut?signature=s3cret", "cannot be read")],
)
def test_a_server_that_fails_is_named_without_the_signature(
    server: str, path: str, words: str
) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        read_limited(server + path, 100)
    assert caught.value.where.startswith(server)
    assert "s3cret" not in str(caught.value)


def test_a_server_that_is_not_there_is_named(server: str) -> None:
    host = server.rpartition(":")[0]
    with pytest.raises(SourceError, match="ConnectError"):
        read_limited(f"{host}:1/file", 100)


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for ref, words in (
        (str(tmp_path / "gone.png"), "no such file"),
        (str(tmp_path), "folder"),
        (str(tmp_path / "pipe"), "not an ordinary file"),
        ("a\0b", "cannot be read"),
        ("memory://sources/gone", "no such file"),
        ("nosuch://bucket/a.png", "nosuch"),
        ("http://[host/a.png", "cannot be read"),
    ):
        with pytest.raises(SourceError, match=words) as caught:
            read_limited(ref, 100)
        assert caught.value.mend.endswith(".")


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("https://host/a.png?X-Amz-Signature=s", "https://host/a.png"),
        ("ftp://user:password@host/a", "ftp://host/a"),
        ("http://[host/a?key=s", "http://[host/a"),
        ("photos/what?.png", "photos/what?.png"),
    ],
)
def test_an_address_is_shown_without_its_secrets(ref: str, expected: str) -> None:
    assert shown(ref) == expected


def test_paths_and_urls_are_told_apart() -> None:
    assert [is_url(ref) for ref in ("s3://b/k", "file:///a", "memory://a", "abfs+x://a")] == [
        True
    ] * 4
    assert [is_url(ref) for ref in ("C:/a.png", "a:b.png", "/a//b", "photo.png", "")] == [False] * 5
    assert local_path("file:///a%20b.png") == Path("/a b.png")
    assert local_path("s3://bucket/a.png") is None


@pytest.mark.parametrize(
    ("ref", "beside", "expected"),
    [
        ("img/a.png", "/data/c.csv", "/data/img/a.png"),
        ("img/a.png", "file:///data/c.csv", "/data/img/a.png"),
        ("img/a.png", "https://host/x/c.csv?key=s", "https://host/x/img/a.png"),
        ("../a.png", "https://host/x/c.csv", "https://host/a.png"),
        ("img/a.png", "s3://bucket/x/c.csv", "s3://bucket/x/img/a.png"),
        ("/abs/a.png", "/data/c.csv", "/abs/a.png"),
        ("https://other/a.png?key=s", "/data/c.csv", "https://other/a.png?key=s"),
    ],
)
def test_a_relative_reference_is_seen_from_its_file(ref: str, beside: str, expected: str) -> None:
    assert resolved(ref, beside) == expected


def test_a_relative_catalogue_is_seen_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And from there after the working directory has changed."""
    for folder in (tmp_path, tmp_path / "there"):
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        assert resolved("a.png", "c.csv") == str(folder / "a.png")


def test_a_mark_differs_when_the_bytes_do_and_spares_reading_them(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"pixels")
    os.utime(path, ns=(0, 1))
    UPath("memory://marks/a.png").write_bytes(b"pixels")
    for ref in (str(path), "memory://marks/a.png"):
        content = read_changed(ref, 100, None)
        assert content is not None
        assert content.mark == mark_of(ref) is not None
        assert read_changed(ref, 100, content.mark) is None
    before = mark_of("memory://marks/a.png")
    UPath("memory://marks/a.png").write_bytes(b"others")
    path.write_bytes(b"others")
    assert mark_of(str(path)) != "6 1"
    assert mark_of("memory://marks/a.png") != before


def test_a_server_without_validators_gives_no_mark(server: str) -> None:
    assert mark_of(f"{server}/file") is None
    content = read_changed(f"{server}/file", 100, "etag 1")
    assert content is not None
    assert content.mark is None


def test_a_server_that_drips_is_left_in_time() -> None:
    """Each byte comes within the time-out between bytes: the whole has one of its own."""
    now = iter(range(0, 1000, 20))
    with _dripping() as url, pytest.raises(SourceTimeout, match="within 30 s"):
        http_source.fetch(url, 10**9, known=None, seconds=30.0, clock=lambda: float(next(now)))


@contextlib.contextmanager
def _dripping() -> Iterator[str]:
    """A server whose body comes in pieces that the client sees one by one."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000000000")
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                while True:
                    self.wfile.write(b"x" * 100)
                    self.wfile.flush()

        def log_message(self, *_: object) -> None:
            """Keep the test output clean."""

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}"
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def test_a_server_that_does_not_answer_is_a_timeout() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.png?signature=s3cret"
        with pytest.raises(SourceTimeout, match=r"within 0\.05 s") as caught:
            read_changed(url, 100, None, seconds=0.05)
    assert "s3cret" not in str(caught.value)
