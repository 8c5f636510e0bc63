"""The credit log against unknown rows: what may be decided without a person, and what never."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.engine.test_decide import row as task_row
from topview_pipeline.engine.credit_log import (
    Adopt,
    CreditLog,
    Finding,
    KnownRows,
    Leave,
    Rules,
    Void,
    match_rows,
)
from topview_pipeline.ledger import Task, TaskState
from topview_pipeline.stages import BY_KEY
from topview_pipeline.topview.models import CreditLogEntry

NOW = 1_800_000_000.0
HOUR = 3600.0
DEADLINE = 1200.0
LONG_AGO = NOW - 10 * DEADLINE
KEY, OTHER_KEY = SecretStr("sk-ours"), SecretStr("sk-other")
SCENE, VIDEO = "pa2_replace_product_image", "pa2_image2video"
OURS = {"known": "replacedImages"}
"""A charge of the log that a row of ours has."""
OURS_THRICE = {f"ours {number}": "replacedImages" for number in range(3)}


def row(number: int = 1, submitted: float = NOW - 60.0, **changes: Any) -> Task:
    """An unknown row of replacedImages."""
    values = {"state": TaskState.UNKNOWN, "deadline_at": submitted + DEADLINE, **changes}
    return task_row(id=number, reserved_at=submitted, **values)


def charge(task_id: str | None = "x", at: float | None = NOW - 30.0, **changes: Any) -> Any:
    """A line of the credit log."""
    date = None if at is None else datetime.fromtimestamp(at, timezone.utc)
    values = {"task_type": SCENE, "cost_credit": 2.0, **changes}
    return CreditLogEntry(task_id=task_id, date=date, **values)


def booked(*lags: float, took: float = 60.0) -> list[CreditLogEntry]:
    """Charges of OURS_THRICE, dated so long after the hours at which they were accepted."""
    lags = lags or (took, took, took)
    return [
        charge(f"ours {number}", LONG_AGO - (number + 2) * HOUR + lag)
        for number, lag in enumerate(lags)
    ]


def spans(took: float = 60.0) -> dict[str, tuple[float, float]]:
    """When the rows of OURS_THRICE were accepted, and when they were finished."""
    starts = {f"ours {number}": LONG_AGO - (number + 2) * HOUR for number in range(3)}
    return {name: (start, start + took) for name, start in starts.items()}


def found(
    rows: Sequence[Task],
    charges: Sequence[CreditLogEntry] = (),
    *,
    rules: Rules = Rules(exclusive=True),  # noqa: B008 - frozen
    ours: dict[str, str] | None = None,
    whole: bool = True,
    topview_time: float | None = NOW,
    first_looks: dict[int, float] | None = None,
    others: Sequence[Task] = (),
    spans: dict[str, tuple[float, float]] | None = None,
) -> list[Finding]:
    return match_rows(
        rows,
        CreditLog(charges, whole, topview_time),
        KnownRows(ours or {}, [*rows, *others], first_looks or {}, spans or {}),
        rules,
        stages=BY_KEY,
        is_own_key=lambda key: key == KEY,
        now=NOW,
    )


@pytest.mark.parametrize(
    ("charges", "options", "verdict"),
    [
        ([charge()], {}, "adopt x"),
        ([charge(), charge()], {}, "adopt x"),  # on two pages of the log
        ([charge(), charge("y")], {}, "2 charges"),
        ([charge()], {"rules": Rules()}, "web application"),  # shared: a colleague's, perhaps
        ([charge()], {"others": [row(2)]}, "task row 2"),
        ([charge()], {"others": [row(2, state=TaskState.RESERVED)]}, "task row 2"),
        ([charge()], {"others": [row(2, state=TaskState.VOID)]}, "task row 2"),
        ([charge()], {"whole": False}, "not read to its end"),
        # A word of the log that our own tasks are booked under is our kind's word.
        (
            [charge("known", NOW - HOUR, task_type="pa3"), charge(task_type="PA3 ")],
            {"ours": OURS},
            "adopt x",
        ),
        ([charge(task_type=None), charge("y")], {}, "booked as nothing"),
        ([charge(task_type="pa3_scene"), charge("y")], {}, "booked as pa3_scene"),
        ([charge(None), charge("y")], {}, "no task id or no date"),
    ],
)
def test_a_row_of_a_moment_ago(
    charges: list[CreditLogEntry], options: dict[str, Any], verdict: str
) -> None:
    (finding,) = found([row()], charges, **options)
    assert verdict in _words(finding)


@pytest.mark.parametrize(
    ("charges", "options", "verdict"),
    [
        ([], {}, "void"),
        ([charge(task_type=VIDEO)], {}, "void"),
        # Topview's newer tools book under words of no list: a word is another tool's once three
        # rows of ours were booked under theirs.
        ([charge(task_type="photo_avatar4")], {"ours": OURS}, "booked as photo_avatar4"),
        ([charge(task_type="photo_avatar4"), *booked()], {"ours": OURS_THRICE}, "void"),
        ([charge(task_type=None), *booked()], {"ours": OURS_THRICE}, "booked as nothing"),
        ([charge("known")], {"ours": OURS}, "void"),
        ([], {"whole": False}, "not read to its end"),
        ([], {"first_looks": {1: NOW - 2 * DEADLINE + 1}}, "not in the credit log yet"),
        ([], {"first_looks": {}}, "not in the credit log yet"),  # however old the row says it is
        ([], {"rules": Rules(deadlines=3)}, "not in the credit log yet"),
        ([], {"topview_time": None}, "clock and Topview's differ"),
        ([charge(at=LONG_AGO - HOUR)], {}, "day before"),  # ours, by a wrong clock
        ([charge(task_type=None)], {}, "booked as nothing"),
        ([charge(task_type="pa3_scene")], {}, "booked as pa3_scene"),
        ([charge(at=None)], {}, "no task id or no date"),
        ([charge(None)], {}, "no task id or no date"),
        # Another key may be a former one of ours, unless the log shows ours before the submit.
        ([charge(api_key=OTHER_KEY)], {}, "another API key"),
        (
            [charge("known", LONG_AGO - 60.0, api_key=KEY), charge(api_key=OTHER_KEY)],
            {"ours": OURS},
            "void",
        ),
    ],
)
def test_a_row_that_was_looked_for_two_deadlines_ago(
    charges: list[CreditLogEntry], options: dict[str, Any], verdict: str
) -> None:
    options = {"first_looks": {1: NOW - 2 * DEADLINE}, **options}
    (finding,) = found([row(1, LONG_AGO)], charges, **options)
    assert verdict in _words(finding)


BY_CREATION, BY_SUCCESS = (1.0, 2.0, 3.0), (61.0, 62.0, 63.0)


@pytest.mark.parametrize(
    ("lags", "took", "is_clear"),
    [
        (BY_CREATION, 60.0, True),
        (BY_SUCCESS, 60.0, False),
        ((1.0, 2.0, 63.0), 60.0, False),  # now the one, now the other
        ((1.0, 2.0, 35.0), 80.0, False),  # too far apart for one meaning
        (BY_CREATION, 10.0, False),  # too quick to tell
        ((1.0, 2.0), 60.0, False),  # too few
    ],
)
def test_two_lost_answers_are_told_apart_where_the_log_dates_by_creation(
    lags: tuple[float, ...], took: float, is_clear: bool
) -> None:
    """Both were charged; the first's task was the slower one."""
    rows = [row(1, NOW - 900.0), row(2, NOW - 500.0)]
    charges = [charge("first", NOW - 890.0), charge("second", NOW - 490.0), *booked(*lags)]
    one, other = map(_words, found(rows, charges, ours=OURS_THRICE, spans=spans(took)))
    if is_clear:
        assert (one, other) == ("adopt first", "adopt second")
    else:
        assert "2 charges" in one
        assert not other.startswith("adopt")


