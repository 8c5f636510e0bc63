"""The credit log against unknown rows: what may be decided without a person, and what never."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from topview_pipeline.ledger import Task, TaskState
from topview_pipeline.producer.findings import (
    Adopt,
    Books,
    CreditLog,
    Finding,
    Leave,
    Release,
    Rules,
)
from topview_pipeline.producer.reconcile import judge
from topview_pipeline.topview.models import CreditLogEntry

NOW = 1_800_000_000.0
MINUTE = 60.0
DEADLINE = 20 * MINUTE
KEY, OTHER_KEY = "sk-ours", "sk-other"
SCENE, VIDEO = "pa2_replace_product_image", "pa2_image2video"
EXCLUSIVE = Rules(exclusive=True)


def row(number: int, submitted: float = NOW - MINUTE, **changes: Any) -> Task:
    """An unknown row of replacedImages."""
    empty = dict.fromkeys(Task.__dataclass_fields__)
    values: dict[str, Any] = {
        "id": number,
        "stage": "replacedImages",
        "state": TaskState.UNKNOWN,
        "reserved_at": submitted,
        "deadline_at": submitted + DEADLINE,
    }
    return Task(**{**empty, **values, **changes})


def charge(task_id: str | None, at: float | None = NOW - MINUTE / 2, **changes: Any) -> Any:
    """A line of the credit log."""
    return CreditLogEntry(
        task_id=task_id,
        date=None if at is None else datetime.fromtimestamp(at, timezone.utc),
        **{"task_type": SCENE, "cost_credit": 2.0, **changes},
    )


def found(
    rows: Sequence[Task],
    charges: Sequence[CreditLogEntry] = (),
    *,
    rules: Rules = EXCLUSIVE,
    stages: dict[str, str] | None = None,
    whole: bool = True,
    topview_time: float | None = NOW,
    first_looks: dict[int, float] | None = None,
    others: Sequence[Task] = (),
    now: float = NOW,
) -> list[Finding]:
    return judge(
        rows,
        CreditLog(charges, whole, topview_time),
        Books(stages or {}, [*rows, *others], first_looks or {}),
        rules,
        is_own_key=lambda key: key.get_secret_value() == KEY,
        now=now,
    )


def verdict(*args: Any, **options: Any) -> Adopt | Release | Leave:
    (one,) = found(*args, **options)
    return one.verdict


LONG_AGO = NOW - 10 * DEADLINE
WAITED: dict[str, Any] = {"first_looks": {1: NOW - 2 * DEADLINE}}


def test_the_only_charge_of_an_account_of_ours_alone_is_adopted() -> None:
    decided = verdict([row(1)], [charge("x")])
    assert isinstance(decided, Adopt)
    assert decided.candidate.topview_task_id == "x"


def test_on_a_shared_account_it_may_be_a_colleagues_task() -> None:
    (one,) = found([row(1)], [charge("x")], rules=Rules())
    assert [candidate.topview_task_id for candidate in one.candidates] == ["x"]
    assert isinstance(one.verdict, Leave)
    assert "web application" in one.verdict.reasons[0]


def test_two_rows_and_one_charge_are_left_to_a_person() -> None:
    first, second = found([row(1), row(2)], [charge("x")])
    assert isinstance(first.verdict, Leave)
    assert isinstance(second.verdict, Leave)
    assert "task row 2" in first.verdict.reasons[0]


@pytest.mark.parametrize("state", [TaskState.RESERVED, TaskState.RELEASED])
def test_a_row_that_is_being_submitted_or_was_given_up_may_be_the_charges_own(
    state: TaskState,
) -> None:
    decided = verdict([row(1)], [charge("x")], others=[row(2, state=state)])
    assert isinstance(decided, Leave)
    assert "task row 2" in decided.reasons[0]


def test_one_row_and_two_charges_are_left_to_a_person() -> None:
    decided = verdict([row(1)], [charge("x"), charge("y")])
    assert isinstance(decided, Leave)
    assert "2 charges" in decided.reasons[0]


def test_the_same_charge_on_two_pages_is_one() -> None:
    assert isinstance(verdict([row(1)], [charge("x"), charge("x")]), Adopt)


@pytest.mark.parametrize(
    "other",
    [
        charge("x", task_type=VIDEO),
        charge("x", task_type="voice_clone"),
    ],
)
def test_a_charge_of_another_kind_is_no_candidate(other: CreditLogEntry) -> None:
    assert isinstance(verdict([row(1, LONG_AGO)], [other], **WAITED), Release)


def test_a_charge_that_a_row_of_ours_has_is_no_candidate() -> None:
    decided = verdict([row(1, LONG_AGO)], [charge("x")], stages={"x": "replacedImages"}, **WAITED)
    assert isinstance(decided, Release)


def test_a_log_that_was_cut_off_settles_nothing() -> None:
    assert isinstance(verdict([row(1)], [charge("x")], whole=False), Leave)
    assert isinstance(verdict([row(1, LONG_AGO)], whole=False, **WAITED), Leave)


def test_two_deadlines_after_the_first_look_it_was_never_charged() -> None:
    decided = verdict([row(1, LONG_AGO)], **WAITED)
    assert isinstance(decided, Release)
    assert decided.evidence["first_look"] == NOW - 2 * DEADLINE
    assert decided.evidence["last_look"] == NOW


def test_before_that_it_may_still_be_running() -> None:
    looks = {1: NOW - 2 * DEADLINE + 1}
    decided = verdict([row(1, LONG_AGO)], first_looks=looks)
    assert isinstance(decided, Leave)
    assert decided.waits


def test_a_first_look_a_moment_ago_proves_nothing_however_old_the_row_says_it_is() -> None:
    assert isinstance(verdict([row(1, LONG_AGO)]), Leave)


def test_more_deadlines_can_be_asked_for() -> None:
    assert isinstance(verdict([row(1, LONG_AGO)], rules=Rules(deadlines=3), **WAITED), Leave)


def test_a_clock_that_is_not_topviews_releases_nothing() -> None:
    assert isinstance(verdict([row(1, LONG_AGO)], topview_time=None, **WAITED), Leave)
    assert isinstance(verdict([row(1, NOW + 3600)], **WAITED), Leave)


def test_a_charge_before_the_submit_may_be_ours_by_a_wrong_clock() -> None:
    decided = verdict([row(1, LONG_AGO)], [charge("x", LONG_AGO - 3600)], **WAITED)
    assert isinstance(decided, Leave)
    assert "day before" in decided.reasons[0]


@pytest.mark.parametrize(
    "strange",
    [
        charge("x", task_type=None),
        charge("x", task_type="pa3_scene"),
        charge("x", None),
        charge(None),
    ],
)
def test_a_charge_that_cannot_be_read_forbids_to_release_and_to_adopt(
    strange: CreditLogEntry,
) -> None:
    assert isinstance(verdict([row(1, LONG_AGO)], [strange], **WAITED), Leave)
    assert isinstance(verdict([row(1)], [strange, charge("y")]), Leave)


def test_a_word_that_our_own_tasks_are_booked_under_is_our_kinds_word() -> None:
    ours = charge("known", NOW - 3600, task_type="pa3_scene")
    decided = verdict(
        [row(1)], [ours, charge("x", task_type="PA3_scene ")], stages={"known": "replacedImages"}
    )
    assert isinstance(decided, Adopt)


def test_a_charge_with_anothers_key_is_no_candidate_where_the_log_shows_ours() -> None:
    proof = charge("known", LONG_AGO - 60, api_key=SecretStr(KEY))
    other = charge("x", api_key=SecretStr(OTHER_KEY))
    stages = {"known": "replacedImages"}
    decided = verdict([row(1, LONG_AGO)], [proof, other], stages=stages, **WAITED)
    assert isinstance(decided, Release)


def test_another_key_may_be_a_former_one_of_ours_or_the_same_in_another_form() -> None:
    (one,) = found([row(1, LONG_AGO)], [charge("x", api_key=SecretStr(OTHER_KEY))], **WAITED)
    assert one.candidates == ()
    assert isinstance(one.verdict, Leave)
    assert "another API key" in one.verdict.reasons[0]


def test_free_work_is_in_no_log_and_released_after_its_deadline() -> None:
    free = row(1, NOW - DEADLINE, stage="bgRemovedImage")
    assert isinstance(verdict([free], whole=False), Release)
    assert isinstance(verdict([row(1, stage="bgRemovedImage")], whole=False), Leave)


times = st.sampled_from([NOW - day * 3600.0 for day in (0, 1, 2, 23, 25, 30)])
charges = st.builds(
    charge,
    st.sampled_from([None, "x", "y", "z", "known"]),
    st.one_of(st.none(), times),
    task_type=st.sampled_from([SCENE, VIDEO, "m2v", "pa3_scene", "", None]),
    api_key=st.sampled_from([None, SecretStr(KEY), SecretStr(OTHER_KEY), SecretStr("")]),
)
unknown_rows = st.lists(
    st.tuples(times, st.sampled_from(["bgRemovedImage", "replacedImages", "finishedVideo"])),
    max_size=4,
)


@given(
    unknown_rows,
    st.lists(charges, max_size=6),
    st.builds(Rules, st.booleans(), st.integers(1, 3)),
    st.booleans(),
    st.sampled_from([None, NOW]),
    st.booleans(),
)
def test_whatever_the_log_says_no_charge_is_given_twice_and_nothing_in_doubt_is_released(
    unknown: list[tuple[float, str]],
    log: list[CreditLogEntry],
    rules: Rules,
    whole: bool,
    topview_time: float | None,
    waited: bool,
) -> None:
    rows = [row(number, at, stage=stage) for number, (at, stage) in enumerate(unknown, 1)]
    findings = found(
        rows,
        log,
        rules=rules,
        whole=whole,
        topview_time=topview_time,
        stages={"known": "replacedImages"},
        first_looks={one.id: NOW - 30 * DEADLINE for one in rows} if waited else {},
    )
    assert [finding.row for finding in findings] == rows
    adopted = [
        finding.verdict.candidate.topview_task_id
        for finding in findings
        if isinstance(finding.verdict, Adopt)
    ]
    assert len(adopted) == len(set(adopted))
    assert "known" not in adopted
    if adopted:
        assert whole
        assert rules.exclusive
    for finding in findings:
        if isinstance(finding.verdict, Release) and finding.row.stage != "bgRemovedImage":
            assert whole
            assert waited
            assert topview_time is not None
            assert finding.candidates == ()
            learnt = {one.task_type for one in log if one.task_id == "known"}
            assert not any(_may_be(one, finding.row, learnt) for one in log)


def _may_be(one: CreditLogEntry, unknown: Task, learnt: Collection[str | None]) -> bool:
    """A charge of the row's kind, or of no known kind, since its submit, with no other's key.

    Args:
        learnt: words that a scene of ours is booked under.
    """
    words = {SCENE if unknown.stage == "replacedImages" else VIDEO, "pa3_scene", "", None}
    if unknown.stage == "finishedVideo":
        words -= set(learnt) - {VIDEO, "", None}
    key = one.api_key.get_secret_value() if one.api_key is not None else ""
    return (
        one.task_id != "known"
        and one.task_type in words
        and (one.date is None or one.date.timestamp() >= unknown.reserved_at)
        and key in ("", KEY)
    )
