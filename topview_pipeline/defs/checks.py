"""Asset checks: one of each product's results, and the health checks of the whole account.

A run reports a product's check right after its materialization. The health checks stand on
`videoManifest`: a sensor evaluates them without a run, and they can be run from the UI. Measuring
is in `media`, the health questions are in `ledger.health`.
"""

import hashlib
import json
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from topview_pipeline.defs.alerts import Posted, digest_of, due, payload, post
from topview_pipeline.defs.failures import plain_errors
from topview_pipeline.defs.metadata import text_table
from topview_pipeline.defs.outline import Outline
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.errors import PipelineError
from topview_pipeline.media import Outcome, Verdict
from topview_pipeline.stages import STAGES, Stage
from topview_pipeline.text import counted

if TYPE_CHECKING:
    from topview_pipeline.ledger.health import Answer, Case

QUALITY: Final = "quality"
"""Name of each product's check."""
MANIFEST: Final = "videoManifest"
"""Key of the asset that the health checks stand on. Here and not in `assets`, which imports this
module."""
_CONSEQUENCES: Final = (
    "\n\n*Error*: it is not exported. *Warning*: somebody should look; it is exported. What could "
    "not be measured passes, and says so. TOPVIEW_CHECKS=false switches it off."
)
_LOOK_SECONDS: Final = 300
_REPORT_AGAIN_SECONDS: Final = 6 * 3600.0
"""Dagster shows when a check was last evaluated: one that never changes should not look dead."""
_UNREADABLE: Final = "ledger_unreadable"
"""Name of an alert that is no check: there is nothing to evaluate checks from."""
_COLUMNS: Final = ("product", "stage", "what", "fix", "task_id")


def product_check_specs(
    outline: Outline, stages: Sequence[Stage] = STAGES
) -> list[dg.AssetCheckSpec]:
    """A check of each asset, by product."""
    with warnings.catch_warnings():
        # Partitions of checks are in preview; without them the last product's result would stand
        # for all.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                QUALITY,
                asset=outline.key(stage.key),
                description=outline.worded(stage.check_description + _CONSEQUENCES),
                partitions_def=outline.products,
            )
            for stage in stages
        ]


def evaluation(
    asset: dg.AssetKey, product_id: str, verdict: Verdict, *, blocks: bool = False
) -> dg.AssetCheckEvaluation:
    """A verdict as the result of a product's check.

    Args:
        blocks: an error fails the step, so that what is downstream in the same run is skipped. The
            spec cannot say so: what is downstream would wait for an output that a range lacks.
    """
    values: dict[str, Any] = {"topview/outcome": verdict.outcome.value}
    if verdict.fix:
        values["topview/what_to_do"] = verdict.fix
    if verdict.not_measured:
        values["topview/not_measured"] = "; ".join(verdict.not_measured)
    values |= {f"topview/{name}": float(value) for name, value in verdict.numbers.items()}
    is_doubtful = verdict.outcome is Outcome.DOUBTFUL
    return dg.AssetCheckEvaluation(
        asset_key=asset,
        check_name=QUALITY,
        passed=verdict.outcome in (Outcome.PASSED, Outcome.UNMEASURED),
        severity=dg.AssetCheckSeverity.WARN if is_doubtful else dg.AssetCheckSeverity.ERROR,
        description=f"{verdict.why} {verdict.fix}".strip(),
        metadata=values,
        partition=product_id,
        blocking=blocks,
    )


@dataclass(frozen=True)
class HealthCheck:
    """A question of `ledger.health`: what a case means, and whether it is an error."""

    name: str
    meaning: str
    is_error: bool = True


HEALTH_CHECKS: Final = (
    HealthCheck(
        "products_failed",
        "Products whose newest task failed and is not tried again by itself.",
    ),
    HealthCheck(
        "tasks_unknown",
        "Tasks whose submit's answer was lost: they may be paid, and are never sent again.",
    ),
    HealthCheck(
        "results_about_to_expire",
        "Results that were paid for, and are not in the store three days after they were finished, "
        "or can no longer be had from Topview.",
    ),
    HealthCheck(
        "tasks_overdue",
        "Tasks that Topview has not finished within their deadline.",
        is_error=False,
    ),
    HealthCheck(
        "credits_used_up",
        "The day's credit limit has no room for another task: products may be held.",
        is_error=False,
    ),
    HealthCheck(
        "catalogue_held",
        "The catalogue is not accepted: it cannot be read, or changed so much that somebody must "
        "say that it is meant.",
    ),
)


