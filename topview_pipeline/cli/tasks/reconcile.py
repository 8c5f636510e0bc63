"""`topview-pipeline tasks reconcile`: look for lost answers in Topview's credit log now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from topview_pipeline.cli.errors import SOME_FAILED
from topview_pipeline.cli.tasks.opening import LOOK_SECONDS, opened, person, say

if TYPE_CHECKING:
    from topview_pipeline.producer.reconciling import Report


@click.command()
@click.pass_context
def reconcile(context: click.Context) -> None:
    """Look for lost answers in Topview's credit log, and settle what it settles.

    Runs and the pending_task_sensor do the same by themselves. Nothing is submitted.

    Exit codes: 0 the log was read, 1 it could not be read to its end, 2 nothing could start.
    """
    from topview_pipeline.reconciliation import reconcile_now

    with opened(key=True) as here:
        report = reconcile_now(here.settings, here.ledger, who=person(), seconds=LOOK_SECONDS)
    _tell(report)
    context.exit(SOME_FAILED if report.trouble is not None else 0)


def _tell(report: Report) -> None:
    from topview_pipeline.cli.tasks.wording import finding_lines, name_of

    for row in report.adopted:
        say(f"{name_of(row)} is Topview task {row.topview_task_id}: the next run brings it home")
    for row in report.released:
        say(f"{name_of(row)} is released: {row.error_message}")
    for finding in report.left:
        first, *more = finding_lines(finding)
        say(f"{name_of(finding.row)} stays unknown: {first}")
        for line in more:
            say(line)
    if report.trouble is not None:
        say(f"nothing is settled: {report.trouble}")
    left = len(report.left)
    say(f"{len(report.adopted)} adopted, {len(report.released)} released, {left} left unknown.")
    if any(finding.candidates for finding in report.left):
        say("To decide: topview-pipeline tasks show ROW, then tasks adopt or tasks release.")
