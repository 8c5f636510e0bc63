"""The sensors: one finishes submitted tasks, one follows the catalogue.

The sensor of the health checks is in `health_checks.py`. Cursors are small dataclasses of pydantic,
kept as JSON.
"""

import hashlib
import json
import logging
import time
from dataclasses import asdict, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import dagster as dg
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from topview_pipeline.defs.checks import CATALOGUE_ROWS, rows_result
from topview_pipeline.defs.dagster_private import report_died
from topview_pipeline.defs.instance import advice, check_alone
from topview_pipeline.defs.jobs import CATCH_UP, RESUME_TASKS
from topview_pipeline.defs.outline import (
    CATALOGUE_SENSOR,
    PENDING_TASK_SENSOR,
    PIPELINE_TAG,
    Outline,
)
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.errors import PipelineError
from topview_pipeline.stages import BY_KEY, STAGES
from topview_pipeline.text import counted

if TYPE_CHECKING:
    from topview_pipeline.catalogue import Catalogue
    from topview_pipeline.ledger import Ledger

_FIRST_WAIT_SECONDS: Final = 60.0
_LONGEST_WAIT_SECONDS: Final = 3600.0
_RECONCILE_SECONDS: Final = 20.0
"""For Topview's credit log; Dagster ends a tick after 60 s."""
_READ_SECONDS: Final = 25.0
"""For the catalogue."""
_HASH_SECONDS: Final = 12.0
"""For files of this machine that were not hashed before; the next tick continues."""
_LOOK_AGAIN_SECONDS: Final = 600.0
"""A photo may change while the catalogue does not, and not every source has a version."""
_MOST_OBSERVATIONS: Final = 500
"""In one tick: Dagster stores an event in 17 ms, and other sensors wait meanwhile."""
T = TypeVar("T")


def read_cursor(kind: type[T], text: str | None) -> T | None:
    """The cursor as it was kept; None when there is none that can be read."""
    try:
        return TypeAdapter(kind).validate_json(text or "")
    except ValidationError:
        return None


def written(cursor: Any) -> str:
    return json.dumps(asdict(cursor))