def health_checks(topview: TopviewResource) -> dg.AssetChecksDefinition:
    """The health checks, as the UI runs them."""
    outline = topview.outline

    @dg.multi_asset_check(
        name=outline.of("health_checks"),
        specs=[
            dg.AssetCheckSpec(
                check.name,
                asset=outline.key(MANIFEST),
                description=f"{check.meaning} It reads the ledger, spends nothing and needs no "
                "key.",
            )
            for check in HEALTH_CHECKS
        ],
        can_subset=True,
    )
    def evaluate(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        selected = {key.name for key in context.selected_asset_check_keys}
        with plain_errors(topview.outline):
            answers = _answers(topview)
        for check in HEALTH_CHECKS:
            if check.name in selected:
                yield dg.AssetCheckResult(
                    check_name=check.name,
                    asset_key=outline.key(MANIFEST),
                    **_result(check, answers[check.name]),
                )

    return evaluate


def health_checks_sensor(topview: TopviewResource) -> dg.SensorDefinition:
    """The sensor that reports every health check whose answer changed."""

    @dg.sensor(
        name=topview.outline.of("health_checks_sensor"),
        minimum_interval_seconds=_LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Evaluates the health checks of videoManifest from the ledger, without a run, "
        "and reports those that changed. Spends nothing.",
    )
    def report(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        return _report(context, topview)

    return report


def _report(
    context: dg.SensorEvaluationContext, topview: TopviewResource
) -> dg.SensorResult | dg.SkipReason:
    now = time.time()
    reported = _Reported.parse(context.cursor)
    try:
        answers = _answers(topview)
    except PipelineError as error:
        said = _alert(topview, {_UNREADABLE: _unreadable(error)}, reported.posted, now)
        context.update_cursor(json.dumps(asdict(reported)))
        return dg.SkipReason(topview.outline.worded(f"{error}{said}"))
    if not 0.0 <= now - reported.at <= _REPORT_AGAIN_SECONDS:
        reported = _Reported(now, {}, reported.posted)
    said = _alert(topview, {_UNREADABLE: _unreadable(None), **answers}, reported.posted, now)
    digests = {name: _digest(answer) for name, answer in answers.items()}
    news = [
        check for check in HEALTH_CHECKS if reported.digests.get(check.name) != digests[check.name]
    ]
    counts = ", ".join(f"{answer.count} {name}" for name, answer in answers.items())
    cursor = json.dumps(asdict(_Reported(reported.at, digests, reported.posted)))
    if not news:
        context.update_cursor(cursor)
        return dg.SkipReason(f"nothing changed: {counts}{said}")
    return dg.SensorResult(
        skip_reason=dg.SkipReason(f"{len(news)} checks reported: {counts}{said}"),
        cursor=cursor,
        asset_events=[
            dg.AssetCheckEvaluation(
                asset_key=topview.outline.key(MANIFEST),
                check_name=check.name,
                **_result(check, answers[check.name]),
            )
            for check in news
        ],
    )


@dataclass(frozen=True)
class _Reported:
    """The sensor's cursor: digests of the answers that Dagster has, all reported after `at`.

    `posted` is what the alert URL has.
    """

    at: float
    digests: dict[str, str]
    posted: Posted = field(default_factory=dict)

    @classmethod
    def parse(cls, cursor: str | None) -> "_Reported":
        """The cursor; an empty one when there is none that can be read."""
        try:
            values = json.loads(cursor or "")
            posted = {name: (str(what), float(at)) for name, (what, at) in values["posted"].items()}
            return cls(float(values["at"]), dict(values["digests"]), posted)
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls(0.0, {})


def _alert(
    topview: TopviewResource, answers: "Mapping[str, Answer]", posted: Posted, now: float
) -> str:
    """Post what is due and note it in `posted`; what became of it, for the tick's reason."""
    try:
        url = topview.config.alert_url
    except PipelineError:
        return ""
    names = [] if url is None else due(answers, posted, now)
    if url is None or not names:
        return ""
    changed = {name: answers[name] for name in names}
    meanings = {check.name: check.meaning for check in HEALTH_CHECKS}
    trouble = post(url.get_secret_value(), payload(topview.config.name, changed, meanings))
    if trouble is not None:
        return f"; TOPVIEW_ALERT_URL was not reached ({trouble}), and is tried again"
    posted |= {name: (digest_of(answer), now) for name, answer in changed.items()}
    return f"; {counted(len(names), 'change')} posted"


def _unreadable(error: PipelineError | None) -> "Answer":
    from topview_pipeline.ledger.health import Answer, Case

    cases = () if error is None else (Case("", "", str(error), ""),)
    return Answer(len(cases), cases, "do what the message says")


def _answers(topview: TopviewResource) -> "dict[str, Answer]":
    from topview_pipeline.ledger.health import health

    with topview.ledger() as ledger:
        answers = health(ledger, credits_a_day=topview.config.credit_limit)
    worded = topview.outline.worded

    def case(one: "Case") -> "Case":
        return replace(one, what=worded(one.what), fix=worded(one.fix))

    return {
        name: replace(answer, fix=worded(answer.fix), sample=tuple(map(case, answer.sample)))
        for name, answer in answers.items()
    }


def _result(check: HealthCheck, answer: "Answer") -> dict[str, Any]:
    """The fields that a check's result and an evaluation have in common."""
    is_well = answer.count == 0
    metadata: dict[str, Any] = {"topview/count": answer.count}
    if not is_well:
        metadata["topview/what_to_do"] = answer.fix
        rows = (tuple(getattr(case, name) for name in _COLUMNS) for case in answer.sample)
        metadata["topview/sample"] = text_table(_COLUMNS, rows)
    return {
        "passed": is_well,
        "severity": dg.AssetCheckSeverity.ERROR if check.is_error else dg.AssetCheckSeverity.WARN,
        "description": "None."
        if is_well
        else f"{answer.count}. {check.meaning} What to do: {answer.fix}.",
        "metadata": metadata,
    }


def _digest(answer: "Answer") -> str:
    return hashlib.sha256(repr(answer).encode()).hexdigest()[:16]
