"""Two runs meet over one order: each of these meetings once had a way to pay twice."""

from tests.ledger.conftest import ask, order
from topview_pipeline.ledger import Ledger, OrderChanged, OrderState, Reserved, Wanted


def test_a_force_over_a_run_that_waits_for_a_slot_leaves_one_paid_task(ledger: Ledger) -> None:
    waiting = order(ledger, run="1")
    forced = order(ledger, run="2", force=True)
    generation = ledger.orders.fix_generation(forced, work="work of a")
    assert generation == 1
    assert isinstance(ask(ledger, waiting, generation=0), OrderChanged)
    assert isinstance(ask(ledger, forced, generation=generation), Reserved)
    assert len(ledger.tasks.all()) == 1


def test_what_a_person_withdrew_is_not_ordered_again_by_the_sensors_run(ledger: Ledger) -> None:
    """The sensor listed it as open; it was withdrawn before the sensor's run began."""
    order(ledger, run="1")
    ledger.orders.withdraw_runs(["1"], who="terminated")
    placed = ledger.orders.place(
        [Wanted("a", "replacedImages", "ordered")],
        run_id="sensor",
        root_run_id="sensor",
        owner="me",
        only_open=True,
    )
    assert placed.orders == {}
    assert ledger.orders.open_orders() == []


def test_a_force_that_failed_before_any_task_makes_no_later_plain_run_pay(ledger: Ledger) -> None:
    forced = order(ledger, run="1", force=True)
    assert ledger.orders.fix_generation(forced, work="work of a") == 1
    ledger.orders.failed(forced.id, {"what": "the recording cannot be read", "mend": "mend it"})
    plain = order(ledger, run="2")
    assert ledger.orders.fix_generation(plain, work="work of a") == 0


def test_an_event_is_booked_on_the_task_it_was_told_of(ledger: Ledger) -> None:
    """The event of an old task is stored after the order went on to a new one."""
    wanted = order(ledger)
    old = ask(ledger, wanted, work="old")
    assert isinstance(old, Reserved)
    new = ask(ledger, wanted, work="new")
    assert isinstance(new, Reserved)
    ledger.orders.done(wanted.id, old.task.id)
    assert ledger.tasks.get(old.task.id).materialized_at is not None
    assert ledger.tasks.get(new.task.id).materialized_at is None
    assert [one.state for one in ledger.orders.open_orders()] == [OrderState.OPEN]
