"""A person's decisions in the launchpad, all kept or none."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from tests.defs.shop import CUT_OUT, Shop, failure_of
from tests.ledger.conftest import row_in
from topview_pipeline.defs.jobs import catch_up_config
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.ledger import TaskState
from topview_pipeline.ledger.schema import catalogue_product, task_event


def _review(shop: Shop, **config: Any) -> dg.ExecuteInProcessResult:
    return _job(shop, "review_scenes", **{"why": "", **config})


@pytest.mark.slow
def test_decisions_of_the_launchpad_let_the_next_catch_up_go_on(shop: Shop) -> None:
    shop.add("mug", "shoe")
    assert not shop.catch_up(gate="approve").success
    before = shop.control.counters()["submits"]
    assert not _review(shop, approve=["mug", "nobody"]).success
    assert "a rejection needs a reason" in failure_of(_review(shop, reject=["shoe"], why=" "))
    assert _review(shop, approve=["mug"], reject=["shoe"], why="two lids").success
    assert shop.control.counters()["submits"] == before
    shop.catch_up(gate="approve")
    assert shop.control.counters()["succeeded"]["image2Video"] == 1
    with shop.ledger() as ledger:
        decided = {name: one.decision for (name, _), one in ledger.reviews.all().items()}
    assert decided == {"mug": "approved", "shoe": "rejected"}


def _job(shop: Shop, name: str, **config: Any) -> dg.ExecuteInProcessResult:
    values = {"who": "ann", "why": "it is better", **config}
    return shop.run_job(name, run_config={"ops": {"decide": {"config": values}}})


@pytest.mark.slow
def test_what_a_shell_decides_the_launchpad_decides_too_and_nothing_is_spent(shop: Shop) -> None:
    """A held catalogue, a lost answer or a better scene must not need somebody with a terminal."""
    shop.add("mug", location="[[0.4,0.5],[0.6,0.5],[0.6,0.7],[0.4,0.7]]")
    shop.add("shoe", "bag", "cap", "pen", "hat")
    assert shop.catch_up().success
    paid = shop.accepted()

    choose = {"product": "mug", "image": 2}
    nobody = _job(shop, "choose_scene", **choose, who=" ")
    assert "Say who decides" in failure_of(nobody)
    none = _job(shop, "choose_scene", **(choose | {"product": "tie"}))
    assert "there is no scene of 'tie' yet" in failure_of(none)
    assert _job(shop, "choose_scene", **choose).success
    assert set(shop.stale("mug")) == {"finishedVideo"}

    with shop.ledger() as ledger:
        lost = row_in(ledger, TaskState.UNKNOWN, "tie")
    unclear = _job(shop, "settle_unknown_task", row=lost.id)
    assert "Give either adopt" in failure_of(unclear)
    wrong = _job(shop, "settle_unknown_task", row=lost.id, adopt="no-such-task")
    assert "no-such-task" in failure_of(wrong)
    assert _job(shop, "settle_unknown_task", row=lost.id, void=True).success
    assert [row.product_id for row in shop.rows_in(TaskState.VOID)] == ["tie"]

    shop.remove("shoe", "bag", "cap", "pen", "hat")
    assert not shop.run_job("sync_products").success
    assert shop.held_catalogue()
    assert _job(shop, "accept_change").success
    assert not shop.held_catalogue()
    assert _job(shop, "adopt_store").success
    assert shop.accepted() == paid


def test_a_purge_from_the_launchpad_forgets_what_left_and_says_who_and_why(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faces must go on demand, of one brand and not of another; nothing goes by a default."""
    shop.settings["TOPVIEW_NAME"] = "acme"
    monkeypatch.setattr(shop, "topview", lambda: TopviewResource(shop.config))
    shop.add("mug", "shoe")
    catch_up = {"run_config": catch_up_config(stages=CUT_OUT)}
    assert shop.run_job("acme_catch_up", **catch_up).success
    shop.remove("mug")
    assert shop.run_job("acme_sync_products").success
    shop.alter(catalogue_product, left_at=catalogue_product.c.left_at - 31 * 86_400.0)

    def files() -> list[str]:
        return sorted(path.parent.as_posix() for path in shop.store.rglob("mug/**/*.*"))

    def partitions() -> list[str]:
        return sorted(shop.instance.get_dynamic_partitions("acme_products"))

    soon = _job(shop, "acme_purge", retired_for_days=3)
    assert "retired_for_days: Input should be greater than or equal to 7" in failure_of(soon)
    before = files()
    assert before
    given = {"retired_for_days": 30, "media": True, "why": "a model asked for it"}
    assert _job(shop, "acme_purge", **given).success
    assert (files(), partitions()) == (before, ["mug", "shoe"]), "it only says what would go"
    assert _job(shop, "acme_purge", **given, dry_run=False).success
    assert (files(), partitions()) == ([], ["shoe"])
    assert {row.product_id for row in shop.rows_in()} == {"shoe"}
    with shop.ledger() as ledger, ledger._database.read() as connection:
        (event,) = connection.execute(sa.select(task_event).where(task_event.c.what == "purged"))
    assert event.who == "ann"
    assert event.detail == {"product": "mug", "rows": 1, "why": "a model asked for it"}
