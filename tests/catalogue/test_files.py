"""Files: read again when they change, slow or gone, and the photo that is a web page."""

import hashlib
import io
import os
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import av
import pytest
from PIL import Image
from upath import UPath

from tests.catalogue.conftest import FileServer
from tests.catalogue.samples import jsonl, only, row
from topview_pipeline.catalogue import (
    InputError,
    InputFiles,
    audio_seconds,
    files,
    references,
    threads,
)
from topview_pipeline.catalogue.files import AUDIO_BYTES, IMAGE_BYTES, Remembered
from topview_pipeline.catalogue.threads import in_parallel

LONG_AGO = 1_600_000_000 * 10**9


class MemoryHashes:
    """The hashes that processes share, each with its own InputFiles."""

    def __init__(self) -> None:
        self.known: dict[str, Remembered] = {}
        self.learnt: dict[str, float] = {}

    def learnt_within(self, seconds: float, keys: Collection[str]) -> Collection[str]:
        return [key for key in keys if time.time() - self.learnt[key] < seconds]

    def get_many(self, keys: Collection[str]) -> Mapping[str, Remembered]:
        return {key: self.known[key] for key in keys if key in self.known}

    def put_many(self, hashes: Mapping[str, Remembered]) -> None:
        self.known.update(hashes)
        self.learnt.update(dict.fromkeys(hashes, time.time()))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put(path: Path, data: bytes, *, at: int = LONG_AGO) -> str:
    """A file that was written at a time, in nanoseconds since the epoch."""
    path.write_bytes(data)
    os.utime(path, ns=(at, at))
    return str(path)


@pytest.fixture
def cache() -> MemoryHashes:
    return MemoryHashes()


@pytest.fixture
def no_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it: from then on no file is read."""
    return lambda: monkeypatch.setattr(
        files, "read", lambda *_, **__: pytest.fail("a file was read")
    )


def test_a_file_is_hashed_once_by_all_processes_until_it_changes(
    tmp_path: Path, cache: MemoryHashes, no_reading: Callable[[], None]
) -> None:
    path = tmp_path / "photo.png"
    ref = put(path, b"first")
    assert InputFiles(cache).sha256(ref) == sha256(b"first")
    put(path, b"again", at=LONG_AGO + 1)
    assert InputFiles(cache).sha256(ref) == sha256(b"again")
    no_reading()
    assert InputFiles(cache).sha256(ref) == sha256(b"again")
    assert InputFiles(cache).sha256(path.as_uri()) == sha256(b"again"), "the same file by URL"


def test_the_same_bytes_are_the_same_photo_under_another_name(
    tmp_path: Path, cache: MemoryHashes, server: FileServer
) -> None:
    UPath("memory://identity/mug.png").write_bytes(b"mug")
    refs = [put(tmp_path / "a.png", b"mug"), put(tmp_path / "b.jpg", b"mug", at=LONG_AGO + 9)]
    refs += [server.put("/mug.png", b"mug"), "memory://identity/mug.png"]
    assert set(InputFiles(cache).hashes(refs).answers.values()) == {sha256(b"mug")}


def test_a_file_that_may_change_and_keep_size_and_time_is_hashed_each_time(
    tmp_path: Path, cache: MemoryHashes
) -> None:
    path, written = tmp_path / "photo.png", time.time_ns()
    ref = put(path, b"first", at=written)
    assert InputFiles(cache).sha256(ref) == sha256(b"first")
    put(path, b"later", at=written)
    assert InputFiles(cache).sha256(ref) == sha256(b"later")


def test_a_file_that_is_replaced_with_its_old_time_is_another_one(
    tmp_path: Path, cache: MemoryHashes, no_reading: Callable[[], None]
) -> None:
    """As `cp -p`, `rsync -t` and `unzip` do it; a camera's wrong clock may be in the future."""
    path, written = tmp_path / "photo.bmp", time.time_ns() + 86_400 * 10**9
    ref = put(path, b"first", at=written)
    assert InputFiles(cache).sha256(ref) == sha256(b"first")
    before = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == before:  # a file system's clock has steps of milliseconds
        put(path, b"later", at=written)
    assert InputFiles(cache).sha256(ref) == sha256(b"later")
    no_reading()
    assert InputFiles(cache).sha256(ref) == sha256(b"later")


