"""Looking back: pages and events for people, durations and costs for estimates."""

from __future__ import annotations

from tests.ledger.conftest import MOVES, STAGE, VIDEO, Clock, record_of, reserve, row_in
from topview_pipeline.ledger import Ledger, Task, TaskState
from topview_pipeline.prices import CostSeen


def test_a_page_shows_the_newest_and_counts_all(ledger: Ledger) -> None:
    rows = [row_in(ledger, TaskState.UNKNOWN, f"p{number}") for number in range(5)]
    ledger.tasks.void(rows[0].id, why="", who="me")
    assert ledger.history.page(states=[TaskState.UNKNOWN], limit=2) == ([rows[4], rows[3]], 4)
    assert ledger.history.page(product_id="p1", limit=9) == ([rows[1]], 1)
    assert ledger.history.page(stage=VIDEO, limit=9) == ([], 0)
    assert ledger.history.page(limit=9)[1] == 5


def run(ledger: Ledger, clock: Clock, product: str, lasts: float, **changes: object) -> Task:
    row = MOVES["accepted"](ledger, reserve(ledger, product, **changes).id)
    clock.now += lasts
    return MOVES["succeeded"](ledger, row.id)


def test_durations_are_those_of_tasks_that_were_watched_to_their_end(
    ledger: Ledger, clock: Clock
) -> None:
    assert ledger.history.typical_seconds(STAGE) is None
    for number, seconds in enumerate([10.0, 30.0, 20.0]):
        run(ledger, clock, f"p{number}", seconds)
    run(ledger, clock, "video", 500.0, stage=VIDEO)
    left = row_in(ledger, TaskState.PENDING, "left alone")
    clock.now += 36_000.0
    ledger.tasks.adopt(left.id, worker="other")
    MOVES["succeeded"](ledger, left.id)
    assert ledger.history.seconds(STAGE) == [20.0, 30.0, 10.0]
    assert ledger.history.typical_seconds(STAGE) == 20.0


def test_the_highest_price_and_the_average_of_its_kind_are_learnt(
    ledger: Ledger, clock: Clock
) -> None:
    tasks = [("pro", 3.2), ("pro", 8.0), ("lite", None), ("avatar2", 4.0), ("avatar4", 0.2)]
    for number, (mode, seconds) in enumerate(tasks):
        run(ledger, clock, f"p{number}", 1.0, mode=mode, seconds=seconds)
    assert ledger.history.cost_seen(STAGE, "pro") == CostSeen(2.0, 0.5, 2.0, 4 / 12)
    assert ledger.history.cost_seen(STAGE, "lite") == CostSeen(2.0, None, 2.0)
    assert ledger.history.cost_seen(STAGE, "avatar2") == CostSeen(2.0, 0.5, 2.0, 0.5)
    assert ledger.history.cost_seen(STAGE, "avatar4") == CostSeen(2.0, 2.0, 2.0, 2.0), (
        "a started second"
    )
    assert ledger.history.cost_seen(STAGE, None) == CostSeen(None, None)


def test_who_changed_hands_before_it_was_stored_was_perhaps_done_long_before(
    ledger: Ledger, clock: Clock
) -> None:
    watched, polled_late, fetched_late, reported_late = (
        row_in(ledger, TaskState.PENDING, name) for name in "abcd"
    )
    for row in (watched, fetched_late, reported_late):
        MOVES["succeeded"](ledger, row.id)
    for row in (watched, reported_late):
        MOVES["stored"](ledger, row.id)
    clock.now += 36_000.0
    for row in (polled_late, fetched_late, reported_late):
        ledger.tasks.adopt(row.id, worker="other")
    MOVES["succeeded"](ledger, polled_late.id)
    for row in (polled_late, fetched_late):
        MOVES["stored"](ledger, row.id)
    values = {**record_of(watched), "fingerprint": "lost", "topview_task_id": "lost"}
    healed = ledger.tasks.heal(values)

    assert ledger.history.with_unknown_duration() == {polled_late.id, fetched_late.id, healed.id}
    for row, is_unknown in ((watched, False), (fetched_late, True)):
        assert ledger.tasks.to_report(row.id, row.product_id, None)[1] is is_unknown
