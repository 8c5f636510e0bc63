"""What every API call goes through: settling, credentials, faults, the envelope."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from topview_pipeline.sandbox.interference import Trouble, call_trouble, hang_up
from topview_pipeline.sandbox.records import Account
from topview_pipeline.sandbox.wire import ApiError, answer, refusal
from topview_pipeline.sandbox.world import World

Endpoint = Callable[[Request], Awaitable[Response]]


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


def endpoint(handler: Handler, *, bearer_alone: bool = False, own_faults: bool = False) -> Endpoint:
    """Wrap a handler, which returns the `result`, as a route.

    `bearer_alone`: `Topview-Uid` may be missing. `own_faults`: the handler throws the faults
    itself, because what they do depends on what it did.
    """

    async def serve(request: Request) -> Response:
        world = world_of(request)
        world.settle()
        try:
            call = Call(request, world, _authenticate(request, world, bearer_alone))
            if not own_faults:
                trouble = call_trouble(
                    world.faults, request.scope["path"], world.config.retry_after_seconds
                )
                if trouble is not None:
                    raise trouble
            return answer(await handler(call))
        except ApiError as error:
            return refusal(error)
        except Trouble as trouble:
            if trouble.response is None:
                await hang_up(request)
            return trouble.response or Response()

    return serve


def _authenticate(request: Request, world: World, bearer_alone: bool) -> Account:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    account = world.state.accounts.get(key.strip()) if scheme.lower() == "bearer" else None
    uid = request.headers.get("topview-uid", "")
    named = account is not None and (uid == account.uid or (bearer_alone and not uid))
    if account is None or not named or account.revoked:
        status = 401 if world.config.auth_errors == "http" else 200
        raise ApiError("401", http_status=status)
    return account
