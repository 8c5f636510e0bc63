"""Orders: joined, forced, withdrawn, taken up; and what generation they stand for."""

import pytest

from tests.ledger.conftest import Clock, order, pend, reserve, store
from topview_pipeline.ledger import (
    ForceRefused,
    HeldReason,
    Ledger,
    Order,
    OrderState,
    TaskState,
    Wanted,
)

STAGE = "replacedImages"


def _fixed(ledger: Ledger, wanted: Order, work: str = "work") -> int:
    return ledger.orders.fix_generation(wanted, work=work)


def _made(ledger: Ledger, wanted: Order, work: str = "work") -> int:
    """Make what is wanted; its generation."""
    generation = _fixed(ledger, wanted, work)
    fingerprint = f"{work}/{generation}"
    live = [row for row in ledger.tasks.of_fingerprint(fingerprint) if row.state.value == "stored"]
    row = live[0] if live else reserve(ledger, wanted, work=work, generation=generation)
    if not live:
        store(ledger, row)
    ledger.orders.works_by(wanted.id, row.id)
    ledger.orders.done(wanted.id, row.id)
    return generation


def test_a_second_run_joins_an_open_order(ledger: Ledger) -> None:
    assert order(ledger, run="one").id == order(ledger, run="two").id
    assert ledger.orders.runs_that_ask() == {"one", "two"}


def test_the_same_wish_twice_in_one_run_is_one_order(ledger: Ledger) -> None:
    wish = Wanted("a", STAGE, "ordered")
    placed = ledger.orders.place([wish, wish], run_id="run", root_run_id="run", owner="me")
    assert len(placed.orders) == len(ledger.orders.open_orders()) == 1


def test_an_order_that_is_done_is_not_joined(ledger: Ledger) -> None:
    wanted = order(ledger)
    _made(ledger, wanted)
    assert order(ledger).id != wanted.id


def test_hundreds_of_orders_are_placed_and_joined(ledger: Ledger) -> None:
    wishes = [Wanted(f"p{n}", STAGE, "ordered") for n in range(600)]
    one = ledger.orders.place(wishes, run_id="one", root_run_id="one", owner="me")
    two = ledger.orders.place(wishes, run_id="two", root_run_id="two", owner="me")
    assert {o.id for o in one.orders.values()} == {o.id for o in two.orders.values()}
    assert ledger.orders.withdraw_runs(["one"], who="person") == []
    assert len(ledger.orders.withdraw_runs(["two"], who="person")) == 600


def test_force_goes_one_above_what_was_used(ledger: Ledger) -> None:
    assert _made(ledger, order(ledger, run="1")) == 0
    assert _made(ledger, order(ledger, run="2", force=True)) == 1
    assert _made(ledger, order(ledger, run="3")) == 1
    assert _made(ledger, order(ledger, run="4", force=True)) == 2


def test_re_executing_a_forced_run_wants_the_same_generation(ledger: Ledger) -> None:
    _made(ledger, order(ledger, run="1"))
    assert _made(ledger, order(ledger, run="2", force=True)) == 1
    assert _made(ledger, order(ledger, run="3", root="2", force=True)) == 1


def test_products_that_share_work_forced_in_one_root_run_share_a_generation(
    ledger: Ledger,
) -> None:
    for name in "ab":
        _made(ledger, order(ledger, name, run="1"), "shared")
    assert _made(ledger, order(ledger, "a", run="2", force=True), "shared") == 1
    assert _made(ledger, order(ledger, "b", run="2", force=True), "shared") == 1
    assert _made(ledger, order(ledger, "b", run="3", force=True), "shared") == 2
    assert _made(ledger, order(ledger, "a", run="4", force=True), "shared") == 3


def test_another_force_joins_a_forced_order_that_is_open(ledger: Ledger) -> None:
    first = order(ledger, run="1", force=True)
    generation = _fixed(ledger, first)
    second = order(ledger, run="2", force=True)
    assert (second.id, second.generation) == (first.id, generation)


def test_an_open_order_becomes_forced(ledger: Ledger) -> None:
    plain = order(ledger, run="1")
    _fixed(ledger, plain)
    forced = order(ledger, run="2", force=True)
    assert (forced.id, forced.force, forced.generation) == (plain.id, True, None)
    # A producer that read the order before fixes the new generation, not the old one.
    assert _fixed(ledger, plain) == _fixed(ledger, forced) == 1


def test_an_order_forced_while_its_event_was_being_stored_stays_open(ledger: Ledger) -> None:
    plain = order(ledger, run="1")
    row = store(ledger, reserve(ledger, plain, work="work", generation=_fixed(ledger, plain)))
    forced = order(ledger, run="2", force=True)
    ledger.orders.done(plain.id, row.id)
    assert [one.id for one in ledger.orders.open_orders()] == [forced.id]
    assert ledger.tasks.get(row.id).materialized_at is not None
    assert _made(ledger, forced) == 1
    assert ledger.orders.open_orders() == []


