"""Waiting for an event with a time limit."""

from __future__ import annotations

import asyncio


async def until_set(event: asyncio.Event, seconds: float | None) -> None:
    """Wait until the event is set; when the time is over it is set, too.

    Not `asyncio.wait_for`: before Python 3.12 it swallows a cancellation that comes together with
    the event, and whoever cancelled waits for ever.
    """
    if seconds is None:
        await event.wait()
        return
    timer = asyncio.get_running_loop().call_later(max(seconds, 0.0), event.set)
    try:
        await event.wait()
    finally:
        timer.cancel()