DATES = ("Sun, 13 Sep 2020 12:26:40 GMT", "Mon, 14 Sep 2020 12:26:40 GMT")


@pytest.mark.parametrize(("name", "values"), [("ETag", ('"1"', '"2"')), ("Last_Modified", DATES)])
def test_a_url_is_downloaded_again_only_when_its_server_says_it_changed(
    server: FileServer, cache: MemoryHashes, name: str, values: tuple[str, str]
) -> None:
    url = server.put("/a.png", b"first", **{name: values[0]})
    assert [InputFiles(cache).sha256(url) for _ in range(3)] == [sha256(b"first")] * 3
    assert server.asked == {200: 1, 304: 2}
    server.put("/a.png", b"other", **{name: values[1]})
    assert InputFiles(cache).sha256(url) == sha256(b"other")


@pytest.mark.parametrize("body", [b"first", b"other"])
def test_an_old_hash_is_replaced_when_no_mark_shows_new_bytes(
    server: FileServer, cache: MemoryHashes, body: bytes
) -> None:
    """Else the sensor, which asks no server, would take the old photo for today's for ever."""
    url = server.put("/a.png", b"first", ETag='"1"')
    InputFiles(cache).sha256(url)
    server.put("/a.png", body)
    assert InputFiles(cache).sha256(url) == sha256(body)
    assert InputFiles(cache, offline=True).sha256(url) == sha256(body)
    server.put("/a.png", b"third")
    assert InputFiles(cache).sha256(url) == sha256(b"third"), "the mark of before fits nothing"


def test_offline_only_the_memory_is_asked(server: FileServer, cache: MemoryHashes) -> None:
    url = server.put("/a.png?signature=s3cret", b"first", ETag='"1"')
    with pytest.raises(InputError, match="not read yet") as caught:
        InputFiles(cache, offline=True).sha256(url)
    assert "s3cret" not in str(caught.value)
    InputFiles(cache).sha256(url)
    assert InputFiles(cache, offline=True).sha256(url) == sha256(b"first")
    assert server.asked == {200: 1}


def test_many_urls_are_fetched_at_once_and_each_is_whole(
    server: FileServer, cache: MemoryHashes
) -> None:
    urls = [server.put(f"/{number}.png", b"%d" % number * 1000) for number in range(40)]
    gone = f"{server.url}/gone.png"
    inputs = InputFiles(cache)
    hashes = inputs.hashes([*urls, *urls, gone])
    assert server.asked == {200: 40, 404: 1}
    for number, url in enumerate(urls):
        assert hashes.sha256(url) == inputs.sha256(url) == sha256(b"%d" % number * 1000)
    for asked in (hashes, inputs):
        with pytest.raises(InputError, match="HTTP 404"):
            asked.sha256(gone)
    assert server.asked == {200: 40, 404: 1}, "nothing was asked twice"


def test_products_at_once_ask_for_their_common_template_once(server: FileServer) -> None:
    url = server.put("/template.png", b"template")
    inputs = InputFiles()
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(inputs.sha256, [url] * 8)) == {sha256(b"template")}
    assert server.asked == {200: 1}


def test_what_was_learned_is_kept_though_the_run_is_killed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_LEARNED_AT_ONCE", 10)
    refs = [put(tmp_path / f"{number}.png", b"%d" % number) for number in range(35)]
    kept: list[int] = []

    class Counting(MemoryHashes):
        def put_many(self, hashes: Mapping[str, Remembered]) -> None:
            kept.append(len(hashes))
            super().put_many(hashes)

    InputFiles(Counting()).hashes(refs)
    assert kept == [10, 10, 10, 5]


def test_a_host_that_hangs_keeps_no_other_waiting() -> None:
    """Its requests hang until all of the other host's are through."""
    others = [f"https://quick/{number}.png" for number in range(50)]
    done: list[str] = []
    all_done = threading.Event()

    def act(ref: str) -> str:
        if "slow" in ref:
            assert all_done.wait(30)
        else:
            done.append(ref)
            if len(done) == len(others):
                all_done.set()
        return ref

    slow = [f"https://slow/{number}.png" for number in range(50)]
    found = list(in_parallel([*slow, *others], act))
    assert sorted(done) == sorted(others)
    assert sorted(found) == sorted((ref, ref) for ref in [*slow, *others])


