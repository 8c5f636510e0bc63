"""`topview-pipeline tasks adopt`: a person says which Topview task a lost answer named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from topview_pipeline.cli.errors import CannotStart
from topview_pipeline.cli.tasks.opening import Opened, ask, opened, person, say

if TYPE_CHECKING:
    from topview_pipeline.ledger import Task


@click.command()
@click.argument("row", type=int)
@click.argument("topview_task_id")
@click.option("--why", default="", metavar="TEXT", help="A reason, kept in the ledger.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def adopt(row: int, topview_task_id: str, why: str, yes: bool) -> None:
    """Say that an unknown ROW is the Topview task TOPVIEW_TASK_ID.

    Its result is then downloaded for that product instead of being made, and paid, again.

    Exit codes: 0 adopted, 2 nothing was done.
    """
    from topview_pipeline.cli.tasks.wording import name_of

    with opened(key=True) as here:
        task = here.row(row)
        _check(here, task, topview_task_id)
        told = _ask_topview(here, task, topview_task_id)
        say(f"{name_of(task)}, submitted with:")
        for name, value in (task.request or {}).items():
            say(f"  {name}: {value}")
        say(f"Topview task {topview_task_id}: {told}")
        ask("Its result will be taken for that of this row.", yes=yes)
        here.ledger.unknowns.adopt(
            task.id, topview_task_id, why=why or "a person said so", who=person()
        )
    say("Adopted. The next run of its product, or the pending_task_sensor, brings it home.")


def _check(here: Opened, task: Task, topview_task_id: str) -> None:
    from topview_pipeline.cli.tasks.wording import name_of
    from topview_pipeline.ledger import TaskState

    if task.state is not TaskState.UNKNOWN:
        raise CannotStart(
            f"{name_of(task)} is {task.state.value}; only unknown rows can be given a Topview task"
        )
    other = here.ledger.browsing.row_of(topview_task_id)
    if other is not None:
        raise CannotStart(f"Topview task {topview_task_id} is task row {other}'s already")


def _ask_topview(here: Opened, task: Task, topview_task_id: str) -> str:
    """What Topview says of the task; no answer and no such task of this kind end the command."""
    from topview_pipeline.reconciliation import with_client
    from topview_pipeline.stages import BY_KEY, calls
    from topview_pipeline.topview.errors import TaskUnknown

    stage = BY_KEY[task.stage]
    try:
        result = with_client(
            here.settings, lambda client: calls.query(client, stage, topview_task_id)
        )
    except TaskUnknown as error:
        raise CannotStart(f"Topview knows no {stage.kind} task {topview_task_id}") from error
    cost = "" if result.cost_credit is None else f", {result.cost_credit:g} credits"
    trouble = "" if result.error_msg is None else f", {result.error_msg}"
    return f"{result.raw_status}{cost}{trouble}"
