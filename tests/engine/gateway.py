"""Stands between the engine and the sandbox: answers some calls itself, delays or spoils others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

Query = Mapping[str, str]


@dataclass(frozen=True)
class Raw:
    """An answer of these bytes."""

    status: int
    body: bytes


@dataclass(frozen=True)
class Late:
    """The call is passed on after so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Spoiled:
    """The call is passed on, and its answer has this body instead."""

    body: bytes


Answer = Mapping[str, Any] | Raw | Late | Spoiled | None
"""An envelope, or another of these; None passes the call on."""


@dataclass
class _Rule:
    part: str
    answer: Callable[[Query], Answer]
    left: float


class Gateway:
    """An ASGI application before another one. `calls` are the paths of all calls."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._rules: list[_Rule] = []
        self.calls: list[str] = []

    def on(
        self, part: str, answer: Answer | Callable[[Query], Answer], *, times: float = float("inf")
    ) -> None:
        """Answer calls with `part` in their path so; the first rule with an answer counts."""
        made = answer if callable(answer) else lambda _: answer
        self._rules.append(_Rule(part, made, times))

    def calm(self) -> None:
        """Forget all rules."""
        self._rules.clear()

    def count(self, ending: str) -> int:
        """Number of calls that had a path with this ending."""
        return sum(path.endswith(ending) for path in self.calls)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append(scope["path"])
        answer = self._answer(scope)
        if isinstance(answer, Late):
            await asyncio.sleep(answer.seconds)
        if isinstance(answer, Spoiled):
            send = _spoiling(send, answer.body)
        if answer is None or isinstance(answer, Late | Spoiled):
            await self._app(scope, receive, send)
            return
        raw = answer if isinstance(answer, Raw) else Raw(200, json.dumps(answer).encode())
        await send({"type": "http.response.start", "status": raw.status, "headers": _JSON})
        await send({"type": "http.response.body", "body": raw.body})

    def _answer(self, scope: Any) -> Answer:
        asked = parse_qs(scope["query_string"].decode())
        query = {name: values[0] for name, values in asked.items()}
        for rule in self._rules:
            if rule.part in scope["path"] and rule.left > 0:
                rule.left -= 1
                answer = rule.answer(query)
                if answer is not None:
                    return answer
        return None


_JSON = [(b"content-type", b"application/json")]


def _spoiling(send: Any, body: bytes) -> Any:
    async def spoiled(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": _JSON}
        elif message["type"] == "http.response.body":
            message = {**message, "body": body}
        await send(message)

    return spoiled


def envelope(result: Any, *, code: str = "200") -> dict[str, Any]:
    """Topview's envelope."""
    return {"code": code, "message": "Success" if code == "200" else "refused", "result": result}


def status(word: str, *, of: str | None = None, **more: Any) -> Callable[[Query], Answer]:
    """Answers queries with this status; `of` is the only task that is meant."""

    def answer(query: Query) -> Answer:
        if of is not None and query.get("taskId") != of:
            return None
        return envelope({"taskId": query["taskId"], "status": word, **more})

    return answer
