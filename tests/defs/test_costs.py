"""A product's calls of the servers of ledger and store, which may be milliseconds away."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from tests import s3
from tests.defs.shop import Shop
from topview_pipeline.ledger import NoSlot, ReserveAnswer, TaskState, account_id
from topview_pipeline.ledger.database import Database
from topview_pipeline.ledger.tasks import Tasks

_BY_TIME = {"beat", "queried"}
"""Callers whose number depends on how long a run lasts, not on its products."""


@pytest.mark.slow
def test_a_product_costs_the_ledger_few_transactions(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    for name in ("read", "write"):
        real = getattr(Database, name)

        @contextmanager
        def counting(*given: Any, _real: Any = real, **named: Any) -> Iterator[sa.Connection]:
            made.append(sys._getframe(2).f_code.co_name)
            with _real(*given, **named) as connection:
                yield connection

        monkeypatch.setattr(Database, name, counting)
    reserve = Tasks.reserve

    def reserving(*given: Any, **named: Any) -> ReserveAnswer:
        answer = reserve(*given, **named)
        if isinstance(answer, NoSlot):  # asked for once a second
            made.remove("reserve")
        return answer

    monkeypatch.setattr(Tasks, "reserve", reserving)
    shop.settings |= {"TOPVIEW_PREVIEWS": "true", "TOPVIEW_CHECKS": "true"}
    shop.add("mug", "shoe", "bag", "cap", "pen")
    counts = []
    for products in (["mug"], ["shoe"], ["bag", "cap", "pen"]):
        made.clear()
        assert shop.catch_up(products=products).success
        counts.append(sum(caller not in _BY_TIME for caller in made))
    assert (counts[2] - counts[1]) / 2 <= 25, counts


@pytest.mark.slow
def test_a_product_costs_the_bucket_twelve_requests_and_nothing_outside_its_account(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    shop.settings |= {"TOPVIEW_PREVIEWS": "true", "TOPVIEW_CHECKS": "true"}
    shop.settings["TOPVIEW_STORE"] = "s3://bucket/media"
    shop.add("mug", "shoe", "bag")
    with s3.running() as server:
        server.account = account_id(shop.config.base_url, shop.config.require_uid())
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        assert shop.catch_up(products=["mug"]).success  # ledger and store get to know each other
        server.requests.clear()
        assert shop.catch_up(products=["shoe", "bag"]).success
        assert len(shop.rows_in(TaskState.STORED)) == 9
        # Each op looks at the store's identity and probes it; the plan is written and read.
        of_run = 6
        assert (server.requests.total() - of_run) / 2 <= 12, server.requests
        assert set(server.requests) == {"GET object", "PUT object"}
        assert server.refused == []
