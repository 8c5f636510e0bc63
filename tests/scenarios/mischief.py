"""Stands before the sandbox and repeats secrets wherever a server or a proxy can repeat them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

_MEDIA = "/aigc.s3/"
_OF_MEDIA = ("redirect", "elsewhere", "expired", "good")
_OF_SUBMITS = ("good", "good", "4006", "good", "good", "good", "500", "good", "good")
_OF_QUERIES = ("good", "4006", "302", "garbage", "500", "good", "fail")


@dataclass
class Mischief:
    """An ASGI application before the sandbox's.

    Attributes:
        echo: gives a sentence with every secret, as a careless server says it.
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
        answer = self._answer(scope) if scope["type"] == "http" else None
        if answer is None:
            await self.app(scope, receive, send)
            return
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", **answer[0]})
        await send({"type": "http.response.body", "body": answer[1]})

    def _answer(self, scope: Scope) -> tuple[dict[str, Any], bytes] | None:
        path, query = scope["path"], scope["query_string"].decode()
        if path in self.photos:
            return _http(200, self.photos[path], "image/png")
        if path.startswith("/shop/"):
            return _http(404, self.echo().encode())
        if path.startswith(_MEDIA) and scope["method"] == "GET":
            # Each file's first answer; all of them come home in the end.
            self._seen[path] += 1
            return self._turn("media", _OF_MEDIA, again=f"{path}?{query}", first=path)
        if path.endswith("/submit"):
            refused = self._envelope("401", http_status=401)
            return refused if self.refuses else self._turn(path, _OF_SUBMITS)
        if path.endswith("/query") and "taskId=" in query:
            return self._turn(path, _OF_QUERIES, task_id=parse_qs(query)["taskId"][0])
        return None

    def _turn(
        self,
        what: str,
        turns: tuple[str, ...],
        *,
        again: str = "",
        first: str | None = None,
        task_id: str = "",
    ) -> tuple[dict[str, Any], bytes] | None:
        """One after the other, and round again."""
        if first is not None and self._seen[first] > 1:
            return None
        self._seen[what] += 1
        turn = turns[(self._seen[what] - 1) % len(turns)]
        self.done[turn] += 1
        if turn == "good":
            return None
        text = self.echo()
        failed = {"taskId": task_id, "status": "fail", "errorMsg": text}
        answers = {
            "redirect": _http(302, b"", location=again),
            "elsewhere": _http(302, b"", location=f"http://elsewhere.test{again}"),
            "expired": _http(403, f"<Error><StringToSign>{again}</StringToSign></Error>".encode()),
            "302": _http(302, b"", location=f"/login?back={text.replace(' ', '+')}"),
            "garbage": _http(200, f"<html>{text}</html>".encode(), "text/html"),
            "500": _http(500, text.encode(), "text/plain"),
            "4006": self._envelope("4006"),
            "fail": self._envelope("200", failed),
        }
        return answers[turn]

    def _envelope(
        self, code: str, result: object = None, *, http_status: int = 200
    ) -> tuple[dict[str, Any], bytes]:
        body = {"code": code, "message": self.echo(), "result": result}
        return _http(http_status, json.dumps(body).encode(), "application/json")


def _http(
    status: int, body: bytes, content_type: str = "application/xml", *, location: str = ""
) -> tuple[dict[str, Any], bytes]:
    headers = [(b"content-type", content_type.encode())]
    if location:
        headers.append((b"location", location.encode()))
    return {"status": status, "headers": headers}, body
