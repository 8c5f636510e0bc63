"""The health checks: of the whole account, on `videoManifest`, and of the catalogue's rows.

A sensor evaluates them without a run, and they can be run from the UI. The questions are in
`ledger.health`. What changed is an alert: posted as JSON to a URL; Slack reads its `text`.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, field, replace
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic.dataclasses import dataclass

from topview_pipeline.defs.checks import CATALOGUE_ROWS, rows_result
from topview_pipeline.defs.failures import TROUBLE_COLUMNS, in_sentences, plain_errors
from topview_pipeline.defs.metadata import plan_table, text_table
from topview_pipeline.defs.outline import MANIFEST
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.defs.sensors import digest, read_cursor, skipped, written
from topview_pipeline.errors import PipelineError
from topview_pipeline.stages import STAGES
from topview_pipeline.store import LostLedger, OtherStore, StoreError
from topview_pipeline.text import counted

if TYPE_CHECKING:
    from topview_pipeline.ledger import Ledger
    from topview_pipeline.ledger.health import Answer, Case
    from topview_pipeline.plan import PlannedStage

OUT_OF_DATE: Final = "out_of_date"
"""Name of the check that is the plan of the whole catalogue."""
LEDGER_LOST: Final = "ledger_lost"
_LOOK_SECONDS: Final = 300
_CATALOGUE_SECONDS: Final = 20.0
_MOST_ROWS: Final = 200
_REPORT_AGAIN_SECONDS: Final = 6 * 3600.0
"""Dagster shows when a check was last evaluated: one that never changes should not look dead."""
_UNREADABLE: Final = "ledger_unreadable"
"""Name of an alert that is no check: there is nothing to evaluate checks from."""
_STORE_UNREADABLE: Final = "store_unreadable"
"""Name of another: no check can say now whether the store is the ledger's."""
_QUIET_SECONDS: Final = 3600.0
_POST_SECONDS: Final = 10.0
"""Dagster ends a tick after 60 s."""
_IN_TEXT: Final = 5
_WELL: Final = ""
Posted = dict[str, tuple[str, float]]
"""By check: the digest of the answer that was posted last, and when."""


@dataclass(frozen=True)
class HealthCheck:
    """A question of `ledger.health`: what a case means, and how bad it is.

    Attributes:
        found: one case and several, in words after their number; of products only.
    """

    name: str
    meaning: str
    found: tuple[str, str] = ("", "")
    is_error: bool = False


HEALTH_CHECKS: Final = (
    HealthCheck(
        LEDGER_LOST,
        "Ledger, store and Dagster that do not belong together: one of them was lost or replaced, "
        "so nothing is submitted.",
        is_error=True,
    ),
    HealthCheck(
        "products_failed",
        "Products whose newest task failed and is not retried automatically.",
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
        "or that Topview no longer has.",
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
    ),
    HealthCheck(
        "catalogue_held",
        "A catalogue on hold: it is unreadable, or changed so much that someone must confirm it.",
        is_error=True,
    ),
    HealthCheck(
        "products_to_look_at",
        "Results that failed their check or warn, and that nobody approved.",
        ("result to look at", "results to look at"),
    ),
)
_OUT_OF_DATE: Final = (
    "Products that catch_up would make something for: new ones, and those whose inputs changed."
)
_ROWS: Final = (
    "Rows of the catalogue that cannot be used: their products are not made, all others are."
)


