"""Two pipelines of one account with products of the same ids: the work is shared, no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.ledger.conftest import (
    STAGE,
    Clock,
    ask,
    bring,
    reserve,
    row_in,
)
from topview_pipeline.defs import decisions
from topview_pipeline.errors import PipelineError
from topview_pipeline.ledger import (
    DEAD_AFTER_SECONDS,
    NO_REVIEW,
    AlreadyLive,
    Ledger,
    NoSlot,
    OverLimit,
    Review,
    Task,
    TaskState,
)
from topview_pipeline.ledger.health import health
from topview_pipeline.prices import CostSeen

THEIRS = {"worker": "other", "work": "their work"}


def stored(ledger: Ledger, **changes: Any) -> Task:
    """A stored row of the mug, reported by the ledger's pipeline."""
    row = row_in(ledger, TaskState.STORED, "mug", **changes)
    ledger.tasks.reported(row.id, "mug", who="me")
    return ledger.tasks.get(row.id)


# What is the account's.


@pytest.mark.parametrize("state", [TaskState.PENDING, TaskState.UNKNOWN, TaskState.STORED])
def test_work_that_another_pipeline_asked_for_is_not_sent_again(
    ledger: Ledger, acme: Ledger, state: TaskState
) -> None:
    row = row_in(ledger, state, "mug", work="w")
    assert ask(acme, "cup", worker="other", work="w") == AlreadyLive(row.id)
    assert acme.tasks.to_decide("w", "a", None).rows == [row]
    reserve(ledger, "shoe", work="of no product of acme's")
    glances = acme.tasks.glances(["w", "new"])
    assert [glance.pipeline for glance in glances.pop("w")] == ["topview"]
    assert glances == {}, "a plan of one brand reads no other's rows"


def test_slots_and_the_days_limit_are_shared(ledger: Ledger, acme: Ledger) -> None:
    reserve(ledger, "mug", estimate=6.0)
    assert ask(acme, "mug", slots=1, **THEIRS) == NoSlot(1)
    answer = ask(acme, "mug", credits_a_day=10.0, estimate=5.0, **THEIRS)
    assert isinstance(answer, OverLimit)
    assert acme.budget.today().total == 6.0
    found = health(acme, credits_a_day=10.0)["credits_used_up"]
    assert found.count == 1
    assert "6 of today's 10 credits" in found.sample[0].what


def test_lost_answers_are_looked_for_by_whoever_looks(ledger: Ledger, acme: Ledger) -> None:
    row = row_in(ledger, TaskState.UNKNOWN, "mug")
    assert acme.unknowns.rows() == [row]
    assert acme.unknowns.is_due(acme.now())
    acme.unknowns.note_look([row.id], topview_time=1.0, who="other")
    assert not ledger.unknowns.is_due(ledger.now())


def test_prices_and_times_are_learnt_from_both(ledger: Ledger, acme: Ledger) -> None:
    stored(ledger)
    assert acme.history.cost_seen(STAGE, None) == CostSeen(2.0, None, 2.0, None)
    assert len(acme.history.seconds(STAGE)) == 1


# What is the pipeline's.

LOOKS: dict[str, tuple[TaskState, Callable[[Ledger], list[Task]]]] = {
    "orphans at Topview": (TaskState.PENDING, lambda of: of.orphans.all()),
    "orphans in the store": (TaskState.STORED, lambda of: of.orphans.all()),
    "retries": (TaskState.FAILED, lambda of: of.orphans.retries_due()),
    "troubles": (TaskState.EXPIRED, lambda of: of.tasks.unmade()),
    "states": (TaskState.OVERDUE, lambda of: of.tasks.in_state([TaskState.OVERDUE])),
    "list of tasks": (TaskState.FAILED, lambda of: of.history.page(limit=9)[0]),
}


@pytest.mark.parametrize("look", LOOKS)
def test_each_sees_its_own_products_rows_and_not_their_namesakes(
    ledger: Ledger, acme: Ledger, look: str
) -> None:
    state, rows_of = LOOKS[look]
    mine = row_in(ledger, state, "mug", work="my work")
    assert rows_of(acme) == []
    # A newer row of the namesake takes nothing's place.
    theirs = row_in(acme, state, "mug", **THEIRS)
    ledger.workers.end("me")
    acme.workers.end("other")
    assert [row.id for row in rows_of(ledger)] == [mine.id]
    assert [row.id for row in rows_of(acme)] == [theirs.id]


