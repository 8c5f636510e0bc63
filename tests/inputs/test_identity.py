"""The identity of a file is its bytes: what is read again, what is remembered, what is slow."""

from __future__ import annotations

import hashlib
import http.server
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from topview_pipeline.inputs import HashCache, InputError, InputFiles, files
from topview_pipeline.inputs.parallel import for_each
from topview_pipeline.sources import SourceTimeout

LONG_AGO = 1_600_000_000 * 10**9


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put(path: Path, data: bytes, *, at: int = LONG_AGO) -> str:
    """A file that was written at a time, in nanoseconds since the epoch."""
    path.write_bytes(data)
    os.utime(path, ns=(at, at))
    return str(path)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[HashCache]:
    cache = HashCache(tmp_path / "home" / "hashes.db")
    yield cache
    cache.close()


@pytest.fixture
def no_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it: from then on no file is read."""
    return lambda: monkeypatch.setattr(
        files, "read_changed", lambda *_: pytest.fail("a file was read")
    )


class Server:
    """Photos by path, with or without an ETag; it counts what it answers."""

    def __init__(self) -> None:
        self.photos: dict[str, bytes] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.asked: Counter[int] = Counter()
        self.url = ""

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        body = self.photos.get(request.path)
        headers = self.headers.get(request.path, {})
        known = (request.headers["If-None-Match"], request.headers["If-Modified-Since"])
        own = (headers.get("ETag"), headers.get("Last-Modified"))
        same = any(one is not None and one == other for one, other in zip(known, own, strict=True))
        status = 404 if body is None else 304 if same else 200
        self.asked[status] += 1
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        sent = body if body is not None and status == 200 else b""
        request.send_header("Content-Length", str(len(sent)))
        request.end_headers()
        request.wfile.write(sent)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)

        def log_message(self, *_: object) -> None:
            """Keep the test output clean."""

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{httpd.server_port}"
    yield server
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_a_file_is_hashed_once_by_all_processes_until_it_changes(
    tmp_path: Path, cache: HashCache, no_reading: Callable[[], None]
) -> None:
    path = tmp_path / "photo.png"
    ref = put(path, b"first")
    first = InputFiles(cache).sha256(ref)
    assert first == sha256(b"first")

    put(path, b"again", at=LONG_AGO + 1)
    assert InputFiles(cache).sha256(ref) == sha256(b"again")
    no_reading()
    assert InputFiles(cache).sha256(ref) == sha256(b"again")
    assert InputFiles(cache).sha256(path.as_uri()) == sha256(b"again"), "the same file by URL"


def test_the_same_bytes_are_the_same_photo_under_another_name(
    tmp_path: Path, cache: HashCache, server: Server
) -> None:
    server.photos["/mug.png"] = b"mug"
    UPath("memory://identity/mug.png").write_bytes(b"mug")
    refs = [put(tmp_path / "a.png", b"mug"), put(tmp_path / "b.jpg", b"mug", at=LONG_AGO + 9)]
    refs += [f"{server.url}/mug.png", "memory://identity/mug.png"]
    assert {InputFiles(cache).sha256(ref) for ref in refs} == {sha256(b"mug")}


def test_a_file_changed_within_one_tick_of_its_clock_is_not_taken_for_the_old_one(
    tmp_path: Path, cache: HashCache
) -> None:
    """Hashed in the instant it was written, it may change once more and keep size and time."""
    path = tmp_path / "photo.png"
    now = LONG_AGO
    inputs = InputFiles(cache, clock=lambda: now)
    ref = put(path, b"first", at=now)
    assert inputs.sha256(ref) == sha256(b"first")
    put(path, b"later", at=now)
    assert inputs.sha256(ref) == InputFiles(cache).sha256(ref) == sha256(b"later")


def test_a_file_from_the_future_is_hashed_each_time(tmp_path: Path, cache: HashCache) -> None:
    tomorrow = time.time_ns() + 86_400 * 10**9
    ref = put(tmp_path / "photo.png", b"first", at=tomorrow)
    assert InputFiles(cache).sha256(ref) == sha256(b"first")
    put(tmp_path / "photo.png", b"later", at=tomorrow)
    assert InputFiles(cache).sha256(ref) == sha256(b"later")


@pytest.mark.parametrize(
    "headers", [{"ETag": '"1"'}, {"Last-Modified": "Sun, 13 Sep 2020 12:26:40 GMT"}]
)
def test_a_url_is_downloaded_again_only_when_its_server_says_it_changed(
    server: Server, cache: HashCache, headers: dict[str, str]
) -> None:
    server.photos["/a.png"] = b"first"
    server.headers["/a.png"] = headers
    url = f"{server.url}/a.png"
    assert [InputFiles(cache).sha256(url) for _ in range(3)] == [sha256(b"first")] * 3
    assert server.asked == {200: 1, 304: 2}

    server.photos["/a.png"] = b"other"
    server.headers["/a.png"] = {
        "ETag": '"2"',
        "Last-Modified": "Mon, 14 Sep 2020 12:26:40 GMT",
    }
    assert InputFiles(cache).sha256(url) == sha256(b"other")


def test_a_url_whose_server_tells_nothing_is_downloaded_once_a_run(
    server: Server, cache: HashCache
) -> None:
    server.photos["/a.png"] = b"first"
    url = f"{server.url}/a.png"
    inputs = InputFiles(cache)
    assert inputs.sha256(url) == inputs.sha256(url) == sha256(b"first")
    assert server.asked == {200: 1}
    server.photos["/a.png"] = b"other"
    assert InputFiles(cache).sha256(url) == sha256(b"other")


@pytest.mark.parametrize("body", [b"first", b"other"])
def test_a_hash_is_forgotten_with_its_bytes_when_no_mark_tells_of_new_ones(
    server: Server, cache: HashCache, body: bytes
) -> None:
    """Else who asks no server would take the old photo for today's for ever."""
    server.photos["/a.png"] = b"first"
    server.headers["/a.png"] = {"ETag": '"1"'}
    url = f"{server.url}/a.png"
    InputFiles(cache).sha256(url)
    server.photos["/a.png"], server.headers["/a.png"] = body, {}
    assert InputFiles(cache).sha256(url) == sha256(body)

    offline = InputFiles(cache, offline=True)
    if body == b"first":
        assert offline.sha256(url) == sha256(b"first")
    else:
        with pytest.raises(InputError, match="not read yet"):
            offline.sha256(url)