def health_checks(topview: TopviewResource) -> dg.AssetChecksDefinition:
    outline = topview.outline
    meanings = {check.name: check.meaning for check in HEALTH_CHECKS} | {OUT_OF_DATE: _OUT_OF_DATE}
    free = "Evaluating it spends nothing and needs no key."

    @dg.multi_asset_check(
        name=outline.of("health_checks"),
        specs=[
            *(
                dg.AssetCheckSpec(
                    name, asset=outline.key(MANIFEST), description=f"{meaning} {free}"
                )
                for name, meaning in meanings.items()
            ),
            dg.AssetCheckSpec(
                CATALOGUE_ROWS, asset=outline.key(STAGES[0].source), description=f"{_ROWS} {free}"
            ),
        ],
        can_subset=True,
    )
    def evaluate(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        selected = {key.name: key.asset_key for key in context.selected_asset_check_keys}
        with plain_errors(outline):
            if selected.keys() - {CATALOGUE_ROWS}:
                with topview.ledger() as ledger:
                    answers = _answers(context.instance, topview, ledger)
                    results = _results(answers)
                    if OUT_OF_DATE in selected:
                        results[OUT_OF_DATE] = _plan_or_why_not(context.instance, topview, ledger)
                for name in filter(selected.__contains__, results):
                    yield dg.AssetCheckResult(
                        check_name=name, asset_key=selected[name], **results[name]
                    )
                if LEDGER_LOST in selected and LEDGER_LOST not in results:
                    unread = answers[_STORE_UNREADABLE]
                    what = in_sentences(unread.sample[0].what, unread.fix)
                    raise dg.Failure(what, allow_retries=False)
            if CATALOGUE_ROWS in selected:
                yield dg.AssetCheckResult(
                    check_name=CATALOGUE_ROWS,
                    asset_key=selected[CATALOGUE_ROWS],
                    **rows_result(topview.catalogue()),
                )

    return evaluate


def health_checks_sensor(topview: TopviewResource) -> dg.SensorDefinition:
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
    before = read_cursor(_Reported, context.cursor) or _Reported(0.0, {})
    if not 0.0 <= now - before.at <= _REPORT_AGAIN_SECONDS:
        before = _Reported(now, {}, posted=before.posted)
    try:
        with topview.ledger() as ledger:
            answers = _answers(context.instance, topview, ledger)
            results = _results(answers)
            digests = {name: digest(answer) for name, answer in answers.items()}
            digests[OUT_OF_DATE] = before.digests.get(OUT_OF_DATE, "")
            plan_mark = before.plan_mark
            with suppress(PipelineError):  # catalogue_held says of a catalogue what is wrong
                # Planning 20,000 products takes seconds, and a run changes the plan all the time.
                mark = plan_mark
                if not ledger.workers.alive():
                    mark = f"{topview.catalogue_version()} {ledger.history.newest()}"
                if mark != plan_mark:
                    planned = plan_everything(context.instance, topview, ledger)
                    results[OUT_OF_DATE] = _plan_result(topview, planned)
                    rows = [(one.product_id, one.stage, one.why, one.credits) for one in planned]
                    digests[OUT_OF_DATE], plan_mark = digest(rows), mark
    except PipelineError as error:
        said = _alert(topview, {_UNREADABLE: _wrong(error)}, before.posted, now)
        context.update_cursor(written(before))
        return skipped(topview, error, also=said)
    well = dict.fromkeys((_UNREADABLE, _STORE_UNREADABLE), _wrong(None))
    said = _alert(topview, well | answers, before.posted, now)
    news = [name for name in results if before.digests.get(name) != digests[name]]
    counts = ", ".join(f"{answer.count} {name}" for name, answer in answers.items())
    cursor = written(_Reported(before.at, digests, plan_mark, before.posted))
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
    """The sensor's cursor: digests of the answers that Dagster has, all reported after `at`."""

    at: float
    digests: dict[str, str]
    plan_mark: str = ""
    posted: Posted = field(default_factory=dict)


def _wrong(error: PipelineError | None) -> "Answer":
    from topview_pipeline.ledger.health import Answer, Case

    if error is None:
        return Answer(0, (), "")
    where = f" ({error.where})" if error.where else ""
    fix = error.fix.rstrip(".") or "do what the message says"
    return Answer(1, (Case("", "", f"{error.what}{where}", fix),), fix)


def _answers(
    instance: dg.DagsterInstance, topview: TopviewResource, ledger: "Ledger"
) -> "dict[str, Answer]":
    from topview_pipeline.defs.run import check_store
    from topview_pipeline.ledger.health import health

    stages = [stage.key for stage in STAGES] if topview.config.checks else []
    answers = health(ledger, credits_a_day=topview.config.credit_limit, stages=stages)
    try:
        check_store(instance, ledger, topview)
        found = {LEDGER_LOST: _wrong(None)}
    except (LostLedger, OtherStore) as error:
        found = {LEDGER_LOST: _wrong(error)}
    except StoreError as error:
        found = {_STORE_UNREADABLE: _wrong(error)}
    worded = topview.outline.worded

    def case(one: "Case") -> "Case":
        return replace(one, what=worded(one.what), fix=worded(one.fix))

    return {
        name: replace(answer, fix=worded(answer.fix), sample=tuple(map(case, answer.sample)))
        for name, answer in (found | answers).items()
    }


def _results(answers: "dict[str, Answer]") -> dict[str, dict[str, Any]]:
    checks = (check for check in HEALTH_CHECKS if check.name in answers)
    return {check.name: _result(check, answers[check.name]) for check in checks}


def _result(check: HealthCheck, answer: "Answer") -> dict[str, Any]:
    """The fields that a check's result and an evaluation have in common."""
    is_well = answer.count == 0
    metadata: dict[str, Any] = {"topview/count": answer.count}
    if not is_well:
        metadata["topview/what_to_do"] = answer.fix
        rows = ((one.product, one.stage, one.what, one.fix, one.task_id) for one in answer.sample)
        metadata["topview/sample"] = text_table(TROUBLE_COLUMNS, rows)
    # Not a number and a full stop: Markdown takes that for an item of a list.
    what = f"{answer.count} {check.found[answer.count != 1]}"
    if not is_well and not answer.sample[0].product:  # there is only one
        what = answer.sample[0].what
    description = in_sentences(what, answer.fix)
    return {
        "passed": is_well,
        "severity": dg.AssetCheckSeverity.ERROR if check.is_error else dg.AssetCheckSeverity.WARN,
        "description": "Nothing to do." if is_well else description,
        "metadata": metadata,
    }


# The check `out_of_date`.


def plan_everything(
    instance: dg.DagsterInstance, topview: TopviewResource, ledger: "Ledger"
) -> "list[PlannedStage]":
    """The new tasks of a run over the whole catalogue, as far as no server need be asked."""
    from topview_pipeline.defs.jobs import CatchUpConfig, plan_run

    catalogue = topview.catalogue(seconds=_CATALOGUE_SECONDS)
    files = topview.files(ledger, offline=True)
    planned, *_ = plan_run(instance, topview, ledger, catalogue, CatchUpConfig(), files=files)
    return [one for one in planned if one.is_made and one.is_read]


def _plan_or_why_not(
    instance: dg.DagsterInstance, topview: TopviewResource, ledger: "Ledger"
) -> dict[str, Any]:
    """The result, also where the catalogue cannot be read: the other checks are evaluated."""
    try:
        return _plan_result(topview, plan_everything(instance, topview, ledger))
    except PipelineError as error:
        severity, why = dg.AssetCheckSeverity.WARN, topview.outline.worded(str(error))
        return {"passed": False, "severity": severity, "description": why, "metadata": {}}


def _plan_result(topview: TopviewResource, planned: "list[PlannedStage]") -> dict[str, Any]:
    products = len({one.product_id for one in planned})
    known = [one.credits for one in planned if one.submits and one.credits is not None]
    unpriced = sum(one.submits and one.credits is None for one in planned)
    metadata: dict[str, Any] = {"topview/count": products}
    description = "Everything is up to date."
    if planned:
        also = f" and {counted(unpriced, 'task')} without a known price" if unpriced else ""
        description = (
            f"{counted(products, 'product')} to make or remake: "
            f"{counted(len(planned), 'result')}, about {counted(round(sum(known), 2), 'credit')}"
            f"{also}. Launch the job {topview.outline.of('catch_up')} as it is: it makes just that."
        )
        metadata["topview/plan"] = plan_table(planned[:_MOST_ROWS])
        metadata["topview/credits"] = float(sum(known))
    return {
        "passed": not planned,
        "severity": dg.AssetCheckSeverity.WARN,
        "description": description,
        "metadata": metadata,
    }


# Alerts. A check is posted once per change, and at most once in the quiet time; what came in
# between is in the post after it. What could not be posted stays due.


def _alert(
    topview: TopviewResource, answers: "Mapping[str, Answer]", posted: Posted, now: float
) -> str:
    """Post what is due and note it in `posted`; what became of it, for the tick's reason."""
    try:
        url = topview.config.alert_url
    except PipelineError:
        return ""
    names = [] if url is None else _due(answers, posted, now)
    if url is None or not names:
        return ""
    changed = {name: answers[name] for name in names}
    trouble = _post(url.get_secret_value(), _payload(topview.config.name, changed))
    if trouble is not None:
        return f"; TOPVIEW_ALERT_URL was not reached ({trouble}), and is tried again"
    posted |= {name: (_digest(answer), now) for name, answer in changed.items()}
    return f"; {counted(len(names), 'change')} posted"


def _due(answers: "Mapping[str, Answer]", posted: Posted, now: float) -> list[str]:
    """The checks whose answer is another one than that posted, and whose quiet time is over."""
    found = []
    for name, answer in answers.items():
        before, at = posted.get(name, (_WELL, -_QUIET_SECONDS))
        # A post of the future was made before the clock was set back.
        if _digest(answer) != before and not 0.0 <= now - at < _QUIET_SECONDS:
            found.append(name)
    return found


def _digest(answer: "Answer") -> str:
    """A text that changes with the number of cases and with which they are; empty without one."""
    if not answer.count:
        return _WELL
    cases = [(case.product, case.stage, case.task_id) for case in answer.sample]
    return digest((answer.count, cases))


def _payload(pipeline: str, answers: "Mapping[str, Answer]") -> Any:
    meanings = {check.name: check.meaning for check in HEALTH_CHECKS}
    lines = []
    for name, answer in answers.items():
        if not answer.count:
            lines.append(f"{pipeline}: {name} passes again.")
            continue
        lines.append(
            f"{pipeline}: {answer.count} {name}. {meanings.get(name, '')} What to do: {answer.fix}."
        )
        lines += [
            "• " + " ".join(filter(None, (case.product, case.stage, case.what)))
            for case in answer.sample[:_IN_TEXT]
        ]
        if answer.count > _IN_TEXT:
            lines.append(f"• and {answer.count - _IN_TEXT} more")
    return {
        "text": "\n".join(lines),
        "pipeline": pipeline,
        "checks": [
            {
                "name": name,
                "count": answer.count,
                "what_to_do": answer.fix if answer.count else "",
                "sample": [asdict(case) for case in answer.sample],
            }
            for name, answer in answers.items()
        ],
    }


def _post(url: str, document: Any) -> str | None:
    """Post a document; why it could not be posted, without the URL, which is a secret."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    headers = {"Content-Type": "application/json"}
    request = Request(url, json.dumps(document).encode(), headers)  # noqa: S310 - http or https
    try:
        with urlopen(request, timeout=_POST_SECONDS):  # noqa: S310 - likewise
            return None
    except HTTPError as error:
        return f"HTTP {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        return type(error).__name__
