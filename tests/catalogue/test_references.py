"""Reading what a person wrote down: missing files, servers that fail, secrets in addresses."""

import os
import socket
import types
from pathlib import Path

import pytest
from upath import UPath

from tests.catalogue.conftest import FileServer
from topview_pipeline.catalogue import InputError, references
from topview_pipeline.catalogue.references import (
    local_path,
    mark_of,
    read,
    resolved,
    shown,
)
from topview_pipeline.text import is_url


@pytest.fixture
def refs(tmp_path: Path, server: FileServer) -> list[str]:
    """The same six bytes behind every kind of reference."""
    (tmp_path / "a b.png").write_bytes(b"pixels")
    UPath("memory://references/a.png").write_bytes(b"pixels")
    server.put("/file?signature=s3cret", b"pixels")
    return [
        str(tmp_path / "a b.png"),
        (tmp_path / "a b.png").as_uri(),
        "memory://references/a.png",
        server.put("/file", b"pixels"),
        server.put("/moved", b"", Location="/file?signature=s3cret"),
    ]


def test_every_kind_of_reference_gives_its_bytes_unless_they_are_too_many(refs: list[str]) -> None:
    for ref in refs:
        assert read(ref, 6).data == b"pixels"
        with pytest.raises(InputError, match="larger than"):
            read(ref, 5)


@pytest.mark.parametrize(
    ("path", "words"), [("/gone?sig=s3cret", "HTTP 404"), ("/cut?sig=s3cret", "cannot be read")]
)
def test_a_server_that_fails_is_named_without_the_signature(
    server: FileServer, path: str, words: str
) -> None:
    server.put("/cut?sig=s3cret", b"pixels", Content_Length="12")
    with pytest.raises(InputError, match=words) as caught:
        read(server.url + path, 100)
    assert caught.value.where.startswith(server.url)
    assert "s3cret" not in str(caught.value)


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for ref, words in (
        (str(tmp_path / "gone.png"), "no such file"),
        (str(tmp_path), "folder"),
        (str(tmp_path / "pipe"), "not an ordinary file"),
        ("a\0b", "cannot be read"),
        ("memory://references/gone", "no such file"),
        ("nosuch://bucket/a.png", "nosuch"),
        ("http://[host/a.png", "cannot be read"),
        ("http://127.0.0.1:1/file", "ConnectError"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            read(ref, 100)
        assert caught.value.fix.endswith(".")


def test_paths_and_urls_are_told_apart_and_no_secret_is_shown() -> None:
    assert shown("https://user:password@host/a.png?X-Amz-Signature=s") == "https://host/a.png"
    assert shown("photos/what?.png") == "photos/what?.png"
    assert all(is_url(ref) for ref in ("s3://b/k", "file:///a", "memory://a", "abfs+x://a"))
    assert not any(is_url(ref) for ref in ("C:/a.png", "a:b.png", "/a//b", "photo.png", ""))
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
        ("a.png", "c.csv", os.path.abspath("a.png")),
    ],
)
def test_a_relative_reference_is_seen_from_its_file(ref: str, beside: str, expected: str) -> None:
    assert resolved(ref, beside) == expected


def test_a_mark_differs_when_the_bytes_do_and_spares_reading_them(
    tmp_path: Path, server: FileServer
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"pixels")
    os.utime(path, ns=(0, 1))
    UPath("memory://marks/a.png").write_bytes(b"pixels")
    url = server.put("/a.png", b"pixels", ETag='"1"')
    refs = [str(path), "memory://marks/a.png", url]
    before = [mark_of(ref) for ref in refs]
    for ref, mark in zip(refs, before, strict=True):
        assert read(ref, 100).mark == mark is not None
    for ref, mark in zip(refs[1:], before[1:], strict=True):
        again = read(ref, 100, known=mark)
        assert (again.data, again.mark, again.is_unchanged) == (b"", mark, True)
    UPath("memory://marks/a.png").write_bytes(b"others")
    path.write_bytes(b"others")
    server.put("/a.png", b"others", ETag='"2"')
    for ref, mark in zip(refs, before, strict=True):
        assert mark_of(ref) != mark
        assert read(ref, 100, known=mark).data == b"others"


def test_a_file_that_changes_in_the_second_of_the_answer_has_no_mark(server: FileServer) -> None:
    """Last-Modified has whole seconds: the same one would stand for two versions."""
    assert mark_of(server.put("/file", b"pixels")) is None, "there is nothing that says more"
    now = "Sun, 13 Sep 2020 12:26:40 GMT"
    server.put("/file", b"pixels", Last_Modified=now)
    assert mark_of(f"{server.url}/file") == f"changed {now}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("http.server.BaseHTTPRequestHandler.date_time_string", lambda *_: now)
        assert mark_of(f"{server.url}/file") is None


def test_a_server_that_drips_is_left_in_time(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes within the time-out between bytes: the whole has one of its own."""
    url = server.put("/endless", b"x" * 2**20)
    now = iter(range(0, 1000, 20))
    clock = types.SimpleNamespace(monotonic=lambda: next(now))
    monkeypatch.setattr(references, "time", clock)
    with pytest.raises(InputError, match="within 60 s"):
        read(url, 10**9)


def test_a_server_that_does_not_answer_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "_SECONDS", 0.05)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.png?signature=s3cret"
        with pytest.raises(InputError, match=r"sent nothing for 0\.05 s") as caught:
            read(url, 100)
    assert "s3cret" not in str(caught.value)
