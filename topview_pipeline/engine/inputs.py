"""A product's own inputs: read, hashed and proved, each once, before anything is paid for.

The engine asks for the proofs before it submits; a plan asks for the same, and submits nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, Final, Literal, TypeVar

from topview_pipeline.catalogue import InputError, InputFile, InputFiles, Product, audio_seconds
from topview_pipeline.catalogue.references import host_of, shown
from topview_pipeline.catalogue.threads import (
    AT_ONCE,
    AT_ONCE_OF_HOST,
    MOST_THREADS,
    SLOW_SECONDS,
    started,
)
from topview_pipeline.stages import Inputs, PreconditionError, ProofLists, Stage

T = TypeVar("T")
Offload = Callable[..., Awaitable[Any]]
"""Runs a blocking call elsewhere: `asyncio.to_thread`; tests run it in place."""
_LONGEST_SECONDS: Final = 90.0
"""A web server's time is limited where it is asked; this is for disks and object stores."""


async def in_thread(call: Callable[[], Any]) -> Any:
    """The result of a blocking call in a thread that nobody waits for in the end."""
    return await asyncio.wrap_future(started(call))


class Reader:
    """Reads files of the catalogue for many products at once. Its methods raise PreconditionError.

    A read that hangs delays only the products that use that file: after a second it no longer
    counts among those that may run at once.
    """

    def __init__(self, files: InputFiles, apart: Offload = in_thread) -> None:
        self._files = files
        self._apart = apart
        self._threads = asyncio.Semaphore(MOST_THREADS)
        self._remote = asyncio.Semaphore(AT_ONCE)
        self._of_host: dict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(AT_ONCE_OF_HOST)
        )

    async def sha256(self, ref: str) -> str:
        return await self._read(ref, partial(self._files.sha256, ref))

    async def content(self, ref: str, kind: Literal["image", "audio"]) -> InputFile:
        """The file's bytes, proved to be a picture or a recording that Topview takes."""
        return await self._read(ref, partial(self._files.read, ref, kind=kind))

    async def seconds(self, ref: str) -> float:
        def length() -> float:
            return audio_seconds(self._files.read(ref, kind="audio").data, shown(ref))

        return await self._read(ref, length)

    async def _read(self, ref: str, call: Callable[[], T]) -> T:
        host = host_of(ref)
        async with self._threads if host else nullcontext():
            async with self._of_host[host], self._remote if host else nullcontext():
                reading: asyncio.Future[T] = asyncio.ensure_future(self._apart(call))
                await asyncio.wait({reading}, timeout=SLOW_SECONDS)
            try:
                await asyncio.wait({reading}, timeout=_LONGEST_SECONDS)
                if not reading.done():
                    raise PreconditionError(
                        f"{shown(ref)}: not read within {_LONGEST_SECONDS:g} s",
                        fix="Check that it can be reached from here; run again when it answers.",
                    )
                return reading.result()
            except InputError as error:
                raise PreconditionError(f"{error.where}: {error.what}", fix=error.fix) from error
            finally:
                reading.cancel()


class ProductInputs:
    """The inputs of one product. Its methods raise PreconditionError."""

    def __init__(self, product: Product, reader: Reader, lists: ProofLists) -> None:
        self._product = product
        self._reader = reader
        self._lists = lists
        self._inputs: dict[str, Inputs] = {}
        self._seconds: float | None = None

    async def of(self, stage: Stage) -> Inputs:
        """The product's own inputs of a stage, its files read and hashed."""
        if stage.key not in self._inputs:
            refs = stage.sources(self._product)
            hashes = {ref: await self._reader.sha256(ref) for ref in refs}
            self._inputs[stage.key] = stage.inputs(self._product, hashes.__getitem__)
        return self._inputs[stage.key]

    def are_known(self, stage: Stage) -> bool:
        return stage.key in self._inputs

    async def recorded(self, stage: Stage) -> float | None:
        """Seconds of the recording that the catalogue names for a stage."""
        ref = stage.recording(self._product)
        if ref is None:
            return None
        if self._seconds is None:
            self._seconds = await self._reader.seconds(ref)
        return self._seconds

    async def prove(self, stage: Stage, mode: str | None, later: Sequence[Stage]) -> None:
        """Prove, before a task of a stage is made, that it can serve the product.

        A paid task is not made for a `later` stage that could not succeed.
        """
        recorded = await self.recorded(stage)
        if recorded is not None:
            stage.check_recording(recorded, mode)
        if stage.free:
            return
        await stage.prove(self._product, self._lists)
        for one in later:
            await self.of(one)
            recorded = await self.recorded(one)
            await one.prove(self._product, self._lists, recorded)
