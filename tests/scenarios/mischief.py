"""Stands before the sandbox and repeats secrets wherever a server or a proxy can repeat them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_API = ("/v1/", "/v2/", "/v3/")
_MEDIA = "/aigc.s3/"


@dataclass
class Mischief:
    """An ASGI application before the sandbox's.

    Attributes:
        echo: a sentence with every secret, as a careless server says it.
        photos: bytes by path, for a shop's own pictures.
        refuses: every submit is answered 401 from now on.
        done: how often each mischief was done.
    """

    app: ASGIApp
    echo: Callable[[], str]
    photos: dict[str, bytes] = field(default_factory=dict)
    refuses: bool = False
    done: Counter[str] = field(default_factory=Counter)
    _seen: Counter[str] = field(default_factory=Counter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._is_cut(scope):
            await self.app(scope, receive, _half(send))
            return
        answer = self._answer(scope) if scope["type"] == "http" else None
        if answer is None:
            await self.app(scope, receive, send)
            return
        while (await receive()).get("more_body"):
            pass
        await answer(send)

    def _answer(self, scope: Scope) -> Callable[[Send], Any] | None:
        path, method = scope["path"], scope["method"]
        if path in self.photos:
            return _http(200, self.photos[path], "image/png")
        if path.startswith("/shop/"):
            return _http(404, self.echo().encode())
        if path.startswith(_MEDIA) and method == "GET":
            return self._media(scope, path)
        if not path.startswith(_API):
            return None
        if path.endswith("/submit"):
            return self._submit(path)
        if path.endswith("/query"):
            return self._query(scope, path)
        return None

    def _is_cut(self, scope: Scope) -> bool:
        """The second time that the first file is asked for, which all else lets through."""
        is_media = scope["path"].startswith(_MEDIA) and scope["method"] == "GET"
        if not is_media or self.done["cut"] or self._seen[scope["path"]] != 1:
            return False
        self.done["cut"] += 1
        return True

    def _media(self, scope: Scope, path: str) -> Callable[[Send], Any] | None:
        self._seen[path] += 1
        if self._seen[path] > 1:
            return None
        again = f"{path}?{scope['query_string'].decode()}"
        elsewhere = f"http://elsewhere.test{again}"
        turn = self._turn("media", "redirect", "forbidden", "expired", "good")
        if turn == "good":
            return None
        if turn == "expired":
            return _http(403, f"<Error><StringToSign>{again}</StringToSign></Error>".encode())
        return _http(302, b"", location=again if turn == "redirect" else elsewhere)

    def _submit(self, path: str) -> Callable[[Send], Any] | None:
        if self.refuses:
            return self._envelope("401", http_status=401)
        turn = self._turn(path, "good", "good", "4006", "good", "good", "500", "good", "good")
        return None if turn == "good" else self._said(turn)

    def _query(self, scope: Scope, path: str) -> Callable[[Send], Any] | None:
        turn = self._turn(path, "good", "4006", "302", "garbage", "500", "good", "fail")
        if turn == "fail":
            task_id = scope["query_string"].decode().partition("taskId=")[2].partition("&")[0]
            result = {"taskId": task_id, "status": "fail", "errorMsg": self.echo()}
            return self._envelope("200", result)
        return None if turn == "good" else self._said(turn)

    def _said(self, turn: str) -> Callable[[Send], Any]:
        text = self.echo()
        if turn == "302":
            return _http(302, b"", location=f"/login?back={text.replace(' ', '+')}")
        if turn == "garbage":
            return _http(200, f"<html>{text}</html>".encode(), "text/html")
        if turn == "500":
            return _http(500, text.encode(), "text/plain")
        return self._envelope(turn)

    def _turn(self, what: str, *turns: str) -> str:
        """One after the other, and round again."""
        self._seen[f"turn {what}"] += 1
        turn = turns[(self._seen[f"turn {what}"] - 1) % len(turns)]
        self.done[turn] += 1
        return turn

    def _envelope(
        self, code: str, result: object = None, *, http_status: int = 200
    ) -> Callable[[Send], Any]:
        body = {"code": code, "message": self.echo(), "result": result}
        return _http(http_status, json.dumps(body).encode(), "application/json")


def _half(send: Send) -> Send:
    """Passes half of an answer's first part on and nothing after it: uvicorn then hangs up."""
    sent = 0

    async def passing(message: Message) -> None:
        nonlocal sent
        body = message.get("body", b"")
        if message["type"] == "http.response.start":
            await send(message)
        elif body and not sent:
            sent = len(body) // 2
            await send({**message, "body": body[:sent], "more_body": True})

    return passing


def _http(
    status: int, body: bytes, content_type: str = "application/xml", *, location: str = ""
) -> Callable[[Send], Any]:
    headers = [(b"content-type", content_type.encode())]
    if location:
        headers.append((b"location", location.encode()))

    async def answer(send: Send) -> None:
        start: Message = {"type": "http.response.start", "status": status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": body})

    return answer
