"""Topview is down for a while: what is learnt of it must not spoil the hours after."""

from __future__ import annotations

import asyncio
from statistics import median
from typing import Any

from tests.producer.conftest import MakeWorld
from tests.producer.world import fates, product

_DOWN_SECONDS = 400.0
_SLOTS = 12


class Proxy:
    """Passes calls on, but queries only some time after the first one."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._first: float | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].endswith("/query"):
            now = asyncio.get_running_loop().time()
            self._first = self._first or now
            if now - self._first < _DOWN_SECONDS:
                await send({"type": "http.response.start", "status": 503, "headers": []})
                await send({"type": "http.response.body", "body": b"down"})
                return
        await self._app(scope, receive, send)


def test_an_outage_is_not_learnt_as_how_long_tasks_take(make_world: MakeWorld) -> None:
    world = make_world(server=Proxy, concurrency=_SLOTS)
    products = [product(f"p{number}") for number in range(3 * _SLOTS)]
    told = fates(world.run(products, wait_seconds=2 * _DOWN_SECONDS))
    assert set(told.values()) == {"made"}
    took = [
        (row.succeeded_at or 0.0) - (row.pending_at or 0.0)
        for row in sorted(world.rows(), key=lambda row: row.id)
        if row.stage == "bgRemovedImage"
    ]
    assert min(took[:_SLOTS]) > _DOWN_SECONDS
    assert median(took[_SLOTS:]) < 10.0
