"""The job review_scenes: a person's decisions in the launchpad, all kept or none."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import Shop
from topview_pipeline.defs.jobs import REVIEW_SCENES


def _review(shop: Shop, **config: Any) -> dg.ExecuteInProcessResult:
    values = {"who": "ann", **config}
    run_config = {"ops": {"keep_reviews": {"config": values}}}
    return shop.run_job(REVIEW_SCENES, run_config=run_config)


@pytest.mark.slow
def test_decisions_of_the_launchpad_let_the_next_catch_up_go_on(shop: Shop) -> None:
    shop.add("mug", "shoe")
    assert not shop.catch_up(gate="approve").success
    before = shop.control.counters()["submits"]
    assert not _review(shop, approve=["mug", "nobody"]).success
    assert _review(shop, approve=["mug"], reject=["shoe"], why="two lids").success
    assert shop.control.counters()["submits"] == before
    shop.catch_up(gate="approve")
    assert shop.control.counters()["succeeded"]["image2Video"] == 1
    with shop.ledger() as ledger:
        decided = {name: one.decision for (name, _), one in ledger.reviews.all().items()}
    assert decided == {"mug": "approved", "shoe": "rejected"}
