"""The way of every API call: settling, credentials, injected faults, the envelope.

The fault `fail` is in tasks.py, those of queries (`slow_query`, `nourl`, ...) are in routes.py,
`cut_download` is in objects.py.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from .faults import Faults
from .state import Account
from .wire import ApiError, answer, refusal
from .world import World

HANG_UP = "topview_sandbox.hang_up"
"""ASGI extension by which serve.py lets a route close the connection under its client."""

_HTML = "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"


class AnswerLost(httpx.ReadError):
    """A lost answer where there is no connection to close: under `httpx.ASGITransport`."""


class FaultStruck(Exception):
    """A fault decides this call. `accepted`: the submit still became a task.

    `response` is what the client gets; None closes the connection.
    """

    def __init__(self, name: str, response: Response | None, *, accepted: bool = False) -> None:
        self.name = name
        self.response = response
        self.accepted = accepted
        super().__init__(name)


@dataclass(frozen=True)
class Call:
    """One authenticated call."""

    request: Request
    world: World
    account: Account


Handler = Callable[[Call], Awaitable[Any]]


def world_of(request: Request) -> World:
    """The sandbox that this application serves."""
    world: World = request.app.state.world
    return world


def api_route(
    path: str,
    handler: Handler,
    *,
    method: str = "GET",
    bearer_alone: bool = False,
    own_faults: bool = False,
) -> Route:
    """The route of a handler, which returns the `result`.

    `bearer_alone`: `Topview-Uid` may be missing. `own_faults`: the handler draws the faults
    itself, because what they do depends on what it did.
    """

    async def endpoint(request: Request) -> Response:
        world = world_of(request)
        world.settle()
        try:
            may_lack_uid = bearer_alone and world.config.contract.bearer_alone
            call = Call(request, world, _authenticate(request, world, may_lack_uid))
            if not own_faults:
                fault = call_fault(
                    world.faults, request.scope["path"], world.config.retry_after_seconds
                )
                if fault is not None:
                    raise fault
            contract = world.config.contract
            return answer(contract.reshaped(path, await handler(call)))
        except ApiError as error:
            return refusal(error, world.config.contract.codes)
        except FaultStruck as fault:
            if fault.response is None:
                await hang_up(request)
            return fault.response or Response()

    return Route(path, endpoint, methods=[method])


def _authenticate(request: Request, world: World, bearer_alone: bool) -> Account:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    account = world.state.accounts.get(key.strip()) if scheme.lower() == "bearer" else None
    uid = request.headers.get("topview-uid", "")
    named = account is not None and (uid == account.uid or (bearer_alone and not uid))
    if account is None or not named or account.revoked:
        status = 401 if world.config.contract.auth_errors == "http" else 200
        raise ApiError("401", http_status=status)
    return account


async def hang_up(request: Request) -> None:
    """Close the connection after what was sent so far; AnswerLost where there is none."""
    close: Callable[[], None] | None = request.scope.get("extensions", {}).get(HANG_UP)
    if close is None:
        raise AnswerLost("the sandbox closed the connection without an answer")
    close()
    while (await request.receive())["type"] != "http.disconnect":
        pass


def call_fault(faults: Faults, subject: str, retry_after: int) -> FaultStruck | None:
    """Draw the faults that any call can meet."""
    if not faults.probabilities:
        return None
    if faults.strikes("http429", subject):
        headers = {"Retry-After": str(retry_after)}
        return FaultStruck("http429", PlainTextResponse("Too Many Requests", 429, headers))
    if faults.strikes("err500", subject):
        if faults.coin("err500", subject):
            return FaultStruck("err500", refusal(ApiError("5000")))
        return FaultStruck("err500", PlainTextResponse("Internal Server Error", 500))
    if faults.strikes("garbage", subject):
        return FaultStruck("garbage", Response(_HTML, 200, media_type="text/html"))
    return None


def submit_fault(faults: Faults, content: str, retry_after: int) -> FaultStruck | None:
    """Draw the faults that a valid submit can meet, before it is accepted.

    An answer that does not tell if the task exists (HTTP 5xx, code 5000, HTML) leaves it existing
    in half of the cases.
    """
    if not faults.probabilities:
        return None
    if faults.strikes_always("moderation", content):
        return FaultStruck("moderation", refusal(ApiError("6001")))
    if faults.strikes("busy", content):
        code = "5003" if faults.coin("busy", content) else "4007"
        return FaultStruck("busy", refusal(ApiError(code)))
    if faults.strikes("drop_submit", content):
        return FaultStruck("drop_submit", None, accepted=True)
    fault = call_fault(faults, f"submit {content}", retry_after)
    if fault is not None and fault.name != "http429":
        fault.accepted = faults.coin("accepted", f"submit {content} {fault.name}")
    return fault
