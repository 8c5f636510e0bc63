"""How long each phase of each kind of call may take, in seconds."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

import httpx

_T = TypeVar("_T")


@dataclass(frozen=True)
class CallTimeouts:
    """Limits of one kind of call.

    Attributes:
        connect: Opening the connection.
        write: Silence while sending.
        read: Silence while waiting for the answer and between its parts.
        pool: Waiting for a free connection.
        whole: The call from start to end. A server that trickles satisfies all others for ever.
    """

    connect: float = 10.0
    write: float = 30.0
    read: float = 30.0
    pool: float = 10.0
    whole: float = 80.0

    def httpx_timeout(self) -> httpx.Timeout:
        """Return the phases as httpx takes them."""
        return httpx.Timeout(connect=self.connect, write=self.write, read=self.read, pool=self.pool)


@dataclass(frozen=True)
class Timeouts:
    """Limits of all calls. A lost answer to a submit costs money, so submits wait longest."""

    submit: CallTimeouts = field(default_factory=lambda: CallTimeouts(read=90.0, whole=150.0))
    query: CallTimeouts = field(default_factory=CallTimeouts)
    upload: CallTimeouts = field(default_factory=lambda: CallTimeouts(read=60.0, whole=900.0))
    download: CallTimeouts = field(default_factory=lambda: CallTimeouts(read=60.0, whole=900.0))

    @property
    def submit_total(self) -> float:
        """The longest that a submit lasts, from its call to its answer or error, in seconds."""
        return self.submit.whole


DEFAULT_TIMEOUTS = Timeouts()


async def within(seconds: float, call: Awaitable[_T]) -> _T:
    """Await `call` for at most `seconds`.

    Raises:
        asyncio.TimeoutError: It took longer; says so.
    """
    # Not asyncio.wait_for: before Python 3.12 it swallows a cancellation that comes together with
    # the answer, and whoever cancelled waits for ever.
    task = asyncio.ensure_future(call)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except BaseException:
        await _ended(task)
        raise
    if not done:
        await _ended(task)
        if task.cancelled():
            raise asyncio.TimeoutError(f"took longer than {seconds:g} seconds")
    return task.result()


async def _ended(task: "asyncio.Future[_T]") -> None:
    task.cancel()
    await asyncio.wait({task})