def test_hosts_that_hang_give_way_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are more of them than calls at once: each kept its place until its time was over."""
    monkeypatch.setattr(threads, "SLOW_SECONDS", 0.05)
    others_done = threading.Event()

    def act(ref: str) -> bool:
        if "slow" not in ref:
            others_done.set()
        return others_done.wait(30)

    slow = [f"https://slow-{number}/a.png" for number in range(2 * threads.AT_ONCE)]
    assert dict(in_parallel([*slow, "https://quick/a.png"], act)) == dict.fromkeys(
        [*slow, "https://quick/a.png"], True
    )


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Servers that do not answer before the test ends."""
    over, read = threading.Event(), references.read

    def silent(ref: str, *arguments: Any, **options: Any) -> Any:
        if ref.startswith("https:"):
            over.wait(30)
            raise InputError("the server sent nothing for 20 s", ref, "Run again.")
        return read(ref, *arguments, **options)

    monkeypatch.setattr(files, "read", silent)
    yield
    over.set()


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("limit", ["patience", "seconds"])
def test_a_look_at_many_files_ends_without_those_that_hang(
    tmp_path: Path, cache: MemoryHashes, limit: str
) -> None:
    photo = put(tmp_path / "a.png", b"first")
    new, old = "https://slow/new.png?signature=s3cret", "https://slow/old.png"
    cache.known[old] = "etag 1", sha256(b"old")
    options: dict[str, float] = {limit: 0.3}
    hashes = InputFiles(cache).hashes([new, old, photo], **options)
    assert hashes.sha256(photo) == hashes.guess(photo) == sha256(b"first")
    assert hashes.guess(old) == sha256(b"old")
    assert hashes.guess(new) not in (sha256(b"first"), sha256(b"old"))
    for ref in (new, old):
        with pytest.raises(InputError, match="not read yet") as caught:
            hashes.sha256(ref)
        assert "s3cret" not in str(caught.value)


def test_a_read_that_hangs_keeps_no_process_alive() -> None:
    code = """
import socket, sys
from topview_pipeline.catalogue import InputFiles
with socket.create_server(("127.0.0.1", 0)) as silent:
    url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.png"
    hashes = InputFiles().hashes([url], patience=0.2)
    print(*hashes.guesses)
"""
    began = time.monotonic()
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert "/a.png" in ran.stdout
    assert time.monotonic() - began < 15, "a request is given up after 20 s"


