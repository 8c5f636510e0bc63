"""Many products begin while the first ones are at Topview: no answer may wait for all of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.producer.conftest import MakeWorld
from tests.producer.world import fates, product
from topview_pipeline.producer import engine
from topview_pipeline.producer.flow import Flow
from topview_pipeline.producer.submitting import Submitter

_SLOTS = 4
_ROUNDS = 8
"""Of the event loop, that a real answer takes: connect, write, wait, read and so on."""


class Far:
    """Passes calls on after as many rounds of the loop as a real socket takes."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        await self._app(scope, receive, send)


def test_an_answer_waits_for_few_beginnings_while_enough_products_are_in_line(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(server=Far, concurrency=_SLOTS)
    begun = 0
    waited_for: list[int] = []

    class Counted(Flow):
        def __init__(self, *args: Any) -> None:
            nonlocal begun
            begun += 1
            super().__init__(*args)

    post = Submitter.send

    async def noticed(self: Any, *args: Any) -> Any:
        before = begun
        answer = await post(self, *args)
        waited_for.append(begun - before)
        return answer

    monkeypatch.setattr(engine, "Flow", Counted)
    monkeypatch.setattr(Submitter, "send", noticed)
    products = [product(f"p{number}") for number in range(100)]
    told = fates(world.run(products, stages=["bgRemovedImage"]))
    assert list(told.values()) == ["made"] * 100
    assert max(waited_for) < _ROUNDS