def digest(value: object) -> str:
    """A short text that changes with the value's repr."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Backoff:
    """The sensor's backoff between runs for the same work, kept in its cursor.

    The same work found again means that a run brought nothing forward: the account is refused, or
    Topview is down. Then the next run comes after twice the time, one minute to one hour.
    """

    work: str = ""
    times: int = 0
    at: float = 0.0

    def wait(self, work: str, *, now: float) -> float:
        """Seconds until a run may be started for this work.

        A memory of the future was made before the clock was set back: it counts for nothing.
        """
        if self.at > now or work != self.work:
            return 0.0
        # 60 s doubled six times is over an hour; the cap also keeps the power finite.
        pause = min(_FIRST_WAIT_SECONDS * 2.0 ** min(self.times - 1, 6), _LONGEST_WAIT_SECONDS)
        return max(self.at + pause - now, 0.0)

    def after(self, work: str, *, now: float) -> "Backoff":
        """The memory once a run was started for this work."""
        return Backoff(work, self.times + 1 if work == self.work else 1, now)


def pending_task_sensor(topview: TopviewResource) -> dg.SensorDefinition:
    outline = topview.outline

    @dg.sensor(
        name=outline.of(PENDING_TASK_SENSOR),
        # With the job itself Dagster warns of a parameter of its own.
        job_name=outline.of(RESUME_TASKS),
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts resume_tasks when there are submitted tasks that no run works on, or "
        "failed ones that are due again. It starts nothing new, so it spends nothing that you did "
        "not ask for. It also reports runs whose process died, so that Dagster restarts them.",
    )
    def look(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        _advise(context.instance, outline)
        try:
            with topview.ledger() as ledger:
                return _finish(context, topview, ledger)
        except PipelineError as error:
            return skipped(topview, error)

    return look


def skipped(topview: TopviewResource, error: PipelineError, also: str = "") -> dg.SkipReason:
    """The reason of a tick that cannot do its work."""
    return dg.SkipReason(topview.outline.worded(f"{_reason(error)}{also}"))


def _reason(error: PipelineError) -> str:
    """The fix and the trouble, in this order: the UI cuts a long reason at its end."""
    why = str(PipelineError(error.what, error.where))
    return f"{error.fix} Why: {why}" if error.fix else why


def _finish(
    context: dg.SensorEvaluationContext, topview: TopviewResource, ledger: "Ledger"
) -> dg.RunRequest | dg.SkipReason:
    from topview_pipeline.defs.run import check_ready, check_store
    from topview_pipeline.ledger import LIVING_SECONDS

    ledger.catalogue.tick(topview.config.catalogue)
    # The heartbeats of a machine that slept are old, until its runs have beaten again.
    before = context.last_tick_completion_time
    if before is None or time.time() - before < LIVING_SECONDS:
        report_dead_runs(context.instance, topview.outline, ledger)
    _reconcile(context, topview, ledger)
    # A newer release on the same account may have more stages.
    orphans = [row for row in ledger.orphans.all() if row.stage in BY_KEY]
    retries = [row for row in ledger.orphans.retries_due() if row.stage in BY_KEY]
    found = f"{counted(len(orphans), 'task')} to collect, {len(retries)} to try again"
    if not orphans and not retries:
        check_store(context.instance, ledger, topview)  # a lost ledger has nothing to finish
        return dg.SkipReason("there is nothing to finish")
    # With a store that is not this ledger's, no run could continue.
    check_ready(context.instance, ledger, topview, write=False)
    busy = running_jobs(context.instance, topview.outline, RESUME_TASKS, most=1)
    if busy:
        return dg.SkipReason(f"run {busy[0]} works on it: {found}")
    if topview.config.api_key is None:
        unset = topview.config.unset("api_key")
        return dg.SkipReason(f"{found}, but {unset}")
    now = ledger.now()
    work = digest([[task.id for task in orphans], [task.id for task in retries]])
    backoff = read_cursor(Backoff, context.cursor) or Backoff()
    if (wait := backoff.wait(work, now=now)) > 0:
        return dg.SkipReason(f"the last run changed nothing; next in {wait:.0f} s: {found}")
    backoff = backoff.after(work, now=now)
    context.update_cursor(written(backoff))
    # A run key is spent for ever, also when its run failed: each attempt has its own.
    return dg.RunRequest(run_key=f"resume-{work}-attempt-{backoff.times}-at-{now:.0f}")


_advised: Final[set[str]] = set()
"""Lines that were logged: a process says once what an instance lacks."""


def _advise(instance: dg.DagsterInstance, outline: Outline) -> None:
    """Log what dagster.yaml lacks, in the terminal of `dagster dev` and beside its daemon."""
    lacks = outline.worded(advice(instance))
    if lacks and lacks not in _advised:
        _advised.add(lacks)
        logging.getLogger("dagster").warning(lacks)


def report_dead_runs(instance: dg.DagsterInstance, outline: Outline, ledger: "Ledger") -> None:
    """Report runs whose worker died: Dagster's run retries start them again.

    Under the default launcher a run stays STARTED for ever when its code server died with it. One
    that had no worker yet, or none any more, counts as dead when Dagster has heard nothing of it
    for half an hour: else `resume_tasks` would wait for it for ever.
    """
    runs, now = ledger.workers.runs(), time.time()
    for record in instance.get_run_records(filters=dg.RunsFilter(statuses=_AT_WORK)):
        run = record.dagster_run
        is_ours = run.tags.get(PIPELINE_TAG) == outline.name and run.job_name in map(
            outline.of, (CATCH_UP, RESUME_TASKS)
        )
        is_silent = now - record.update_timestamp.timestamp() > _WITHOUT_WORKER_SECONDS
        if not runs.get(run.run_id, not (is_ours and is_silent)):
            report_died(instance, run)


_WITHOUT_WORKER_SECONDS: Final = 1800.0
"""A run plans in a few minutes, and tags itself when its worker has ended."""


_AT_WORK: Final = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""Of a run that has a process; a SUSPENDED one has none, and is not dead."""


