"""Asset checks: one of each product's results, and the health checks of the whole account.

A run reports a product's check right after its materialization. The health checks stand on
`videoManifest`: a sensor evaluates them without a run, and they can be run from the UI. Measuring
is in `media`, the health questions are in `ledger.health`.
"""

import hashlib
import json
import time
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from topview_pipeline.defs import out_of_date
from topview_pipeline.defs.alerts import Posted, digest_of, due, payload, post
from topview_pipeline.defs.dagster_private import checked_materialization
from topview_pipeline.defs.failures import plain_errors
from topview_pipeline.defs.metadata import text_table
from topview_pipeline.defs.out_of_date import MEANING, OUT_OF_DATE
from topview_pipeline.defs.outline import Outline
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.errors import PipelineError
from topview_pipeline.media import Outcome, Verdict
from topview_pipeline.stages import STAGES, Stage, data_version
from topview_pipeline.text import counted

if TYPE_CHECKING:
    from topview_pipeline.ledger import Ledger
    from topview_pipeline.ledger.health import Answer, Case

QUALITY: Final = "quality"
"""Name of each product's check."""
MANIFEST: Final = "videoManifest"
"""Key of the asset that the health checks stand on. Here and not in `assets`, which imports this
module."""
_CONSEQUENCES: Final = (
    "\n\n**Error**: left out of the manifest. **Warning**: exported, but needs a look. What could "
    "not be measured counts as passed and is listed. *Execute all* measures what is stored and was "
    "not measured yet. TOPVIEW_CHECKS=false switches it off."
)
_LOOK_SECONDS: Final = 300
_REPORT_AGAIN_SECONDS: Final = 6 * 3600.0
"""Dagster shows when a check was last evaluated: one that never changes should not look dead."""
_UNREADABLE: Final = "ledger_unreadable"
"""Name of an alert that is no check: there is nothing to evaluate checks from."""
_COLUMNS: Final = ("product", "stage", "what happened", "what to do")


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
    asset: dg.AssetKey,
    product_id: str,
    verdict: Verdict,
    of: dg.EventLogRecord | None,
    *,
    blocks: bool = False,
) -> dg.AssetCheckEvaluation:
    """A verdict as the result of a product's check.

    Args:
        of: the materialization that was checked. Without it Dagster counts the product's check as
            missing.
        blocks: an error fails the step, so that what is downstream in the same run is skipped. The
            spec cannot say so: what is downstream would wait for an output that a range lacks.
    """
    values: dict[str, Any] = {}
    if verdict.fix:
        values["topview/what_to_do"] = verdict.fix
    if verdict.not_measured:
        values["topview/not_measured"] = "; ".join(verdict.not_measured)
    if verdict.numbers:
        values["topview/measured"] = text_table(("what", "measured", "allowed"), _measured(verdict))
    is_doubtful = verdict.outcome is Outcome.DOUBTFUL
    return dg.AssetCheckEvaluation(
        asset_key=asset,
        check_name=QUALITY,
        passed=verdict.outcome in (Outcome.PASSED, Outcome.UNMEASURED),
        severity=dg.AssetCheckSeverity.WARN if is_doubtful else dg.AssetCheckSeverity.ERROR,
        description=f"{product_id}: {verdict.why} {verdict.fix}".strip(),
        metadata=values,
        target_materialization_data=None if of is None else checked_materialization(of),
        partition=product_id,
        blocking=blocks,
    )


def _measured(verdict: Verdict) -> Iterator[tuple[str, str, str]]:
    """What was measured in words, and what is allowed where that depends on the product."""
    shortest, longest = (verdict.numbers.get(f"{end}_seconds") for end in ("shortest", "longest"))
    limits = "" if shortest is None or longest is None else f"{shortest:.1f} to {longest:.1f}"
    for name, value in verdict.numbers.items():
        if name not in ("shortest_seconds", "longest_seconds"):
            allowed = limits if name == "video_seconds" else ""
            yield name.replace("_", " "), f"{value:g}", allowed


@dataclass(frozen=True)
class HealthCheck:
    """A question of `ledger.health`: what a case means, and whether it stops everything.

    Attributes:
        found: one case and several, in words after their number.
    """

    name: str
    meaning: str
    found: tuple[str, str]
    is_error: bool = False