def test_namesakes_stand_each_on_its_own_row(ledger: Ledger, acme: Ledger) -> None:
    mine = stored(ledger, work="my work")
    assert acme.tasks.last_made("mug", STAGE) is None
    assert acme.tasks.last_made_all() == {}
    theirs = stored(acme, **THEIRS)
    for of, row in ((ledger, mine), (acme, theirs)):
        assert of.tasks.last_made("mug", STAGE) == row
        assert of.tasks.last_made_ids() == {("mug", STAGE): row.id}
        (glance,) = of.tasks.last_made_all().values()
        assert (glance.id, glance.pipeline) == (row.id, of.pipeline)


def test_a_choice_is_the_pipelines(ledger: Ledger, acme: Ledger) -> None:
    """Both show the same scene, and each shop has a taste of its own."""
    scene = stored(ledger)
    acme.tasks.reported(scene.id, "mug", who="other")
    ledger.reviews.choose("mug", scene.fingerprint, 2, who="ann", why="")
    assert acme.reviews.of("mug", scene.fingerprint) == NO_REVIEW
    acme.reviews.choose("mug", scene.fingerprint, 3, who="bob", why="")
    assert ledger.reviews.all() == {("mug", scene.fingerprint): Review(2, "approved")}
    assert acme.reviews.all() == {("mug", scene.fingerprint): Review(3, "approved")}


def test_a_run_of_another_pipeline_is_not_called_dead(
    ledger: Ledger, acme: Ledger, clock: Clock
) -> None:
    clock.now += DEAD_AFTER_SECONDS + 1.0
    assert acme.workers.runs() == {"their run": False}
    assert "their run" not in ledger.workers.runs()


# A row that both stand on.


def test_reporting_the_same_every_night_writes_one_event_for_each(
    ledger: Ledger, acme: Ledger
) -> None:
    row = stored(ledger)
    for _ in range(3):
        acme.tasks.reported(row.id, "mug", who="other")
        ledger.tasks.reported(row.id, "mug", who="me")
    reports = [event for event in ledger.history.events(row.id) if event.what == "reported"]
    assert [event.who for event in reports] == ["me", "other"]


def test_a_failure_is_tried_again_by_the_pipeline_that_tried_last(
    ledger: Ledger, acme: Ledger
) -> None:
    row_in(ledger, TaskState.FAILED, "mug", work="w")
    again = reserve(acme, "cup", worker="other", work="w", attempt=2)
    assert ledger.orphans.retries_due() == []
    bring(acme, again, TaskState.FAILED)
    assert ledger.orphans.retries_due() == []
    assert [row.id for row in acme.orphans.retries_due()] == [again.id]


def test_what_a_removed_pipeline_left_unknown_is_shown_where_it_counts(
    ledger: Ledger, acme: Ledger, clock: Clock
) -> None:
    """It takes of the account's day, and nobody has its name any more who could decide."""
    row = row_in(acme, TaskState.UNKNOWN, "mug", **THEIRS)
    clock.now += 86_000.0
    acme.catalogue.tick("acme.csv")

    def shown() -> list[list[str]]:
        health_says = health(ledger, credits_a_day=None)["tasks_unknown"]
        rows, total = ledger.history.page(states=[TaskState.UNKNOWN], limit=9)
        assert total == len(rows)
        return [[case.product for case in health_says.sample], [one.product_id for one in rows]]

    clock.now += 86_000.0
    assert shown() == [[], []], "it may be back"
    with pytest.raises(PipelineError, match="belongs to the pipeline acme"):
        decisions.row_in(ledger, row.id, TaskState.UNKNOWN)
    clock.now += 401.0
    assert shown() == [["mug of acme"], ["mug"]]
    assert decisions.row_in(ledger, row.id, TaskState.UNKNOWN).id == row.id
    assert ledger.history.page(limit=9)[1] == 0
