"""Topview is down for a while: what is learnt of it must not spoil the hours after."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.producer.conftest import MakeWorld
from tests.producer.world import fates, product

_DOWN_SECONDS = 400.0
_SLOTS = 12


class Down:
    """Passes calls on; queries are answered by a broken proxy until the outage is over."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._until: float | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        now = asyncio.get_running_loop().time()
        self._until = self._until or now + _DOWN_SECONDS
        if scope["path"].endswith("/query") and now < self._until:
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b"down"})
            return
        await self._app(scope, receive, send)


def test_an_outage_is_not_learnt_as_how_long_tasks_take(make_world: MakeWorld) -> None:
    world = make_world(server=Down, concurrency=_SLOTS)
    products = [product(f"p{number}") for number in range(3 * _SLOTS)]
    told = fates(world.run(products, wait_seconds=2 * _DOWN_SECONDS))
    assert set(told.values()) == {"made"}
    lag = world.counters()["lag_seconds"]["remove_background"]
    after = lag["total"] - _SLOTS * _DOWN_SECONDS
    assert after < len(products) * world.config.poll_seconds
