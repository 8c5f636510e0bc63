"""What became of Dagster's runs, as far as the ledger needs to know: cancelled, dead, at work.

A run that was killed stays as it was for ever under the default launcher, STARTED or, when it was
made and never launched, NOT_STARTED, and would block every queue that counts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import dagster as dg

from topview_pipeline.ledger import Ledger

_BEGUN: Final = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_MAY_BE_DEAD: Final = [dg.DagsterRunStatus.NOT_STARTED, *_BEGUN]
_UNFINISHED: Final = [dg.DagsterRunStatus.QUEUED, *_MAY_BE_DEAD]
LONGEST_SILENCE_SECONDS: Final = 3600.0
"""A run without a living producer that logs nothing for so long is dead: it hung, was killed while
it planned, or was never launched. Reading and hashing a large catalogue is silent, but takes
minutes; a run that waits for its turn is QUEUED and may wait for days."""


def end_dead_runs(instance: dg.DagsterInstance, ledger: Ledger, *, job: str, now: float) -> None:
    """Report runs that died without saying so: failed, or cancelled if a person stopped them.

    A run is dead when its producer is proven dead, and one of `job` also when it was silent for
    too long.

    Args:
        now: seconds since the epoch.
    """
    for record in instance.get_run_records(filters=dg.RunsFilter(statuses=_MAY_BE_DEAD)):
        run = record.dagster_run
        if ledger.producers.is_dead(run.run_id) or (
            run.job_name == job
            and not ledger.producers.is_at_work(run.run_id)
            and _last_sign(instance, record) < now - LONGEST_SILENCE_SECONDS
        ):
            _report(instance, run)


def _last_sign(instance: dg.DagsterInstance, record: dg.RunRecord) -> float:
    """When the run changed or logged last, in seconds since the epoch."""
    run_id = record.dagster_run.run_id
    events = instance.get_records_for_run(run_id, limit=1, ascending=False).records
    logged = [event.event_log_entry.timestamp for event in events]
    return max([record.update_timestamp.timestamp(), *logged])


def _report(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, "its process died while it was being stopped")
    else:
        instance.report_run_failed(run, "its process died; its orders are taken up anew")


def unfinished_run(instance: dg.DagsterInstance, job: str) -> str | None:
    """A run of the job that is queued or at work."""
    filters = dg.RunsFilter(job_name=job, statuses=_UNFINISHED)
    return next((run.run_id for run in instance.get_runs(filters=filters, limit=1)), None)


def is_stopped_by_a_person(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a run was terminated: it is CANCELING before the signal arrives."""
    run = instance.get_run_by_id(run_id)
    stopped = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
    return run is not None and run.status in stopped


def withdraw_cancelled(instance: dg.DagsterInstance, ledger: Ledger) -> None:
    """Take runs that a person cancelled off their orders, as after a forced termination."""
    cancelled = [
        run.run_id
        for some in chunks(sorted(ledger.orders.runs_that_ask()), 500)
        for run in instance.get_runs(
            filters=dg.RunsFilter(run_ids=some, statuses=[dg.DagsterRunStatus.CANCELED])
        )
    ]
    if cancelled:
        ledger.orders.withdraw_runs(cancelled, who="found cancelled")


def chunks(items: Iterable[str], size: int) -> Iterator[list[str]]:
    """The items in lists of at most `size`."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
