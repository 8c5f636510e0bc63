"""What the faults do to calls: answers that never come, come broken, or refuse.

Faults of a task itself (`fail`) are in tasks.py, those of its answers (`slow_query`, `nourl`, ...)
in routes/queries.py, `cut_download` in routes/objects.py.
"""

from collections.abc import Callable

import httpx
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from .faults import Faults
from .wire import ApiError, refusal

HANG_UP = "topview_sandbox.hang_up"
"""ASGI extension by which serve.py lets a route close the connection under its client."""

_HTML = "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"


class AnswerLost(httpx.ReadError):
    """A lost answer where there is no connection to close: under `httpx.ASGITransport`."""


class Trouble(Exception):
    """A fault struck. `accepted` says whether a submit still became a task.

    `response` is what the client gets; None closes the connection.
    """

    def __init__(self, name: str, response: Response | None, *, accepted: bool = False) -> None:
        self.response = response
        self.accepted = accepted
        super().__init__(name)


async def hang_up(request: Request) -> None:
    """Close the connection after what was sent so far; AnswerLost where there is none."""
    close: Callable[[], None] | None = request.scope.get("extensions", {}).get(HANG_UP)
    if close is None:
        raise AnswerLost("the sandbox closed the connection without an answer")
    close()
    while (await request.receive())["type"] != "http.disconnect":
        pass


def call_trouble(faults: Faults, subject: str, retry_after: int) -> Trouble | None:
    """Throw the faults that any call meets."""
    if not faults.active:
        return None
    if faults.strikes("http429", subject):
        headers = {"Retry-After": str(retry_after)}
        return Trouble("http429", PlainTextResponse("Too Many Requests", 429, headers))
    if faults.strikes("err500", subject):
        if faults.side("err500", subject):
            return Trouble("err500", refusal(ApiError("5000")))
        return Trouble("err500", PlainTextResponse("Internal Server Error", 500))
    if faults.strikes("garbage", subject):
        return Trouble("garbage", Response(_HTML, 200, media_type="text/html"))
    return None


def submit_trouble(faults: Faults, content: str, retry_after: int) -> Trouble | None:
    """Throw the faults that a valid submit meets, before it is accepted.

    An answer that does not say whether the task exists (HTTP 5xx, code 5000, HTML) leaves it
    existing in half of the cases.
    """
    if not faults.active:
        return None
    if faults.dooms("moderation", content):
        return Trouble("moderation", refusal(ApiError("6001")))
    if faults.strikes("busy", content):
        code = "5003" if faults.side("busy", content) else "4007"
        return Trouble("busy", refusal(ApiError(code)))
    if faults.strikes("drop_submit", content):
        return Trouble("drop_submit", None, accepted=True)
    trouble = call_trouble(faults, f"submit {content}", retry_after)
    if trouble is not None and str(trouble) != "http429":
        trouble.accepted = faults.side("accepted", f"submit {content} {trouble}")
    return trouble