@pytest.mark.parametrize(
    ("charged", "rules", "adopted"),
    [
        ("abc", Rules(exclusive=True), "abc"),
        ("abc", Rules(), ""),
        ("ab", Rules(exclusive=True), "ab"),
        ("ac", Rules(exclusive=True), ""),  # the second may be that of b, which was late
        ("bc", Rules(exclusive=True), ""),
    ],
)
def test_lost_answers_of_a_few_minutes_are_told_apart_by_number_and_order(
    charged: str, rules: Rules, adopted: str
) -> None:
    """A submit may last minutes: each charge fits the rows before its own, too."""
    submits = {"a": NOW - 500.0, "b": NOW - 440.0, "c": NOW - 380.0}
    rows = [row(number, at) for number, at in enumerate(submits.values(), 1)]
    charges = [charge(name, submits[name] + 5.0) for name in charged] + booked(*BY_CREATION)
    findings = found(rows, charges, ours=OURS_THRICE, spans=spans(), rules=rules)
    words = dict(zip("abc", map(_words, findings), strict=True))
    assert {name for name in words if words[name] == f"adopt {name}"} == set(adopted)
    assert sum(said.startswith("adopt") for said in words.values()) == len(adopted)


def test_a_charge_in_the_windows_of_two_rows_stays_in_doubt() -> None:
    rows = [row(1, NOW - 500.0), row(2, NOW - 490.0)]
    charges = [charge("x", NOW - 480.0), *booked(*BY_CREATION)]
    both = found(rows, charges, ours=OURS_THRICE, spans=spans())
    assert ["may also be" in _words(finding) for finding in both] == [True, True]


