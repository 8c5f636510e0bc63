"""Rows whose answer was lost: adopted once, released with evidence, their orders due at once."""

import pytest

from tests.ledger.conftest import Clock, open_at, order, pend, reserve
from topview_pipeline.ledger import HeldReason, IllegalMove, Ledger, Task, TaskState


def lose(ledger: Ledger, product_id: str = "a", *, run: str = "run") -> Task:
    """A row whose answer was lost, and its order held for it."""
    wanted = order(ledger, product_id, run=run)
    task = reserve(ledger, wanted, slots=9)
    ledger.tasks.ended(task.id, TaskState.UNKNOWN, why="lost", who="me")
    ledger.orders.hold(wanted.id, HeldReason.UNKNOWN, "lost")
    return task


def test_an_adopted_row_is_followed_by_whoever_comes_next(ledger: Ledger, clock: Clock) -> None:
    task = lose(ledger)
    clock.now += 9 * 3600.0
    adopted = ledger.unknowns.adopt(task.id, "x", why="the only one", who="ada@host")
    assert (adopted.state, adopted.topview_task_id) == (TaskState.PENDING, "x")
    assert adopted.owner is None
    assert adopted.deadline_at == clock.now + (task.deadline_at - task.reserved_at)
    last = ledger.browsing.history(task.id)[-1]
    assert (last.what, last.who) == ("pending", "ada@host")
    assert last.detail == {"from": "unknown", "topview_task_id": "x", "why": "the only one"}


def test_a_topview_task_is_adopted_by_one_row_only(ledger: Ledger) -> None:
    first, second = lose(ledger, "a"), lose(ledger, "b")
    ledger.unknowns.adopt(first.id, "x", why="", who="me")
    with pytest.raises(IllegalMove, match="another row of the ledger has that already"):
        ledger.unknowns.adopt(second.id, "x", why="", who="me")
    assert ledger.tasks.get(second.id).state is TaskState.UNKNOWN


@pytest.mark.parametrize("settle", ["adopt", "release"])
def test_what_waited_for_it_is_due_at_once_later_stages_too(ledger: Ledger, settle: str) -> None:
    task = lose(ledger)
    video = order(ledger, "a", stage="finishedVideo")
    other = order(ledger, "b", stage="finishedVideo")
    for waiting in (video, other):
        ledger.orders.hold(waiting.id, HeldReason.UPSTREAM, "waits for replacedImages")
    if settle == "adopt":
        ledger.unknowns.adopt(task.id, "x", why="", who="me")
    else:
        ledger.unknowns.release(task.id, why="", who="me")
    held = {one.id for one in ledger.orders.open_orders() if one.held_reason is not None}
    assert held == {other.id}


def test_a_released_row_leaves_its_work_to_be_sent_again(ledger: Ledger) -> None:
    task = lose(ledger)
    evidence = {"charges_read": 3}
    released = ledger.unknowns.release(task.id, why="not charged", who="me", evidence=evidence)
    assert released.state is TaskState.RELEASED
    assert ledger.browsing.history(task.id)[-1].detail == {
        "from": "unknown",
        "why": "not charged",
        "charges_read": 3,
    }
    assert reserve(ledger, ledger.orders.open_orders()[0]).id != task.id


def test_only_a_stalled_row_is_released_beside_an_unknown_one(ledger: Ledger) -> None:
    task = pend(ledger, reserve(ledger, order(ledger)))
    with pytest.raises(IllegalMove, match="is pending"):
        ledger.unknowns.release(task.id, why="", who="me")
    ledger.tasks.ended(task.id, TaskState.STALLED, why="late", who="me")
    with pytest.raises(IllegalMove, match="is stalled"):
        ledger.unknowns.adopt(task.id, "x", why="", who="me")
    assert ledger.unknowns.release(task.id, why="", who="me").state is TaskState.RELEASED