def image(format_: str, size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise(size, 80).convert("RGB").save(buffer, format_)
    return buffer.getvalue()


def encoded(container: str, codec: str, *, seconds: float = 0.5, video: bool = False) -> bytes:
    """Silence, with a film of one frame beside it when asked."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        film = out.add_stream("mpeg4", rate=25) if video else None
        sound: Any = out.add_stream(codec, rate=16_000, layout="mono")
        if film is not None:
            film.width, film.height, film.pix_fmt = 32, 32, "yuv420p"
            out.mux([*film.encode(av.VideoFrame(32, 32, "yuv420p")), *film.encode(None)])
        frame = av.AudioFrame("s16", "mono", int(16_000 * seconds))
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        frame.sample_rate = 16_000
        out.mux([*sound.encode(frame), *sound.encode(None)])
    return buffer.getvalue()


def wav(seconds: float = 0.5) -> bytes:
    return encoded("wav", "pcm_s16le", seconds=seconds)


def bomb(side: int) -> bytes:
    """A PNG that claims a size and holds next to nothing: what a decompression bomb is."""
    data = bytearray(image("PNG"))
    data[16:24] = struct.pack(">II", side, side)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


@pytest.mark.parametrize(
    ("kind", "data", "word"),
    [
        *[("image", image("PNG"), "png"), ("image", image("JPEG"), "jpg")],
        *[("image", image("BMP"), "bmp"), ("image", image("WEBP"), "webp")],
        ("audio", encoded("mp3", "mp3"), "mp3"),
        ("audio", encoded("ipod", "aac"), "m4a"),
        ("audio", encoded("wav", "pcm_s16le"), "wav"),
    ],
)
def test_the_format_is_what_the_bytes_are_whatever_the_name_says(
    tmp_path: Path, kind: Literal["image", "audio"], data: bytes, word: str
) -> None:
    path = tmp_path / "photo.txt"
    path.write_bytes(data)
    file = InputFiles().read(str(path), kind=kind)
    assert (file.format, file.data) == (word, data)
    assert file.sha256 == sha256(data) == InputFiles().sha256(str(path))
    if kind == "audio":
        assert audio_seconds(data) == pytest.approx(0.5, abs=0.1)


def cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("image", b"<!DOCTYPE html><html>", "not a picture"),
        ("image", b"%PDF-1.7", "not a picture"),
        ("image", b"\0" * 100, "not a picture"),
        ("image", image("GIF"), "not a picture"),
        ("image", image("TIFF"), "not a picture"),
        *(
            ("image", cut(image(format_, (200, 200)), share), "picture")
            for format_ in ("PNG", "JPEG", "BMP", "WEBP")
            for share in (0.5, 0.95)
        ),
        ("image", b"", "empty"),
        ("image", b"x", "larger than"),
        ("audio", b"x", "larger than"),
        ("image", bomb(7_072), "pixels"),
        ("image", bomb(60_000), "pixels"),
        ("audio", b"<!DOCTYPE html><html>", "not a recording"),
        ("audio", image("PNG"), "not a recording"),
        ("audio", wav()[:44], "not a recording"),
        ("audio", encoded("ipod", "aac")[:600], "not a recording"),
        ("audio", encoded("flac", "flac"), "not a recording"),
        ("audio", encoded("mp4", "aac", video=True), "not a recording"),
    ],
)
def test_bytes_that_topview_would_not_take_are_refused(
    tmp_path: Path, kind: Literal["image", "audio"], data: bytes, words: str
) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    if words == "larger than":  # a hole, which takes no room on the disk
        os.truncate(path, (IMAGE_BYTES if kind == "image" else AUDIO_BYTES) + 1)
    with pytest.raises(InputError, match=words) as caught:
        InputFiles().read(str(path), kind=kind)
    assert caught.value.where == str(path)
    assert caught.value.fix.endswith(".")


@pytest.mark.parametrize("header", [{"ETag": '"1"'}, {}])
def test_a_photo_that_is_trusted_is_not_asked_for_again_until_the_time_is_over(
    cache: MemoryHashes, server: FileServer, header: dict[str, str]
) -> None:
    url = server.put("/a.png", b"one", **header)
    for _ in range(3):
        assert InputFiles(cache, trust_seconds=60.0).sha256(url) == sha256(b"one")
    assert server.asked.total() == 1
    cache.learnt[url] -= 61.0
    server.put("/a.png", b"one", **header)
    assert InputFiles(cache, trust_seconds=60.0).sha256(url) == sha256(b"one")
    assert InputFiles(cache, trust_seconds=60.0).sha256(url) == sha256(b"one")
    assert server.asked.total() == 2
    server.put("/a.png", b"two", ETag='"2"')
    assert InputFiles(cache).sha256(url) == sha256(b"two")  # what makes something of it asks


def test_a_photo_with_a_version_is_asked_for_only_when_that_is_new(
    cache: MemoryHashes, server: FileServer
) -> None:
    url = server.put("/a.png", b"one")

    def look(version: str) -> str:
        product = only(jsonl(row(image=url, image_version=version)))
        assert product.image is not None
        return InputFiles(cache).sha256(product.image)

    assert [look("7"), look("7")] == [sha256(b"one")] * 2
    assert server.asked.total() == 1
    server.put("/a.png", b"two")
    assert [look("7"), look("8 b"), look("8 b")] == [sha256(b"one"), *[sha256(b"two")] * 2]
    assert server.asked.total() == 2


def test_objects_with_a_hash_sign_in_their_keys_are_photos_of_their_own() -> None:
    """The wrong photo was paid for."""
    found = []
    for name in (b"one", b"two"):
        url = f"memory://keys/photo#{name.decode()}.png"
        UPath(url).write_bytes(name)
        image = only(jsonl(row(image=url, image_version="v2"))).image
        found.append(InputFiles(None).sha256(image or ""))
        assert references.shown(image or "") == url, "each has its own name in messages"
    assert found == [sha256(b"one"), sha256(b"two")]