def _words(finding: Finding) -> str:
    verdict = finding.verdict
    if isinstance(verdict, Adopt):
        return f"adopt {verdict.candidate.topview_task_id}"
    return verdict.reasons[0] if isinstance(verdict, Leave) else "void"


def test_what_is_void_says_from_which_looks_it_follows() -> None:
    (finding,) = found([row(1, LONG_AGO)], first_looks={1: NOW - 2 * DEADLINE})
    assert isinstance(finding.verdict, Void)
    assert finding.verdict.evidence["first_look"] == NOW - 2 * DEADLINE
    assert finding.verdict.evidence["last_look"] == NOW


def test_a_clock_that_was_set_back_since_the_submit_settles_nothing() -> None:
    (finding,) = found([row(1, NOW + HOUR)], first_looks={1: NOW - 2 * DEADLINE})
    assert "clock was set back" in _words(finding)


@pytest.mark.parametrize(("submitted", "verdict"), [(NOW - DEADLINE, "void"), (NOW, "free")])
def test_free_work_is_in_no_log_and_void_after_its_deadline(submitted: float, verdict: str) -> None:
    (finding,) = found([row(1, submitted, stage="bgRemovedImage")], whole=False)
    assert verdict in _words(finding)


times = st.sampled_from([NOW - hours * HOUR for hours in (0, 1, 2, 23, 25, 30)])
any_charge = st.builds(
    charge,
    st.sampled_from([None, "x", "y", "z", "known"]),
    st.one_of(st.none(), times),
    task_type=st.sampled_from([SCENE, VIDEO, "m2v", "pa3_scene", "", None]),
    api_key=st.sampled_from([None, KEY, OTHER_KEY, SecretStr("")]),
)


@given(
    st.lists(st.tuples(times, st.sampled_from(sorted(BY_KEY))), max_size=4),
    st.lists(any_charge, max_size=6),
    st.builds(Rules, st.booleans(), st.integers(1, 3)),
    st.booleans(),
    st.sampled_from([None, NOW]),
    st.booleans(),
)
def test_no_charge_is_given_twice_and_nothing_in_doubt_is_void(
    unknown: list[tuple[float, str]],
    log: list[CreditLogEntry],
    rules: Rules,
    whole: bool,
    topview_time: float | None,
    was_looked_for: bool,
) -> None:
    rows = [row(number, at, stage=stage) for number, (at, stage) in enumerate(unknown, 1)]
    looks = {one.id: NOW - 30 * DEADLINE for one in rows} if was_looked_for else {}
    options: dict[str, Any] = {"whole": whole, "topview_time": topview_time}
    findings = found(rows, log, rules=rules, ours=OURS, first_looks=looks, **options)
    assert [finding.row for finding in findings] == rows
    verdicts = [finding.verdict for finding in findings]
    adopted = [one.candidate.topview_task_id for one in verdicts if isinstance(one, Adopt)]
    assert len(adopted) == len(set(adopted))
    assert "known" not in adopted
    assert not adopted or (whole and rules.exclusive)
    for finding in findings:
        if isinstance(finding.verdict, Void) and not BY_KEY[finding.row.stage].free:
            assert whole
            assert was_looked_for
            assert topview_time is not None
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
    is_since = one.date is None or one.date.timestamp() >= unknown.reserved_at
    is_ours = one.task_id != "known" and key in ("", KEY.get_secret_value())
    return one.task_type in words and is_since and is_ours
