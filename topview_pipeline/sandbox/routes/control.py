"""Routes of the sandbox's own, under /_sandbox/: what happened, and what shall be otherwise.

Without credentials: whoever reaches the sandbox may control it. Answers are plain JSON.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from topview_pipeline.sandbox.records import Account, CreditEntry, Task
from topview_pipeline.sandbox.report import counters
from topview_pipeline.sandbox.state import new_id
from topview_pipeline.sandbox.world import World

from .endpoint import world_of

_Control = Callable[[World, Mapping[str, Any]], "dict[str, Any] | list[Any]"]


def _control(path: str, method: str, handle: _Control) -> Route:
    """A control route; a body that `handle` cannot use answers HTTP 400 with what is wrong."""

    async def serve(request: Request) -> Response:
        world = world_of(request)
        world.settle()
        try:
            body = await request.json() if method != "GET" and await request.body() else {}
            return JSONResponse(handle(world, body))
        except (KeyError, LookupError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)

    wrapped: Callable[[Request], Awaitable[Response]] = serve
    return Route(f"/_sandbox/{path}", wrapped, methods=[method])


def _tasks(world: World, _body: Mapping[str, Any]) -> list[Any]:
    return [_task(world, task) for task in world.state.tasks.values()]


def _task(world: World, task: Task) -> dict[str, Any]:
    return asdict(task) | {"status": world.desk.status(task)}


def _faults(world: World, _body: Mapping[str, Any]) -> dict[str, Any]:
    return {"probabilities": world.faults.probabilities, "struck": dict(world.faults.struck)}


def _set_faults(world: World, body: Mapping[str, Any]) -> dict[str, Any]:
    """The body is the new set, by name; what it leaves out is off."""
    world.faults.set(body)
    return _faults(world, body)


def _set_credits(world: World, body: Mapping[str, Any]) -> dict[str, Any]:
    account = _account(world, body)
    account.credits = float(body["credits"])
    world.state.save_account(account)
    return {"uid": account.uid, "credits": account.credits}


def _set_credentials(world: World, body: Mapping[str, Any]) -> dict[str, Any]:
    """Revoke (`"revoked": true`) or restore an account's credentials."""
    account = _account(world, body)
    account.revoked = bool(body["revoked"])
    world.state.save_account(account)
    return {"uid": account.uid, "revoked": account.revoked}


def _add_account(world: World, body: Mapping[str, Any]) -> dict[str, Any]:
    account = Account(str(body["uid"]), str(body["api_key"]), float(body.get("credits", 0.0)))
    if account.api_key in world.state.accounts:
        raise ValueError("there is an account with this api_key")
    world.state.save_account(account)
    return {"uid": account.uid, "credits": account.credits}


def _add_credit_entry(world: World, body: Mapping[str, Any]) -> dict[str, Any]:
    """A charge that none of our submits made: a colleague's, in the web application."""
    account = _account(world, body)
    entry = CreditEntry(
        uid=account.uid,
        api_key=str(body.get("api_key", account.api_key)),
        at=float(body.get("at", world.clock())),
        cost=float(body["cost"]),
        task_id=str(body.get("task_id", new_id())),
        task_type=str(body["task_type"]),
    )
    world.state.save_entry(entry)
    return asdict(entry)


def _set_slots(world: World, body: Mapping[str, Any]) -> dict[str, Any]:
    """How many tasks may be unfinished; fewer than are is as if others used the account."""
    concurrency = int(body["concurrency"])
    if concurrency < 0:
        raise ValueError("concurrency must be 0 or more")
    world.desk.concurrency = concurrency
    return {"concurrency": concurrency}


def _advance_clock(world: World, body: Mapping[str, Any]) -> dict[str, Any]:
    world.clock.advance(float(body["seconds"]))
    world.state.save_sandbox()
    world.settle()
    return {"now": world.clock()}


def _reset(world: World, _body: Mapping[str, Any]) -> dict[str, Any]:
    world.reset()
    return {}


def _account(world: World, body: Mapping[str, Any]) -> Account:
    return world.state.account_of(str(body.get("uid", world.config.uid)))


ROUTES = [
    _control("counters", "GET", lambda world, _body: counters(world)),
    _control("tasks", "GET", _tasks),
    _control("faults", "GET", _faults),
    _control("faults", "PUT", _set_faults),
    _control("credits", "PUT", _set_credits),
    _control("credentials", "PUT", _set_credentials),
    _control("accounts", "POST", _add_account),
    _control("credit_entries", "POST", _add_credit_entry),
    _control("slots", "PUT", _set_slots),
    _control("clock", "POST", _advance_clock),
    _control("reset", "POST", _reset),
]