def running_jobs(
    instance: dg.DagsterInstance, outline: Outline, job: str, *, most: int, **tags: str
) -> list[str]:
    """The newest runs of the pipeline's job that have not ended, with these tags."""
    statuses = [status for status in dg.DagsterRunStatus if status not in _ENDED]
    filters = dg.RunsFilter(
        job_name=outline.of(job), tags={PIPELINE_TAG: outline.name, **tags}, statuses=statuses
    )
    records = instance.get_run_records(filters=filters, limit=most)
    return [record.dagster_run.run_id for record in records]


_ENDED: Final = {
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
}
"""The others are not listed: Dagster may get more of them."""


def _reconcile(
    context: dg.SensorEvaluationContext, topview: TopviewResource, ledger: "Ledger"
) -> None:
    """Settle lost answers; trouble at Topview waits for the next look."""
    import asyncio

    from topview_pipeline.engine.credit_log import Rules
    from topview_pipeline.engine.reconcile import Reconciled, reconcile
    from topview_pipeline.topview.http import DEFAULT_TIMEOUTS

    who = PENDING_TASK_SENSOR
    for row in ledger.orphans.lost(submit_seconds=DEFAULT_TIMEOUTS.submit.whole):
        ledger.tasks.mark_lost(row, who=who)
    config = topview.config
    if config.api_key is None or not ledger.unknowns.is_due(ledger.now()):
        return

    async def look() -> Reconciled:
        async with topview.client() as client:
            return await reconcile(
                client,
                ledger,
                Rules(config.account_exclusive, config.unknown_deadlines),
                stages=BY_KEY,
                who=who,
                seconds=_RECONCILE_SECONDS,
            )

    report = asyncio.run(look())
    if report.adopted or report.voided:
        context.log.info(
            f"lost answers: {len(report.adopted)} adopted, {len(report.voided)} void, "
            f"{len(report.left)} left to a person"
        )


@dataclass(frozen=True)
class LastLook:
    """The last look at the catalogue, kept in the sensor's cursor.

    Attributes:
        is_more: something was left over for the next tick.
        place: where the next tick continues. Not every file's hash can be remembered: from the
            start, ticks that are too short for all files would never come to the last.
        trouble: why it was not accepted.
        problems: digest of the bad rows that Dagster knows of.
    """

    version: str | None = None
    at: float = 0.0
    is_more: bool = False
    place: int = 0
    trouble: str | None = None
    problems: str = ""

    def interrupted(self, trouble: str) -> "LastLook":
        """After a look that failed before it knew the version: the next tick looks again."""
        return replace(self, is_more=True, place=self.place if self.is_more else 0, trouble=trouble)

    def place_in(self, version: str | None) -> int:
        """The place where a look at this version continues."""
        return self.place if self.is_more and version == self.version else 0

    def is_enough(self, version: str | None, *, now: float) -> bool:
        """Nothing can have changed since, as far as is known without reading.

        A clock that was set back ends the wait.
        """
        is_recent = 0.0 <= now - self.at < _LOOK_AGAIN_SECONDS
        return not self.is_more and version == self.version and is_recent