def test_offline_only_the_memory_is_asked(server: Server, cache: HashCache) -> None:
    server.photos["/a.png"] = b"first"
    server.headers["/a.png"] = {"ETag": '"1"'}
    url = f"{server.url}/a.png?signature=s3cret"
    server.photos["/a.png?signature=s3cret"] = b"first"
    server.headers["/a.png?signature=s3cret"] = {"ETag": '"1"'}
    with pytest.raises(InputError, match="not read yet") as caught:
        InputFiles(cache, offline=True).sha256(url)
    assert "s3cret" not in str(caught.value)
    InputFiles(cache).sha256(url)
    asked = server.asked.total()
    assert InputFiles(cache, offline=True).sha256(url) == sha256(b"first")
    assert server.asked.total() == asked


def test_no_secret_of_an_address_is_kept(server: Server, cache: HashCache, tmp_path: Path) -> None:
    server.photos["/a.png?signature=s3cret"] = b"first"
    server.headers["/a.png?signature=s3cret"] = {"ETag": '"1"'}
    InputFiles(cache).sha256(f"{server.url}/a.png?signature=s3cret")
    cache.close()
    kept = b"".join(file.read_bytes() for file in (tmp_path / "home").iterdir())
    assert b"url " in kept
    assert b"s3cret" not in kept


def test_many_urls_are_fetched_at_once_and_each_is_whole(server: Server, cache: HashCache) -> None:
    urls = []
    for number in range(40):
        server.photos[f"/{number}.png"] = b"%d" % number * 1000
        urls.append(f"{server.url}/{number}.png")
    inputs = InputFiles(cache)
    inputs.prefetch([*urls, *urls, f"{server.url}/gone.png"])
    assert server.asked == {200: 40, 404: 1}
    for number, url in enumerate(urls):
        assert inputs.sha256(url) == sha256(b"%d" % number * 1000)
    with pytest.raises(InputError, match="HTTP 404"):
        inputs.sha256(f"{server.url}/gone.png")
    assert server.asked == {200: 40, 404: 1}, "nothing was asked twice"