HEALTH_CHECKS: Final = (
    HealthCheck(
        "products_failed",
        "Products whose newest task failed and is not tried again by itself.",
        ("product failed", "products failed"),
    ),
    HealthCheck(
        "tasks_unknown",
        "Tasks that were sent and never answered. They may have been charged, so they are not sent "
        "again until you decide.",
        ("task without an answer", "tasks without an answer"),
        is_error=True,
    ),
    HealthCheck(
        "results_about_to_expire",
        "Results that were paid for, and are not in the store three days after they were finished, "
        "or can no longer be had from Topview.",
        ("result is about to be lost, or is lost", "results are about to be lost, or are lost"),
        is_error=True,
    ),
    HealthCheck(
        "tasks_overdue",
        "Tasks that Topview has not finished within their deadline.",
        ("task is overdue", "tasks are overdue"),
    ),
    HealthCheck(
        "credits_used_up",
        "The day's credit limit has no room for another task: products may be held.",
        ("credit limit is used up", "credit limits are used up"),
    ),
    HealthCheck(
        "catalogue_held",
        "A catalogue on hold: it is unreadable, or changed so much that someone must confirm it.",
        ("catalogue is on hold", "catalogues are on hold"),
        is_error=True,
    ),
    HealthCheck(
        "products_to_look_at",
        "Results that failed their check or warn, and that nobody approved of.",
        ("result to look at", "results to look at"),
    ),
)
_SPECS: Final = {**{check.name: check.meaning for check in HEALTH_CHECKS}, OUT_OF_DATE: MEANING}


