"""Processes that end in every window of a product's way, by `kill -9` and SIGTERM; then a restart.

For each of the three stages: the free first one, a scene and a video that are paid.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable

import pytest

from tests.engine.world import ALL_STAGES, HOUR, everything
from tests.scenarios.conftest import MakeWorkshop, Workshop
from tests.scenarios.life import Fates
from topview_pipeline.ledger import TaskState

ONLY_TOPVIEW_CAN_TELL = ("reserved", "sent", "answered")
UPLOADS = ("uploaded", "remembered")
OF_A_TASK = (
    *ONLY_TOPVIEW_CAN_TELL,
    "pending",
    "success_seen",
    "succeeded",
    "downloaded",
    "files_kept",
    "indexed",
    "stored",
)
OF_THE_END = ("in_dagster", "reported", "all_done")
_PLACES = [
    ("started", 1),
    *((window, stage) for window in UPLOADS for stage in (1, 2)),
    *((window, stage) for window in OF_A_TASK for stage in (1, 2, 3)),
    # Reported in a thread of its own: of the last stage, so that no other is on its way meanwhile.
    *((window, 3) for window in OF_THE_END),
]
_OF_THE_PAID_SCENE = [
    ("started", 1),
    *((window, 2) for window in (*UPLOADS, *OF_A_TASK)),
    *((window, 3) for window in OF_THE_END),
]
BOTH = pytest.mark.parametrize(
    "by",
    [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)],
    ids=lambda by: by.name,
)


def _in(places: Iterable[tuple[str, int]]) -> pytest.MarkDecorator:
    """Each place a test; where it is the scene's window too, only in `make test-all`."""
    chosen = [
        pytest.param(
            window,
            stage,
            id=f"{window}-{ALL_STAGES[stage - 1]}",
            marks=[pytest.mark.slow] if stage != 2 and (window, 2) in _PLACES else [],
        )
        for window, stage in places
    ]
    return pytest.mark.parametrize(("window", "stage"), chosen)


@_in(_PLACES)
def test_kill_9_in_every_window(workshop: Workshop, window: str, stage: int) -> None:
    workshop.ended_at(window, stage, signal.SIGKILL)

    ends = workshop.run(workshop.life())

    if window in ONLY_TOPVIEW_CAN_TELL:
        _assert_held_and_named(workshop, ends, stage)
        workshop.assert_nothing_paid_twice_nor_lost()
        _assert_settled_by_the_credit_log(workshop)
    else:
        assert ends == everything("made", "mug")
        _assert_all_made(workshop)
    workshop.assert_nothing_paid_twice_nor_lost()


@pytest.mark.slow
@_in(_OF_THE_PAID_SCENE)
def test_sigterm_in_every_window_sends_nothing_new_and_loses_nothing(
    workshop: Workshop, window: str, stage: int
) -> None:
    """Ctrl-C, Terminate or a shutdown: the sensor's run fetches what was sent and sends nothing."""
    workshop.ended_at(window, stage, signal.SIGTERM)
    submitted = workshop.submits()
    assert workshop.rows(TaskState.RESERVED, TaskState.UNKNOWN) == []

    workshop.run(workshop.life(explicit=False))

    assert workshop.submits() == submitted
    stored = workshop.rows(TaskState.STORED)
    assert len(stored) == submitted
    assert {("mug", row.stage) for row in stored} <= set(workshop.events())
    workshop.assert_nothing_paid_twice_nor_lost()

    assert workshop.run(workshop.life()) == everything("made", "mug")
    _assert_all_made(workshop)


@BOTH
@pytest.mark.parametrize("window", ["failure_seen", "failed"])
def test_a_process_that_ends_around_a_failed_task(
    make_workshop: MakeWorkshop, window: str, by: signal.Signals
) -> None:
    workshop = make_workshop(faults={"fail": 1.0})
    workshop.ended_at(window, 1, by)
    workshop.sandbox.set_faults()
    assert workshop.run(workshop.life()) == everything("made", "mug")
    failed = workshop.rows(TaskState.FAILED)
    assert [(row.stage, row.attempt) for row in failed] == [("bgRemovedImage", 1)]
    workshop.assert_nothing_paid_twice_nor_lost()


