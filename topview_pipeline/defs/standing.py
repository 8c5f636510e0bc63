"""The standing checks: what is wrong over all products, on the page of `videoManifest`.

They read the ledger only. A sensor evaluates them without a run and tells of what changed; they can
be run from the UI at any time. Answering them is in `concerns`; the checks of single results are in
`checks.py`.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from topview_pipeline.defs.failures import plainly
from topview_pipeline.defs.manifest import MANIFEST
from topview_pipeline.defs.resources import LedgerResource

if TYPE_CHECKING:
    from topview_pipeline.concerns import Concern
    from topview_pipeline.ledger import Ledger

_LOOK_SECONDS: Final = 300
_TELL_AGAIN_SECONDS: Final = 6 * 3600.0
"""Dagster shows when a check was last evaluated: one that never changes should not look dead."""
_COLUMNS: Final = ("product", "stage", "what", "task_id", "mend")


@dataclass(frozen=True)
class Question:
    """A standing check: what it means when there are cases, and whether that is an error."""

    name: str
    asks: str
    is_urgent: bool = True


QUESTIONS: Final = (
    Question("products_failed", "Products whose newest order failed."),
    Question(
        "tasks_unknown",
        "Tasks whose submit's answer was lost: they may be paid, and are never sent again.",
    ),
    Question(
        "results_about_to_expire",
        "Results that were paid for, and are not in the store three days after they were finished, "
        "or can no longer be had from Topview.",
    ),
    Question(
        "held_by_budget_or_pause",
        "Products that wait for credits: a limit of yours, or a paused account.",
        is_urgent=False,
    ),
    Question(
        "held_for_a_person",
        "Products that wait for somebody to look: a store in trouble, a choice, a scene that "
        "Topview forgot, a lost row, a catalogue's row, a task that Topview does not finish.",
        is_urgent=False,
    ),
    Question(
        "catalogue_held",
        "Catalogues that are not obeyed: unreadable, or changed so much that somebody must say it "
        "is meant.",
    ),
)

_SPECS: Final = [
    dg.AssetCheckSpec(
        question.name,
        asset=MANIFEST,
        description=f"{question.asks} It reads the ledger, spends nothing and needs no key.",
    )
    for question in QUESTIONS
]


@dg.multi_asset_check(name="standing_checks", specs=_SPECS, can_subset=True)
def standing_checks(
    context: dg.AssetCheckExecutionContext, ledger: LedgerResource
) -> Iterator[dg.AssetCheckResult]:
    """Evaluate the selected standing checks."""
    names = {key.name for key in context.selected_asset_check_keys}
    with plainly(), closing(ledger.open()) as opened:
        found = _concerns(opened)
    for question in QUESTIONS:
        if question.name in names:
            yield dg.AssetCheckResult(
                check_name=question.name,
                asset_key=MANIFEST,
                **_result(question, found[question.name]),
            )


@dg.sensor(
    name="standing_checks_sensor",
    minimum_interval_seconds=_LOOK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Evaluates the standing checks of videoManifest from the ledger, without a run, "
    "and tells of those that changed. Spends nothing.",
)
def standing_checks_sensor(
    context: dg.SensorEvaluationContext, ledger: LedgerResource
) -> dg.SensorResult | dg.SkipReason:
    """Tell of every standing check that says something else than it did."""
    from topview_pipeline.ledger import LedgerError
    from topview_pipeline.settings import SettingsError

    try:
        with closing(ledger.open()) as opened:
            found = _concerns(opened)
    except (SettingsError, LedgerError) as error:
        return dg.SkipReason(str(error))
    now = time.time()
    told = _told(context.cursor)
    if now - float(told.get("at") or 0.0) > _TELL_AGAIN_SECONDS:
        told = {"at": now}
    news = [
        question for question in QUESTIONS if told.get(question.name) != _digest(question, found)
    ]
    counts = ", ".join(f"{concern.count} {name}" for name, concern in found.items())
    if not news:
        return dg.SkipReason(f"nothing changed: {counts}")
    return dg.SensorResult(
        skip_reason=dg.SkipReason(f"told of {len(news)} checks: {counts}"),
        cursor=json.dumps(told | {question.name: _digest(question, found) for question in news}),
        asset_events=[
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(MANIFEST),
                check_name=question.name,
                **_result(question, found[question.name]),
            )
            for question in news
        ],
    )


def _concerns(ledger: "Ledger") -> "dict[str, Concern]":
    from topview_pipeline.concerns import concerns

    return concerns(ledger, now=ledger.now())


def _result(question: Question, concern: "Concern") -> dict[str, Any]:
    """What a check's result and an evaluation have in common."""
    values: dict[str, Any] = {"topview/count": concern.count}
    if not concern.is_calm:
        values["topview/way_out"] = concern.way_out
        values["topview/sample"] = _table(concern)
    severity = dg.AssetCheckSeverity
    return {
        "passed": concern.is_calm,
        "severity": severity.ERROR if question.is_urgent else severity.WARN,
        "description": "None."
        if concern.is_calm
        else f"{concern.count}. {question.asks} The way out: {concern.way_out}.",
        "metadata": values,
    }


def _table(concern: "Concern") -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord({name: getattr(case, name) for name in _COLUMNS})
            for case in concern.sample
        ],
        schema=dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in _COLUMNS]),
    )


def _told(cursor: str | None) -> dict[str, Any]:
    try:
        values = json.loads(cursor or "")
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _digest(question: Question, found: "Mapping[str, Concern]") -> str:
    return hashlib.sha256(repr(found[question.name]).encode()).hexdigest()[:16]
