"""Doing an idempotent step again, a few times, with growing pauses. Never used for a submit."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from topview_pipeline.topview.errors import (
    NotTopview,
    TopviewError,
    Unavailable,
    UploadUnavailable,
)

_T = TypeVar("_T")

Sleep = Callable[[float], Awaitable[object]]

# One odd page of a gateway does not prove a wrong base URL.
_MAY_PASS = (Unavailable, UploadUnavailable, NotTopview)
_ATTEMPTS = 4
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


async def retrying(step: Callable[[], Awaitable[_T]], *, sleep: Sleep) -> _T:
    """Run `step` up to four times while it raises Unavailable, UploadUnavailable or NotTopview.

    The pauses are 0.5, 1 and 2 seconds, or what the server asked for up to 30 seconds.

    Args:
        step: Something that may be done any number of times.
        sleep: Waits the given seconds.

    Raises:
        TopviewError: What the last attempt raised, or at once what no repetition helps against.
    """
    for attempt in range(1, _ATTEMPTS):
        try:
            return await step()
        except _MAY_PASS as error:
            await sleep(_pause(error, attempt))
    return await step()


def _pause(error: TopviewError, attempt: int) -> float:
    asked = error.retry_after or 0.0
    return min(max(asked, _FIRST_PAUSE * 2.0 ** (attempt - 1)), _LONGEST_PAUSE)