@pytest.mark.parametrize("state", ["reserved", "pending", "unknown", "stalled"])
def test_force_over_what_may_still_be_paid_is_refused_and_names_the_row(
    ledger: Ledger, state: str
) -> None:
    wanted = order(ledger, run="1")
    row = reserve(ledger, wanted, work="work", generation=_fixed(ledger, wanted))
    if state in ("pending", "stalled"):
        pend(ledger, row)
    if state in ("unknown", "stalled"):
        ledger.tasks.ended(row.id, TaskState(state), why="test", who="me")
    wish = [Wanted("a", STAGE, "again", force=True)]
    placed = ledger.orders.place(wish, run_id="2", root_run_id="2", owner="me")
    assert placed.orders == {}
    assert f"task row {row.id} is {state}" in placed.refused["a", STAGE]
    assert ledger.orders.runs_that_ask() == {"1"}
    # Another product of the same work learns it when its work is known.
    other = order(ledger, "b", run="3", force=True)
    with pytest.raises(ForceRefused, match=f"task row {row.id}"):
        _fixed(ledger, other)


def test_a_forced_order_withdrawn_before_it_had_a_task_uses_up_nothing(ledger: Ledger) -> None:
    _made(ledger, order(ledger, run="1"))
    _fixed(ledger, order(ledger, run="2", force=True))
    ledger.orders.withdraw_runs(["2"], who="person")
    assert _fixed(ledger, order(ledger, run="3")) == 0


def test_an_order_is_withdrawn_when_no_other_run_asks_for_it(ledger: Ledger) -> None:
    shared = order(ledger, "shared", run="1")
    order(ledger, "shared", run="2")
    alone = order(ledger, "alone", run="1")
    (withdrawn,) = ledger.orders.withdraw_runs(["1"], who="person")
    assert withdrawn.id == alone.id
    assert [one.id for one in ledger.orders.open_orders()] == [shared.id]
    assert ledger.orders.withdraw_runs(["1"], who="person") == []


def test_stopping_a_run_that_took_orders_up_withdraws_them(ledger: Ledger) -> None:
    wanted = order(ledger, run="dead")
    ledger.orders.take_up([wanted.id], run_id="sensor", is_at_work=lambda _: False)
    assert ledger.orders.runs_that_ask() == {"sensor"}
    assert ledger.orders.withdraw_runs(["dead"], who="person") == []
    assert len(ledger.orders.withdraw_runs(["sensor"], who="person")) == 1


def test_an_order_keeps_why_it_waits_until_it_goes_on(ledger: Ledger, clock: Clock) -> None:
    wanted = order(ledger)
    ledger.orders.hold(wanted.id, HeldReason.RETRY, "failed", until=clock.now + 30.0)
    (held,) = ledger.orders.open_orders()
    assert (held.held_reason, held.held_detail) == (HeldReason.RETRY, "failed")
    reserve(ledger, wanted)
    (going_on,) = ledger.orders.open_orders()
    assert (going_on.held_reason, going_on.held_until) == (None, None)


def test_a_closed_order_is_not_held_any_more_nor_closed_again(ledger: Ledger) -> None:
    wanted = order(ledger)
    ledger.orders.failed(wanted.id, {"what": "refused", "mend": "change it"})
    ledger.orders.hold(wanted.id, HeldReason.RETRY, "late")
    ledger.orders.done(wanted.id, 1)
    (closed,) = ledger.orders.of_run("run")
    assert (closed.state, closed.held_reason) == (OrderState.FAILED, None)
    assert closed.failure == {"what": "refused", "mend": "change it"}


def test_a_producer_that_ends_leaves_its_orders_to_anybody(ledger: Ledger) -> None:
    order(ledger)
    ledger.orders.give_up("me")
    assert [one.owner for one in ledger.orders.open_orders()] == [None]


def test_the_last_stored_of_a_product_may_be_another_products_task(ledger: Ledger) -> None:
    assert ledger.tasks.last_stored("a", STAGE) is None
    first = order(ledger, "a", run="1")
    _made(ledger, first, "old")
    _made(ledger, order(ledger, "b", run="1"), "shared")
    _made(ledger, order(ledger, "a", run="2"), "shared")
    last = ledger.tasks.last_stored("a", STAGE)
    assert last is not None
    assert (last.work, last.product_id) == ("shared", "b")
    # An order that has nothing yet does not hide it.
    order(ledger, "a", run="3")
    assert ledger.tasks.last_stored("a", STAGE) == last
