"""Limits of the calls to Topview, and a wait that keeps them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import httpx

_T = TypeVar("_T")

Sleep = Callable[[float], Awaitable[object]]
OnAnswer = Callable[[httpx.Response], Awaitable[None]]
"""Sees each answer of the API before it is read. An exception of it counts as a lost answer."""


@dataclass(frozen=True)
class CallTimeouts:
    """Limits of one kind of call, in seconds."""

    connect: float = 10.0  # opening the connection
    write: float = 30.0  # silence while sending
    read: float = 30.0  # silence while waiting for the answer and between its parts
    pool: float = 10.0  # waiting for a free connection
    whole: float = 80.0  # start to end; a server that trickles satisfies all others for ever

    def httpx_timeout(self) -> httpx.Timeout:
        """Return the phases as httpx takes them."""
        return httpx.Timeout(connect=self.connect, write=self.write, read=self.read, pool=self.pool)


@dataclass(frozen=True)
class Timeouts:
    """Limits of all calls. A lost answer to a submit costs money, so submits wait longest."""

    submit: CallTimeouts = CallTimeouts(read=90.0, whole=150.0)
    query: CallTimeouts = CallTimeouts()
    upload: CallTimeouts = CallTimeouts(read=60.0, whole=900.0)
    download: CallTimeouts = CallTimeouts(read=60.0, whole=900.0)


DEFAULT_TIMEOUTS = Timeouts()


class TookTooLong(asyncio.TimeoutError):
    """A call that lasted longer than `within` allowed."""


async def within(seconds: float, call: Awaitable[_T]) -> _T:
    """Await `call`, and raise TookTooLong when it lasts longer than `seconds`."""
    # Not asyncio.wait_for: before Python 3.12 it swallows a cancellation that comes together with
    # the answer, and the canceller waits for ever.
    task = asyncio.ensure_future(call)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except BaseException:
        await _cancel(task)
        raise
    if not done:
        await _cancel(task)
        if task.cancelled():
            raise TookTooLong(f"took longer than {seconds:g} seconds")
    return task.result()


async def _cancel(task: asyncio.Future[_T]) -> None:
    task.cancel()
    await asyncio.wait({task})