def health_checks(topview: TopviewResource) -> dg.AssetChecksDefinition:
    """The health checks, as the UI runs them."""
    outline = topview.outline
    manifest = outline.key(MANIFEST)

    @dg.multi_asset_check(
        name=outline.of("health_checks"),
        specs=[
            dg.AssetCheckSpec(
                name, asset=manifest, description=f"{meaning} It spends nothing and needs no key."
            )
            for name, meaning in _SPECS.items()
        ],
        can_subset=True,
    )
    def evaluate(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        selected = {key.name for key in context.selected_asset_check_keys}
        with plain_errors(topview.outline), topview.ledger() as ledger:
            results = _results(_answers(topview, ledger))
            if OUT_OF_DATE in selected:
                results[OUT_OF_DATE] = out_of_date.evaluate(context.instance, topview, ledger)
        for name in _SPECS:
            if name in selected:
                yield dg.AssetCheckResult(check_name=name, asset_key=manifest, **results[name])

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
    before = _Reported.parse(context.cursor)
    if not 0.0 <= now - before.at <= _REPORT_AGAIN_SECONDS:
        before = _Reported(now, {}, posted=before.posted)
    try:
        with topview.ledger() as ledger:
            answers = _answers(topview, ledger)
            results = _results(answers)
            digests = {name: _digest(answer) for name, answer in answers.items()}
            digests[OUT_OF_DATE] = before.digests.get(OUT_OF_DATE, "")
            plan_mark = before.plan_mark
            with suppress(PipelineError):  # catalogue_held says of a catalogue what is wrong
                mark = out_of_date.mark_of(topview, ledger)
                if mark is not None and mark != plan_mark:
                    planned = out_of_date.plan_everything(context.instance, topview, ledger)
                    results[OUT_OF_DATE] = out_of_date.result(topview, planned)
                    digests[OUT_OF_DATE], plan_mark = out_of_date.digest(planned), mark
    except PipelineError as error:
        said = _alert(topview, {_UNREADABLE: _unreadable(error)}, before.posted, now)
        context.update_cursor(json.dumps(asdict(before)))
        return dg.SkipReason(topview.outline.worded(f"{error}{said}"))
    said = _alert(topview, {_UNREADABLE: _unreadable(None), **answers}, before.posted, now)
    news = [name for name in results if before.digests.get(name) != digests[name]]
    counts = ", ".join(f"{answer.count} {name}" for name, answer in answers.items())
    cursor = json.dumps(asdict(_Reported(before.at, digests, plan_mark, before.posted)))
    if not news:
        context.update_cursor(cursor)
        return dg.SkipReason(f"nothing changed: {counts}{said}")
    return dg.SensorResult(
        skip_reason=dg.SkipReason(f"{len(news)} checks reported: {counts}{said}"),
        cursor=cursor,
        asset_events=[
            dg.AssetCheckEvaluation(
                asset_key=topview.outline.key(MANIFEST), check_name=name, **results[name]
            )
            for name in news
        ],
    )


@dataclass(frozen=True)
class _Reported:
    """The sensor's cursor: digests of the answers that Dagster has, all reported after `at`.

    Attributes:
        plan_mark: see `out_of_date.mark_of`.
        posted: what the alert URL has.
    """

    at: float
    digests: dict[str, str]
    plan_mark: str = ""
    posted: Posted = field(default_factory=dict)

    @classmethod
    def parse(cls, cursor: str | None) -> "_Reported":
        """The cursor; an empty one when there is none that can be read."""
        try:
            values = json.loads(cursor or "")
            posted = {name: (str(what), float(at)) for name, (what, at) in values["posted"].items()}
            digests, mark = dict(values["digests"]), str(values["plan_mark"])
            return cls(float(values["at"]), digests, mark, posted)
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


def _answers(topview: TopviewResource, ledger: "Ledger") -> "dict[str, Answer]":
    from topview_pipeline.ledger.health import health

    stages = [stage.key for stage in STAGES] if topview.config.checks else []
    answers = health(ledger, credits_a_day=topview.config.credit_limit, stages=stages)
    worded = topview.outline.worded

    def case(one: "Case") -> "Case":
        return replace(one, what=worded(one.what), fix=worded(one.fix))

    return {
        name: replace(answer, fix=worded(answer.fix), sample=tuple(map(case, answer.sample)))
        for name, answer in answers.items()
    }


def _results(answers: "dict[str, Answer]") -> dict[str, dict[str, Any]]:
    return {check.name: _result(check, answers[check.name]) for check in HEALTH_CHECKS}


def _result(check: HealthCheck, answer: "Answer") -> dict[str, Any]:
    """The fields that a check's result and an evaluation have in common."""
    is_well = answer.count == 0
    metadata: dict[str, Any] = {"topview/count": answer.count}
    if not is_well:
        metadata["topview/what_to_do"] = answer.fix
        rows = ((one.product, one.stage, one.what, one.fix) for one in answer.sample)
        metadata["topview/sample"] = text_table(_COLUMNS, rows)
    one, many = check.found
    # Not a number and a full stop: Markdown takes that for an item of a list.
    description = f"{answer.count} {one if answer.count == 1 else many}. What to do: {answer.fix}."
    return {
        "passed": is_well,
        "severity": dg.AssetCheckSeverity.ERROR if check.is_error else dg.AssetCheckSeverity.WARN,
        "description": "None." if is_well else description,
        "metadata": metadata,
    }


def _digest(answer: "Answer") -> str:
    return hashlib.sha256(repr(answer).encode()).hexdigest()[:16]


# All of a stage's checks at once, as "Execute all" on its Checks tab asks for.


def measured(
    context: dg.AssetExecutionContext,
    topview: TopviewResource,
    stages: Sequence[Stage],
    products: Collection[str] | None,
) -> Iterator[dg.AssetCheckEvaluation]:
    """The verdict on what each product last made of these stages, measured where it was not yet.

    Args:
        products: None: all.
    """
    from topview_pipeline.defs.data_versions import Versions
    from topview_pipeline.engine.check import verdict_of

    versions, by_key = Versions(context.instance, topview.outline), {one.key: one for one in stages}
    with topview.ledger() as ledger:
        for (product_id, key), glance in ledger.tasks.last_made_all().items():
            if key in by_key and (products is None or product_id in products):
                task = ledger.tasks.get(glance.id)
                verdict = verdict_of(by_key[key], task, ledger, topview.store)
                record = versions.stored(key, product_id, data_version(glance.fingerprint))
                yield evaluation(topview.outline.key(key), product_id, verdict, record)
