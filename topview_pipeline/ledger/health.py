"""Health: what is wrong with a pipeline's tasks as a whole, and how to recover. It only reads.

A product that never got a row is not seen here: one that waits for credits, or whose photo cannot
be read. The table of its run and its partition's history say so.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Final

from topview_pipeline.ledger.ledger import Ledger
from topview_pipeline.ledger.task_row import Task, TaskState
from topview_pipeline.ledger.workers import ATTEMPTS_BY_ITSELF
from topview_pipeline.media import Outcome, Verdict

MOST_SHOWN: Final = 20
KEPT_AT_TOPVIEW_SECONDS: Final = 7 * 86400.0
"""Topview keeps results so long (its page on concurrency); a URL's 24 h are its signature's."""
EXPIRING_AFTER_SECONDS: Final = KEPT_AT_TOPVIEW_SECONDS - 4 * 86400.0
"""Four days are left to collect it."""


@dataclass(frozen=True)
class Case:
    """A product's stage that is not well, and what to do; empty fields: all of them."""

    product: str
    stage: str
    what: str
    fix: str
    task_id: str = ""


@dataclass(frozen=True)
class Answer:
    """The answer to one question about a pipeline's health.

    Attributes:
        count: of all cases; of failures, the products that have any.
        sample: the first cases.
    """

    count: int
    sample: tuple[Case, ...]
    fix: str


def health(
    ledger: Ledger, *, credits_a_day: float | None, stages: Collection[str] = ()
) -> dict[str, Answer]:
    """The answers to all questions, by name; of `stages` a person should look at the results."""
    retired = ledger.catalogue.retired()
    # Nothing can be done about a product that left the catalogue: it cannot be run again.
    unmade = [row for row in ledger.tasks.unmade() if row.product_id not in retired]
    failed = [row for row in unmade if row.state is TaskState.FAILED and not is_retried(row)]
    forsaken = [
        replace(row, product_id=f"{row.product_id} of {row.pipeline}")
        for row in ledger.unknowns.forsaken()
    ]
    failed.sort(key=lambda row: (row.product_id, row.stage))
    return {
        "products_failed": Answer(
            len({row.product_id for row in failed}),
            tuple(map(_case, failed[:MOST_SHOWN])),
            "do what each row says, then run the products again",
        ),
        "tasks_unknown": _answer(
            map(_case, [*ledger.tasks.in_state([TaskState.UNKNOWN]), *forsaken]),
            "topview-pipeline tasks reconcile, then tasks adopt or tasks void",
        ),
        "results_about_to_expire": _expiring(ledger, unmade),
        "tasks_overdue": _answer(
            map(_case, ledger.tasks.in_state([TaskState.OVERDUE])),
            "wait, or give them up with topview-pipeline tasks void",
        ),
        "credits_used_up": _credits_used_up(ledger, credits_a_day),
        "catalogue_held": _catalogue_held(ledger),
        "products_to_look_at": _to_look_at(ledger, stages, retired),
    }


def is_retried(row: Task) -> bool:
    """True if a failed row's work is tried again without a person."""
    return bool(row.retryable) and row.attempt < ATTEMPTS_BY_ITSELF


def trouble_of(row: Task) -> tuple[str, str] | None:
    """Why a row has no result, and what to do; None while it may still get one."""
    if row.state is TaskState.FAILED:
        what = row.error_message or "Topview gave no reason"
        if is_retried(row):
            return what, "nothing: it is retried automatically, or at once by another run"
        if row.retryable:
            return (
                f"failed {row.attempt} times, last: {what}",
                "run it again for one more attempt; if it fails again, change the inputs",
            )
        return (
            what,
            "change in the catalogue what Topview refused; only --force sends the same request "
            "again",
        )
    return {
        TaskState.UNKNOWN: (
            "the answer to the submit was lost, so it may be paid; it is not sent again",
            "compare with Topview's task list, then topview-pipeline tasks adopt or tasks void",
        ),
        TaskState.OVERDUE: (
            "Topview has not finished it within its deadline",
            "nothing: Topview is asked hourly for seven days; topview-pipeline tasks void gives it "
            "up before",
        ),
        TaskState.EXPIRED: (
            "it was sent, and its result can no longer be had from Topview",
            f"topview-pipeline run --force --product {shlex.quote(row.product_id)} "
            f"--stage {row.stage}, which pays again",
        ),
    }.get(row.state)


