"""The sandbox's own routes under /_sandbox/, and `Control`, their client for tests and benches.

The routes take no credentials: anyone who reaches the sandbox may control it. Answers are plain
JSON.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .calls import world_of
from .report import counters
from .state import Account, CreditEntry, new_id
from .world import World

_Body = Mapping[str, Any]
_Handler = Callable[[World, _Body], "dict[str, Any] | list[Any]"]


class Control:
    """Reads and steers a running sandbox; raises httpx.HTTPStatusError with its words on misuse."""

    def __init__(self, base_url: str) -> None:
        self._client = httpx.Client(base_url=f"{base_url}/_sandbox/", timeout=30.0, trust_env=False)

    def __enter__(self) -> "Control":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def counters(self) -> dict[str, Any]:
        """The whole report; docs/sandbox.md explains the counters."""
        result: dict[str, Any] = self._call("GET", "counters")
        return result

    def tasks(self) -> list[dict[str, Any]]:
        """Every task, with the fields of `Task` and its `status`."""
        result: list[dict[str, Any]] = self._call("GET", "tasks")
        return result

    def set_faults(self, **probabilities: float) -> None:
        """Replace the faults; without arguments: none."""
        self._call("PUT", "faults", probabilities)

    def set_credits(self, credit_balance: float, *, uid: str | None = None) -> None:
        """Set an account's remaining credits; without a uid those of the configured account."""
        self._call("PUT", "credits", {"credits": credit_balance} | _of(uid))

    def revoke(self, *, uid: str | None = None) -> None:
        """Make an account's credentials answer 401."""
        self._call("PUT", "credentials", {"revoked": True} | _of(uid))

    def restore(self, *, uid: str | None = None) -> None:
        """Make them good again."""
        self._call("PUT", "credentials", {"revoked": False} | _of(uid))

    def add_account(self, uid: str, api_key: str, credit_balance: float) -> None:
        """Add an account with credentials and credits of its own."""
        body = {"uid": uid, "api_key": api_key, "credits": credit_balance}
        self._call("POST", "accounts", body)

    def add_credit_entry(self, task_type: str, cost: float, **fields: object) -> dict[str, Any]:
        """Add a charge of another client; `fields`: uid, api_key, at, task_id."""
        body = {"task_type": task_type, "cost": cost} | fields
        result: dict[str, Any] = self._call("POST", "credit_entries", body)
        return result

    def set_slots(self, concurrency: int) -> None:
        """Change the number of tasks that an account may have unfinished."""
        self._call("PUT", "slots", {"concurrency": concurrency})

    def advance_clock(self, seconds: float) -> None:
        """Move the sandbox's time forward."""
        self._call("POST", "clock", {"seconds": seconds})

    def reset(self) -> None:
        """Forget everything but the configuration."""
        self._call("POST", "reset")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        response = self._client.request(method, path, json=body)
        if response.is_error:
            raise httpx.HTTPStatusError(
                f"{method} /_sandbox/{path}: {response.text}",
                request=response.request,
                response=response,
            )
        return response.json()


def _of(uid: str | None) -> dict[str, str]:
    return {} if uid is None else {"uid": uid}


def _route(method: str, path: str, handle: _Handler) -> Route:
    """A control route; a body that `handle` cannot use answers HTTP 400 with what is wrong."""

    async def endpoint(request: Request) -> Response:
        world = world_of(request)
        world.settle()
        try:
            body = await request.json() if method != "GET" and await request.body() else {}
            return JSONResponse(handle(world, body))
        except (LookupError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)

    return Route(f"/_sandbox/{path}", endpoint, methods=[method])


def _tasks(world: World, _body: _Body) -> list[Any]:
    tasks = world.state.tasks.values()
    return [asdict(task) | {"status": world.tasks.status(task)} for task in tasks]


def _faults(world: World, _body: _Body) -> dict[str, Any]:
    return {"probabilities": world.faults.probabilities, "struck": dict(world.faults.struck)}


def _set_faults(world: World, body: _Body) -> dict[str, Any]:
    """The body is the new set, by name; a fault that it leaves out is off."""
    world.faults.set(body)
    return _faults(world, body)


def _account(world: World, body: _Body) -> Account:
    return world.state.account_of(str(body.get("uid", world.config.uid)))


def _set_credits(world: World, body: _Body) -> dict[str, Any]:
    account = _account(world, body)
    account.credits = float(body["credits"])
    world.state.save_account(account)
    return {"uid": account.uid, "credits": account.credits}


def _set_credentials(world: World, body: _Body) -> dict[str, Any]:
    """Revoke (`"revoked": true`) or restore an account's credentials."""
    account = _account(world, body)
    account.revoked = bool(body["revoked"])
    world.state.save_account(account)
    return {"uid": account.uid, "revoked": account.revoked}


def _add_account(world: World, body: _Body) -> dict[str, Any]:
    account = Account(str(body["uid"]), str(body["api_key"]), float(body.get("credits", 0.0)))
    if account.api_key in world.state.accounts:
        raise ValueError("there is an account with this api_key")
    world.state.save_account(account)
    return {"uid": account.uid, "credits": account.credits}


def _add_credit_entry(world: World, body: _Body) -> dict[str, Any]:
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


def _set_slots(world: World, body: _Body) -> dict[str, Any]:
    """Fewer slots than unfinished tasks are as if others used the account."""
    concurrency = int(body["concurrency"])
    if concurrency < 0:
        raise ValueError("concurrency must be 0 or more")
    world.tasks.concurrency = concurrency
    return {"concurrency": concurrency}


def _advance_clock(world: World, body: _Body) -> dict[str, Any]:
    world.clock.advance(float(body["seconds"]))
    world.state.save_sandbox()
    world.settle()
    return {"now": world.clock()}


def _reset(world: World, _body: _Body) -> dict[str, Any]:
    world.reset()
    return {}


ROUTES = [
    _route("GET", "counters", lambda world, _body: counters(world)),
    _route("GET", "tasks", _tasks),
    _route("GET", "faults", _faults),
    _route("PUT", "faults", _set_faults),
    _route("PUT", "credits", _set_credits),
    _route("PUT", "credentials", _set_credentials),
    _route("POST", "accounts", _add_account),
    _route("POST", "credit_entries", _add_credit_entry),
    _route("PUT", "slots", _set_slots),
    _route("POST", "clock", _advance_clock),
    _route("POST", "reset", _reset),
]
