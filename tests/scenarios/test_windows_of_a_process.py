"""Processes that end in every window of a product's way, by `kill -9` and SIGTERM; then a restart.

For each of the three stages: the free first one, a scene and a video that are paid.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable

import pytest

from tests.producer.world import ALL_STAGES, HOUR, everything
from tests.scenarios.conftest import MakeWorkshop, Workshop
from tests.scenarios.life import Fates
from tests.scenarios.windows import Window
from topview_pipeline.ledger import HeldReason, TaskState

ONLY_TOPVIEW_CAN_TELL = (Window.RESERVED, Window.SENT, Window.ANSWERED)
UPLOADS = (Window.UPLOADED, Window.REMEMBERED)
OF_A_TASK = (
    *ONLY_TOPVIEW_CAN_TELL,
    Window.PENDING,
    Window.SUCCESS_SEEN,
    Window.SUCCEEDED,
    Window.DOWNLOADING,
    Window.FILES_KEPT,
    Window.RESULT_KEPT,
    Window.STORED,
)
OF_AN_EVENT = (Window.TOLD, Window.DONE)
_PLACES = [
    (Window.ORDERED, 1),
    *((window, stage) for window in UPLOADS for stage in (1, 2)),
    *((window, stage) for window in OF_A_TASK for stage in (1, 2, 3)),
    # Told in a thread of its own: of the last stage, so that no other is on its way meanwhile.
    *((window, 3) for window in OF_AN_EVENT),
]
_OF_THE_PAID_SCENE = [(window, 2) for window in (*UPLOADS, *OF_A_TASK, *OF_AN_EVENT)]


def _in(places: Iterable[tuple[Window, int]]) -> pytest.MarkDecorator:
    """Each place a test; where it is the scene's window too, only in `make test-all`."""
    chosen = [
        pytest.param(
            window,
            stage,
            id=f"{window.value.replace(' ', '_')}-{ALL_STAGES[stage - 1]}",
            marks=[pytest.mark.slow] if stage != 2 and (window, 2) in _PLACES else [],
        )
        for window, stage in places
    ]
    return pytest.mark.parametrize(("window", "stage"), chosen)


@_in(_PLACES)
def test_kill_9_in_every_window(workshop: Workshop, window: Window, stage: int) -> None:
    workshop.ended_at(window, stage, signal.SIGKILL)

    told = workshop.run(workshop.life())

    if window in ONLY_TOPVIEW_CAN_TELL:
        _assert_held_and_named(workshop, told, stage)
        workshop.assert_nothing_paid_twice_nor_lost()
        _assert_settled_by_the_credit_log(workshop)
    else:
        assert told == everything("made", "mug")
        _assert_all_made(workshop)
    workshop.assert_nothing_paid_twice_nor_lost()


@pytest.mark.slow
@_in(_OF_THE_PAID_SCENE)
def test_sigterm_in_every_window_then_the_sensors_run(
    workshop: Workshop, window: Window, stage: int
) -> None:
    """The machine shuts down: what was wanted is still wanted, and no answer is lost."""
    workshop.ended_at(window, stage, signal.SIGTERM)

    workshop.run(workshop.life(explicit=False))

    _assert_all_made(workshop)
    workshop.assert_nothing_paid_twice_nor_lost()


