"""What is wrong over all products: nothing that waits for a person is passed over in silence, and
nothing is asked that nobody can do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ledger.conftest import order, reserve
from topview_pipeline.concerns import Concern, concerns
from topview_pipeline.ledger import HeldReason, Ledger, Order, TaskState
from topview_pipeline.ways_out import HELD

DAY = 86400.0


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path}/ledger.db", base_url="https://topview.example", uid="u")
    yield opened
    opened.close()


def now_of(ledger: Ledger) -> dict[str, Concern]:
    return concerns(ledger, now=ledger.now())


def obey(ledger: Ledger, *products: str, source: str = "shop.csv") -> None:
    ledger.catalogues.obey(source, sha256=str(products), columns=["image"], products=products)


def fail(ledger: Ledger, product: str) -> None:
    ledger.orders.failed(order(ledger, product).id, {"what": "no", "mend": "yes"})


def expired(ledger: Ledger, product: str) -> Order:
    """An order whose task was paid for and thrown away by Topview."""
    placed = order(ledger, product)
    row = reserve(ledger, placed)
    ledger.tasks.accepted(row.id, f"t-{product}", who="dead")
    ledger.tasks.succeeded(row.id, result={}, cost_credits=1.0, who="dead")
    ledger.tasks.ended(row.id, TaskState.EXPIRED, why="gone", who="dead")
    return placed


def test_what_left_the_catalogue_is_no_failure_that_somebody_could_mend(ledger: Ledger) -> None:
    obey(ledger, "hat", "mug")
    fail(ledger, "hat")
    fail(ledger, "mug")
    assert now_of(ledger)["products_failed"].count == 2
    obey(ledger, "mug")
    assert [case.product for case in now_of(ledger)["products_failed"].sample] == ["mug"]


def test_a_product_that_another_catalogue_has_has_not_left(ledger: Ledger) -> None:
    obey(ledger, "hat", "mug")
    obey(ledger, "hat", source="theirs.csv")
    fail(ledger, "hat")
    obey(ledger, "mug")
    assert now_of(ledger)["products_failed"].count == 1


def test_the_catalogue_of_another_deployment_hides_no_failure(ledger: Ledger) -> None:
    fail(ledger, "mug")
    obey(ledger, "hat", source="theirs.csv")
    assert now_of(ledger)["products_failed"].count == 1


def test_a_failure_of_what_came_back_counts_again(ledger: Ledger) -> None:
    fail(ledger, "hat")
    for products in (["hat", "mug"], ["mug"], ["hat", "mug"]):
        obey(ledger, *products)
    assert now_of(ledger)["products_failed"].count == 1


def test_before_any_catalogue_was_obeyed_every_failure_counts(ledger: Ledger) -> None:
    fail(ledger, "hat")
    assert now_of(ledger)["products_failed"].count == 1


@pytest.mark.parametrize("reason", HeldReason)
def test_every_reason_to_wait_is_asked_for_where_a_person_can_help(
    ledger: Ledger, reason: HeldReason
) -> None:
    ledger.orders.hold(order(ledger, "mug").id, reason, "the detail")
    loud = {name: one for name, one in now_of(ledger).items() if not one.is_calm}
    if reason in (HeldReason.RETRY, HeldReason.UPSTREAM, HeldReason.UNKNOWN):
        # It goes on by itself; it is told at the earlier stage; its row is what tasks_unknown asks.
        assert loud == {}
        return
    (concern,) = loud.values()
    (case,) = concern.sample
    assert (concern.count, case.product) == (1, "mug")
    assert "the detail" in case.what
    assert case.mend
    assert concern.way_out


def test_the_way_out_is_told_for_each_reason(ledger: Ledger) -> None:
    for product, reason in {
        "a": HeldReason.CHOICE,
        "b": HeldReason.DOWNLOAD,
        "c": HeldReason.DOWNLOAD,
    }.items():
        ledger.orders.hold(order(ledger, product).id, reason, "the detail")
    found = now_of(ledger)["held_for_a_person"]
    assert found.count == 3
    for reason in (HeldReason.CHOICE, HeldReason.DOWNLOAD):
        assert found.way_out.count(HELD[reason]) == 1


def test_every_reason_has_a_way_out() -> None:
    assert set(HELD) == set(HeldReason)


def test_a_result_that_did_expire_is_not_calm(ledger: Ledger) -> None:
    """The check that warned of it for four days must not turn green when it is lost."""
    placed = expired(ledger, "red mug")
    for hold in (False, True):
        if hold:
            ledger.orders.hold(placed.id, HeldReason.EXPIRED, "Topview no longer gives it")
        found = now_of(ledger)["results_about_to_expire"]
        (case,) = found.sample
        assert (found.count, case.product, case.task_id) == (1, "red mug", "t-red mug")
        assert "run --force --product 'red mug' --stage replacedImages" in case.mend
        assert "force" in found.way_out


def test_an_expired_result_that_was_forced_or_is_no_longer_wanted_is_history(
    ledger: Ledger,
) -> None:
    obey(ledger, "hat", "mug")
    for product in ("hat", "mug"):
        ledger.orders.hold(expired(ledger, product).id, HeldReason.EXPIRED, "gone")
    order(ledger, "mug", run="another", force=True)
    assert [one.product for one in now_of(ledger)["results_about_to_expire"].sample] == ["hat"]
    obey(ledger, "mug")
    assert now_of(ledger)["results_about_to_expire"].is_calm