def test_a_row_of_another_account_is_not_touched(ledger: Ledger, ledger_url: str) -> None:
    task = lose(ledger)
    stranger = open_at(ledger_url, uid="Stranger")
    assert stranger.browsing.find(task.id) is None
    with pytest.raises(IllegalMove):
        stranger.unknowns.adopt(task.id, "x", why="", who="me")
    with pytest.raises(IllegalMove):
        stranger.unknowns.release(task.id, why="", who="me")
    assert ledger.tasks.get(task.id).state is TaskState.UNKNOWN
    assert stranger.unknowns.rows() == []
    stranger.close()


def test_an_order_held_after_its_row_was_settled_is_freed(ledger: Ledger) -> None:
    task = lose(ledger)
    (held,) = ledger.orders.open_orders()
    ledger.unknowns.release(task.id, why="", who="me")
    ledger.orders.hold(held.id, HeldReason.UNKNOWN, "read before it was settled")
    ledger.unknowns.free_orders()
    (freed,) = ledger.orders.open_orders()
    assert freed.held_reason is None


def test_the_hold_of_a_row_that_is_still_unknown_stays(ledger: Ledger) -> None:
    lose(ledger)
    ledger.unknowns.free_orders()
    assert ledger.orders.open_orders()[0].held_reason is HeldReason.UNKNOWN


def test_the_log_is_due_every_ten_minutes_and_only_with_unknown_rows(
    ledger: Ledger, clock: Clock
) -> None:
    assert not ledger.unknowns.is_due(clock.now)
    task = lose(ledger)
    assert ledger.unknowns.is_due(clock.now)
    ledger.unknowns.note_look([task.id], topview_time=clock.now, who="me")
    assert not ledger.unknowns.is_due(clock.now + 599.0)
    assert ledger.unknowns.is_due(clock.now + 600.0)
    assert ledger.unknowns.is_due(clock.now - 60.0)  # the clock was set back
    ledger.unknowns.release(task.id, why="", who="me")
    assert not ledger.unknowns.is_due(clock.now + 600.0)


def test_the_first_look_is_remembered_by_topviews_clock(ledger: Ledger) -> None:
    task, other = lose(ledger, "a"), lose(ledger, "b")
    ledger.unknowns.note_look([task.id], topview_time=100.0, who="me")
    ledger.unknowns.note_look([task.id], topview_time=900.0, who="me")
    ledger.unknowns.note_look([other.id], topview_time=None, who="me")
    assert ledger.unknowns.first_looks([task.id, other.id]) == {task.id: 100.0}


def test_every_row_that_a_nameless_charge_may_belong_to_is_listed(ledger: Ledger) -> None:
    unknown, given_up, never_sent, named = (lose(ledger, name) for name in "abcd")
    ledger.unknowns.release(given_up.id, why="", who="me")
    ledger.unknowns.release(never_sent.id, why="", who="me")
    ledger.unknowns.adopt(named.id, "x", why="", who="me")
    reserved = reserve(ledger, order(ledger, "e"), slots=9)
    refused = reserve(ledger, order(ledger, "f"), slots=9)
    ledger.tasks.ended(refused.id, TaskState.RELEASED, why="not sent", who="me")
    nameless = [row.id for row in ledger.unknowns.without_task_id({"replacedImages"})]
    assert nameless == [unknown.id, given_up.id, never_sent.id, reserved.id]
    assert ledger.unknowns.without_task_id({"finishedVideo"}) == []
    assert ledger.unknowns.stages_of(["x", "y"]) == {"x": "replacedImages"}


def test_a_page_shows_the_newest_and_counts_all(ledger: Ledger) -> None:
    rows = [lose(ledger, f"p{number}") for number in range(5)]
    ledger.unknowns.release(rows[0].id, why="", who="me")
    page = ledger.browsing.page(states=[TaskState.UNKNOWN], limit=2)
    assert ([row.id for row in page.rows], page.total) == ([rows[4].id, rows[3].id], 4)
    assert ledger.browsing.page(product_id="p1", limit=9).total == 1
    assert ledger.browsing.page(stage="finishedVideo", limit=9).rows == ()
    assert ledger.browsing.row_of("x") is None