@BOTH
@pytest.mark.parametrize(
    ("window", "fault"),
    [
        ("refusal_seen", "busy"),
        ("void", "busy"),
        ("failure_seen", "moderation"),
        ("failed", "moderation"),
    ],
)
def test_a_process_that_ends_around_a_refused_submit(
    make_workshop: MakeWorkshop, window: str, fault: str, by: signal.Signals
) -> None:
    """Nothing was created. A process killed before it wrote that down cannot know it any more."""
    workshop = make_workshop(faults={fault: 1.0})
    workshop.ended_at(window, 1, by)
    workshop.sandbox.set_faults()

    ends = workshop.run(workshop.life())

    is_lost = by is signal.SIGKILL and window in ("refusal_seen", "failure_seen")
    if is_lost:
        _assert_held_and_named(workshop, ends, 1)
        _assert_settled_by_the_credit_log(workshop)
    elif fault == "moderation":
        assert ends == everything("failed", "mug")  # the same request is not sent again
        assert workshop.sandbox.counters()["submits"] == {"remove_background": 1}
    else:
        assert ends == everything("made", "mug")
    workshop.assert_nothing_paid_twice_nor_lost()


@BOTH
@pytest.mark.parametrize("window", ["adopting", "adopted"])
def test_a_process_that_ends_while_it_adopts_a_dead_ones_row(
    workshop: Workshop, window: str, by: signal.Signals
) -> None:
    workshop.ended_at("pending", 2, signal.SIGKILL)
    workshop.ended_at(window, 1, by)
    assert workshop.run(workshop.life()) == everything("made", "mug")
    _assert_all_made(workshop)
    workshop.assert_nothing_paid_twice_nor_lost()


@BOTH
@pytest.mark.parametrize("window", ["healing", "healed"])
def test_a_process_that_ends_while_the_store_heals_a_lost_ledger(
    workshop: Workshop, window: str, by: signal.Signals
) -> None:
    workshop.run(workshop.life())
    submitted = workshop.submits()
    for file in workshop.folder.glob("ledger.db*"):
        file.unlink()

    workshop.ended_at(window, 2, by)

    assert workshop.run(workshop.life()) == everything("made", "mug")
    assert workshop.submits() == submitted
    assert {row.stage for row in workshop.rows(TaskState.STORED)} == set(ALL_STAGES)
    workshop.assert_nothing_paid_twice_nor_lost()


@pytest.mark.slow
@_in([(window, 2) for window in OF_A_TASK if window not in ONLY_TOPVIEW_CAN_TELL])
def test_a_forced_run_that_is_killed_and_started_again_pays_once(
    workshop: Workshop, window: str, stage: int
) -> None:
    """Dagster's retry has the same root run, by which its generation is known again."""
    workshop.run(workshop.life())
    killed = workshop.ended_at(window, stage, signal.SIGKILL, force=True)

    again = workshop.life(force=True, root_run_id=killed.run_id)

    assert workshop.run(again) == everything("made", "mug")
    assert set(workshop.sandbox.counters()["submits"].values()) == {2}
    stored = [row.stage for row in workshop.rows(TaskState.STORED)]
    assert sorted(stored) == sorted(2 * ALL_STAGES)


def _assert_all_made(workshop: Workshop) -> None:
    assert {row.stage for row in workshop.rows(TaskState.STORED)} == set(ALL_STAGES)
    assert set(workshop.events()) == {("mug", stage) for stage in ALL_STAGES}
    counters = workshop.sandbox.counters()
    assert counters["repeats"] == counters["orphans"] == 0
    assert set(counters["submits"].values()) == {1}
    with workshop.ledger() as ledger:
        assert ledger.orphans.all() == []


def _assert_held_and_named(workshop: Workshop, ends: Fates, stage: int) -> None:
    """Only Topview can tell whether it is paid; the free kind needs only time."""
    key = ALL_STAGES[stage - 1]
    assert ends["mug", key] == "held"
    (row,) = workshop.rows(TaskState.UNKNOWN)
    assert row.stage == key
    assert "may be paid" in (row.error_message or "")


def _assert_settled_by_the_credit_log(workshop: Workshop) -> None:
    """A charge that can only be its is adopted; without one, after a while, it was never sent."""
    workshop.later(5 * HOUR)
    ends = workshop.run(workshop.life(config={**workshop.config, "account_exclusive": True}))
    assert ends == everything("made", "mug")
    stored = workshop.rows(TaskState.STORED)
    assert {row.stage for row in stored} == set(ALL_STAGES)
    counters = workshop.sandbox.counters()
    # The free kind is in no log: when its answer was lost it is sent once more.
    assert counters["repeats"] <= 1
    assert {counters["accepted"][kind] for kind in ("image_replace", "image2Video")} == {1}
