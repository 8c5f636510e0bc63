"""What a product costs the ledger's server, which may be milliseconds away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from tests.defs.shop import Shop
from topview_pipeline.ledger.database import Database


@pytest.mark.slow
def test_a_product_costs_the_ledger_few_transactions(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    for name in ("read", "write"):
        real = getattr(Database, name)

        @contextmanager
        def counting(
            *given: Any, _real: Any = real, _name: str = name, **named: Any
        ) -> Iterator[sa.Connection]:
            made.append(_name)
            with _real(*given, **named) as connection:
                yield connection

        monkeypatch.setattr(Database, name, counting)
    shop.settings |= {"TOPVIEW_PREVIEWS": "true", "TOPVIEW_CHECKS": "true"}
    shop.add("mug", "shoe", "bag", "cap", "pen")
    counts = []
    for products in (["mug"], ["shoe", "bag", "cap", "pen"]):
        made.clear()
        assert shop.catch_up(products=products).success
        counts.append(len(made))
    assert (counts[1] - counts[0]) / 3 <= 37, counts