@pytest.mark.slow
@_in(_OF_THE_PAID_SCENE)
def test_a_persons_stop_in_every_window_sends_nothing_new_and_loses_nothing(
    workshop: Workshop, window: Window, stage: int
) -> None:
    life = workshop.ended_at(window, stage, signal.SIGTERM)
    with workshop.ledger() as ledger:
        # As `defs.runs.withdraw_cancelled` does for a run that Dagster shows as cancelled.
        ledger.orders.withdraw_runs([life.run_id], who="terminated")
        assert ledger.orders.open_orders() == []
    submitted = workshop.submits()
    assert workshop.rows(TaskState.RESERVED, TaskState.UNKNOWN) == []

    workshop.run(workshop.life(explicit=False))

    assert workshop.submits() == submitted
    stored = workshop.rows(TaskState.STORED)
    assert len(stored) == submitted
    assert {("mug", row.stage) for row in stored} <= set(workshop.told())
    workshop.assert_nothing_paid_twice_nor_lost()


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM], ids=lambda by: by.name)
@pytest.mark.parametrize("window", [Window.FAILURE_SEEN, Window.FAILED], ids=lambda it: it.value)
def test_a_process_that_ends_around_a_failed_task(
    make_workshop: MakeWorkshop, window: Window, by: signal.Signals
) -> None:
    workshop = make_workshop(faults={"fail": 1.0})
    workshop.ended_at(window, 1, by)
    with workshop.control() as control:
        control.set_faults()
    assert workshop.run(workshop.life()) == everything("made", "mug")
    failed = workshop.rows(TaskState.FAILED)
    assert [(row.stage, row.attempt) for row in failed] == [("bgRemovedImage", 1)]
    workshop.assert_nothing_paid_twice_nor_lost()


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM], ids=lambda by: by.name)
@pytest.mark.parametrize(
    ("window", "fault"),
    [
        (Window.REFUSAL_SEEN, "busy"),
        (Window.RELEASED, "busy"),
        (Window.FAILURE_SEEN, "moderation"),
        (Window.FAILED, "moderation"),
    ],
    ids=lambda it: it if isinstance(it, str) else it.value,
)
def test_a_process_that_ends_around_a_refused_submit(
    make_workshop: MakeWorkshop, window: Window, fault: str, by: signal.Signals
) -> None:
    """Nothing was created. A process killed before it wrote that down cannot know it any more."""
    workshop = make_workshop(faults={fault: 1.0})
    workshop.ended_at(window, 1, by)
    with workshop.control() as control:
        control.set_faults()

    told = workshop.run(workshop.life())

    is_lost = by is signal.SIGKILL and window in (Window.REFUSAL_SEEN, Window.FAILURE_SEEN)
    if is_lost:
        _assert_held_and_named(workshop, told, 1)
        _assert_settled_by_the_credit_log(workshop)
    elif fault == "moderation":
        assert told == everything("failed", "mug")  # the same request is not sent again
        assert workshop.counters()["submits"] == {"remove_background": 1}
    else:
        assert told == everything("made", "mug")
    workshop.assert_nothing_paid_twice_nor_lost()


def _assert_all_made(workshop: Workshop) -> None:
    assert {row.stage for row in workshop.rows(TaskState.STORED)} == set(ALL_STAGES)
    assert set(workshop.told()) == {("mug", stage) for stage in ALL_STAGES}
    counters = workshop.counters()
    assert counters["repeats"] == counters["orphans"] == 0
    assert set(counters["submits"].values()) == {1}
    with workshop.ledger() as ledger:
        assert ledger.orders.open_orders() == []


def _assert_held_and_named(workshop: Workshop, told: Fates, stage: int) -> None:
    """Only Topview can tell whether it is paid; the free kind needs no telling, only time."""
    key = ALL_STAGES[stage - 1]
    assert told["mug", key] == "held"
    (row,) = workshop.rows(TaskState.UNKNOWN)
    assert row.stage == key
    with workshop.ledger() as ledger:
        held = {order.stage: order for order in ledger.orders.open_orders()}
    assert held[key].held_reason is HeldReason.UNKNOWN
    assert held[key].task_id == row.id
    assert "may be paid" in (held[key].held_detail or "")


def _assert_settled_by_the_credit_log(workshop: Workshop) -> None:
    """A charge that can only be its is adopted; without one, after a while, it was never sent."""
    workshop.later(5 * HOUR)
    told = workshop.run(workshop.life(config={**workshop.config, "account_exclusive": True}))
    assert told == everything("made", "mug")
    stored = workshop.rows(TaskState.STORED)
    assert {row.stage for row in stored} == set(ALL_STAGES)
    counters = workshop.counters()
    # The free kind is in no log: when its answer was lost it is sent once more.
    assert counters["repeats"] <= 1
    assert {counters["accepted"][kind] for kind in ("image_replace", "image2Video")} == {1}