def _expiring(ledger: Ledger, unmade: Iterable[Task]) -> Answer:
    """The results that are out of reach, then those that soon will be, or that nobody asks for."""
    now = ledger.now()
    gone = [_case(row) for row in unmade if row.state is TaskState.EXPIRED]
    soon = [
        Case(
            row.product_id,
            row.stage,
            f"finished {_minute(at)} and not in the store; Topview keeps it until "
            f"{_minute(at + KEPT_AT_TOPVIEW_SECONDS)} at the latest",
            "run it again; the run's messages say why the download fails",
            row.topview_task_id or "",
        )
        for row in ledger.tasks.in_state([TaskState.SUCCEEDED])
        if now - (at := row.succeeded_at or now) > EXPIRING_AFTER_SECONDS
    ]
    soon += [
        Case(
            row.product_id,
            row.stage,
            f"submitted {_minute(at)}, and nobody has asked Topview for it since its deadline",
            "run it again, or look why no run collects it",
            row.topview_task_id or "",
        )
        for row in ledger.tasks.in_state([TaskState.PENDING])
        if now - (at := row.pending_at or now) > EXPIRING_AFTER_SECONDS
    ]
    fixes = ["let the pending_task_sensor run, and look at the store"] if soon else []
    fixes += ["what Topview no longer has, only --force remakes, and pays again"] if gone else []
    return _answer([*gone, *soon], "; ".join(fixes))


def _credits_used_up(ledger: Ledger, limit: float | None) -> Answer:
    """No room in the account's day for a task as dear as the dearest of its newest ones."""
    dearest = ledger.budget.dearest()
    spent = ledger.budget.today().total
    fix = "wait for midnight UTC or raise TOPVIEW_CREDIT_LIMIT, then run again"
    if limit is None or (spent < limit and spent + dearest <= limit):
        return _answer([], fix)
    what = (
        f"{round(spent, 2):g} of today's {limit:g} credits are spent or on their way, "
        f"and a task may cost {round(dearest, 2):g}"
    )
    return _answer([Case("", "", what, fix)], fix)


def _catalogue_held(ledger: Ledger) -> Answer:
    held = ledger.catalogue.held()
    fix = "fix the catalogue, or accept the change with topview-pipeline run --accept-change"
    return _answer([] if held is None else [Case("", "", held[0], fix)], fix)


def _to_look_at(ledger: Ledger, stages: Collection[str], retired: Collection[str]) -> Answer:
    """Results that failed their check or are doubtful, and that nobody approved of."""
    approved = {key for key, one in ledger.reviews.all().items() if one.decision == "approved"}
    words = {
        Outcome.FAILED: "failed its check, so it is in no manifest",
        Outcome.DOUBTFUL: "its check warns, and it is exported",
    }
    cases = []
    last = ledger.tasks.last_made_all(verdicts_of=stages)
    for (product_id, stage), row in sorted(last.items()):
        verdict = Verdict.from_json(row.quality)
        if (
            verdict is not None
            and verdict.outcome in words
            and product_id not in retired
            and (product_id, row.fingerprint) not in approved
        ):
            what = f"{words[verdict.outcome]}: {verdict.why}"
            cases.append(Case(product_id, stage, what, verdict.fix))
    fix = (
        "look at them in the gallery; topview-pipeline review approves scenes, or asks for a remake"
    )
    return _answer(cases, fix)


def _answer(cases: Iterable[Case], fix: str) -> Answer:
    found = tuple(cases)
    return Answer(len(found), found[:MOST_SHOWN], fix)


def _case(row: Task) -> Case:
    what, fix = trouble_of(row) or (f"it is {row.state.value}", "")
    return Case(row.product_id, row.stage, what, fix, row.topview_task_id or "")


def _minute(at: float) -> str:
    return f"{datetime.fromtimestamp(at, timezone.utc):%Y-%m-%d %H:%M} UTC"