def test_hashes_that_are_remembered_are_told_without_a_second_look(
    tmp_path: Path, cache: HashCache
) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(b"first")
    os.utime(photo, (1.0, 1.0))
    refs = [str(photo), str(photo), str(tmp_path / "gone.png")]
    assert InputFiles(cache).prefetch(refs) == {}
    assert InputFiles(cache).prefetch(refs) == {str(photo): sha256(b"first")}
    photo.write_bytes(b"another")
    assert InputFiles(cache).prefetch(refs) == {}


def test_a_host_that_hangs_keeps_no_other_waiting() -> None:
    """Its requests hang until all of the other host's are through."""
    others = [f"https://quick/{number}.png" for number in range(50)]
    done: list[str] = []
    all_done = threading.Event()

    def act(ref: str) -> None:
        if "slow" in ref:
            assert all_done.wait(30)
        else:
            done.append(ref)
            if len(done) == len(others):
                all_done.set()

    for_each([*(f"https://slow/{number}.png" for number in range(50)), *others], act)
    assert sorted(done) == sorted(others)


def test_a_host_that_never_answers_is_soon_asked_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def hangs(ref: str, *_: object) -> None:
        asked.append(ref)
        raise SourceTimeout("not answered to the end within 60 s", ref, "Try again later.")

    monkeypatch.setattr(files, "read_changed", hangs)
    inputs = InputFiles()
    urls = [f"https://slow/{number}.png" for number in range(100)]
    for url in urls:
        with pytest.raises(InputError):
            inputs.sha256(url)
    assert len(asked) == 3
    with pytest.raises(InputError, match="not asked: slow let 3 requests run out of time"):
        inputs.sha256(urls[-1])


@settings(deadline=None, max_examples=30)
@given(st.binary(max_size=300))
def test_any_bytes_in_place_of_the_cache_cost_only_reading_again(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("home")
    ref = put(folder / "photo.png", b"first")
    (folder / "hashes.db").write_bytes(data)
    cache = HashCache(folder / "hashes.db")
    try:
        assert InputFiles(cache).sha256(ref) == sha256(b"first")
        assert cache.known(ref) is not None
    finally:
        cache.close()


def test_a_broken_cache_is_begun_anew_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "hashes.db"
    cache = HashCache(path)
    for number in range(2000):
        cache.learn(f"/{number}.png", "1 1", sha256(b"%d" % number))
    cache.close()
    whole = bytearray(path.read_bytes())
    whole[4096:] = b"\xff" * (len(whole) - 4096)
    path.write_bytes(whole)

    assert all(cache.known(f"/{number}.png") is None for number in range(2000))
    assert "begun anew" in caplog.text
    cache.learn("/a.png", "1 1", "ff")
    assert cache.known("/a.png") == ("1 1", "ff")
    cache.close()


def test_a_cache_that_cannot_be_written_costs_only_reading_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    ref = put(tmp_path / "photo.png", b"first")
    inputs = InputFiles(HashCache(tmp_path / "file" / "hashes.db"))
    assert inputs.sha256(ref) == inputs.sha256(ref) == sha256(b"first")


def test_a_cache_locked_by_another_program_costs_only_reading_again(
    tmp_path: Path, cache: HashCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("topview_pipeline.inputs.cache._LOCK_SECONDS", 0.01)
    cache.learn("/other.png", "1 1", "ff")
    cache.close()
    ref = put(tmp_path / "photo.png", b"first")
    other = sqlite3.connect(tmp_path / "home" / "hashes.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        assert InputFiles(cache).sha256(ref) == sha256(b"first")
    finally:
        other.close()


class _OpenedAtOnce(sqlite3.Connection):
    """What SQLite says, without waiting, now and then when two processes open a new file."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if "journal_mode" in sql:
            raise sqlite3.OperationalError("database is locked")
        return super().execute(sql, parameters)


def test_who_opens_the_new_file_at_the_same_time_as_another_remembers_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=_OpenedAtOnce))
    cache = HashCache(tmp_path / "hashes.db")
    cache.learn("/photo.png", "1 1", "ff")
    assert cache.known("/photo.png") == ("1 1", "ff")
    cache.close()


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    caches = [HashCache(tmp_path / "hashes.db") for _ in range(4)]

    def write(number: int) -> None:
        caches[number % 4].learn(f"/{number}.png", "1 1", f"{number:x}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(200)))
    assert all(caches[0].known(f"/{number}.png") == ("1 1", f"{number:x}") for number in range(200))
    for cache in caches:
        cache.close()
