"""Reading for many products at once: what hangs holds up nobody else. Real threads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from tests.engine.world import FakeFiles
from topview_pipeline.catalogue import InputFile
from topview_pipeline.catalogue.references import InputError
from topview_pipeline.catalogue.threads import AT_ONCE, AT_ONCE_OF_HOST, SLOW_SECONDS
from topview_pipeline.engine import inputs
from topview_pipeline.engine.inputs import Reader
from topview_pipeline.stages import PreconditionError


class HangingFiles(FakeFiles):
    """URLs hang until they are let go; local files are there at once."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()
        self.asked: list[str] = []

    def sha256(self, ref: str) -> str:
        self.asked.append(ref)
        if ref.startswith("http") and "good" not in ref:
            self.let_go.wait(30)
            raise InputError("the server sent nothing for 20 s", ref, "Run again.")
        return super().sha256(ref)

    def read(self, ref: str, *, kind: str) -> InputFile:
        self.sha256(ref)
        return super().read(ref, kind=kind)


@pytest.fixture
def files() -> Iterator[HangingFiles]:
    hanging = HangingFiles()
    yield hanging
    hanging.let_go.set()


@pytest.mark.parametrize("hosts", [1, 3 * AT_ONCE])
def test_a_local_photo_is_read_while_hundreds_hang(files: HangingFiles, hosts: int) -> None:
    urls = [f"https://host-{number % hosts}/{number}.png" for number in range(3 * AT_ONCE)]

    async def read_all() -> float:
        reader = Reader(files)
        hanging = [asyncio.ensure_future(reader.sha256(url)) for url in urls]
        await asyncio.sleep(0)
        began = time.monotonic()
        await reader.sha256("photo")
        assert (await reader.content("photo", "image")).format == "png"
        took = time.monotonic() - began
        files.let_go.set()
        for error in await asyncio.gather(*hanging, return_exceptions=True):
            assert isinstance(error, PreconditionError)
            assert "sent nothing for 20 s" in error.what
        return took

    assert asyncio.run(read_all()) < 0.5 * SLOW_SECONDS
    assert sorted(files.asked) == sorted([*urls, "photo", "photo", "photo"])


def test_a_good_photo_is_read_while_others_of_its_host_hang(
    files: HangingFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shop has one host for all its photos."""
    monkeypatch.setattr(inputs, "SLOW_SECONDS", 0.05)
    urls = [f"https://shop/{number}.png" for number in range(3 * AT_ONCE_OF_HOST)]

    async def read_good() -> str:
        reader = Reader(files)
        hanging = [asyncio.ensure_future(reader.sha256(url)) for url in urls]
        await asyncio.sleep(0)
        found = await asyncio.wait_for(reader.sha256("https://shop/good.png"), 10)
        for one in hanging:
            one.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        return found

    assert asyncio.run(read_good())


def test_a_host_is_asked_by_few_at_a_time(files: HangingFiles) -> None:
    async def read_all() -> int:
        reader = Reader(files)
        urls = [f"https://slow/{number}.png" for number in range(50)]
        hanging = [asyncio.ensure_future(reader.sha256(url)) for url in urls]
        await asyncio.sleep(0.1)
        asked = len(files.asked)
        for one in hanging:
            one.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        return asked

    assert asyncio.run(read_all()) == AT_ONCE_OF_HOST


def test_a_disk_that_hangs_fails_its_product_in_time(
    files: HangingFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No time-out of a server's client ends it."""
    monkeypatch.setattr(inputs, "_LONGEST_SECONDS", 0.05)
    monkeypatch.setattr(inputs, "SLOW_SECONDS", 0.05)
    with pytest.raises(PreconditionError, match=r"bucket/a\.png: not read within"):
        asyncio.run(Reader(files).sha256("https://bucket/a.png?signature=s3cret"))