def catalogue_sensor(topview: TopviewResource) -> dg.SensorDefinition:
    outline = topview.outline

    @dg.sensor(
        name=outline.of(CATALOGUE_SENSOR),
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Follows the catalogue: adds a partition for every new product, marks what "
        "changed inputs make stale, and retires products whose row is gone. Starts no run, spends "
        "nothing and needs no key. A catalogue that is empty, cut off or missing over 20 % of its "
        "products is put on hold.",
    )
    def follow(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            return _follow(context, topview)
        except PipelineError as error:
            return skipped(topview, error)

    return follow


def _follow(
    context: dg.SensorEvaluationContext, topview: TopviewResource
) -> dg.SensorResult | dg.SkipReason:
    from topview_pipeline.catalogue import CatalogueError
    from topview_pipeline.defs import catalogue_sync

    check_alone(context.instance, topview.outline)
    now = time.time()
    last = read_cursor(LastLook, context.cursor) or LastLook()
    with catalogue_sync.ledger_or_none(topview) as ledger:
        if ledger is not None:
            ledger.catalogue.check_source(topview.config.catalogue)
        try:
            version = topview.catalogue_version()
        except CatalogueError as error:
            _hold(ledger, error)
            context.update_cursor(written(last.interrupted(_reason(error))))
            raise
        if last.is_enough(version, now=now):
            trouble = topview.outline.worded(last.trouble or "")
            return dg.SkipReason(trouble or "the catalogue has not changed")
        problems = last.problems
        rows: list[dg.AssetCheckEvaluation] = []
        try:
            catalogue = topview.catalogue(seconds=_READ_SECONDS)
            rows = _rows(context, topview, catalogue, known=problems)
            problems = digest(catalogue.problems)
            new, left = catalogue_sync.accept_catalogue(
                context.instance, topview.outline, catalogue, ledger
            )
        except CatalogueError as error:
            _hold(ledger, error)
            # Read again once it is another one: all of it each minute is much for a source.
            trouble = _reason(error)
            held = LastLook(version, now, False, trouble=trouble, problems=problems)
            if rows:
                trouble = topview.outline.worded(trouble)
                return dg.SensorResult(asset_events=rows, skip_reason=trouble, cursor=written(held))
            context.update_cursor(written(held))
            raise
        start = last.place_in(catalogue.version)
        ends = time.monotonic() + _HASH_SECONDS
        looked = catalogue_sync.changed_inputs(
            context.instance,
            topview,
            catalogue,
            ledger,
            start=start,
            is_over=lambda: time.monotonic() > ends,
        )
    left_over = len(looked.changed) - _MOST_OBSERVATIONS
    changes = looked.observations(context.instance, topview, catalogue)
    observations = list(islice(changes, _MOST_OBSERVATIONS))
    # What is left over is found again only from where this look began.
    place = start if left_over > 0 else looked.place
    is_more = left_over > 0 or not looked.is_whole
    later = ", more in the next tick" if is_more else ""
    said = [
        f"{counted(len(catalogue.products), 'product')}, "
        f"{counted(len(catalogue.problems), 'problem')} in rows",
        f"{len(new)} new, {len(left)} left",
        f"{counted(len(observations), 'change')} observed{later}",
    ]
    if looked.unreadable:
        first = next(iter(looked.unreadable.values()))
        said.append(f"{counted(len(looked.unreadable), 'product')} not observed: {first}")
    if topview.config.uid is None:
        said.append(f"no product is retired: {topview.config.unset('uid')}")
    return dg.SensorResult(
        asset_events=[*rows, *observations],
        skip_reason=topview.outline.worded("; ".join(said)),
        cursor=written(LastLook(catalogue.version, now, is_more, place, problems=problems)),
    )


def _hold(ledger: "Ledger | None", error: PipelineError) -> None:
    if ledger is not None:
        ledger.catalogue.hold(str(error))


def _rows(
    context: dg.SensorEvaluationContext,
    topview: TopviewResource,
    catalogue: "Catalogue",
    *,
    known: str,
) -> list[dg.AssetCheckEvaluation]:
    """Log the catalogue's bad rows, and report its check, unless Dagster knows them."""
    from topview_pipeline.defs.catalogue_sync import log_problems

    if digest(catalogue.problems) == known:
        return []
    log_problems(context.log, catalogue)
    source, found = topview.outline.key(STAGES[0].source), rows_result(catalogue)
    return [dg.AssetCheckEvaluation(asset_key=source, check_name=CATALOGUE_ROWS, **found)]
