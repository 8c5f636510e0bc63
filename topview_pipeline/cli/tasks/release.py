"""`topview-pipeline tasks release`: a person gives a row up, so that its work may be sent again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from topview_pipeline.cli.errors import CannotStart
from topview_pipeline.cli.tasks.opening import LOOK_SECONDS, Opened, ask, opened, person, say

if TYPE_CHECKING:
    from topview_pipeline.ledger import Task


@click.command()
@click.argument("row", type=int)
@click.option("--why", required=True, metavar="TEXT", help="The reason, kept in the ledger.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def release(row: int, why: str, yes: bool) -> None:
    """Give up an unknown or stalled ROW: its work may then be submitted, and paid, again.

    Exit codes: 0 released, 2 nothing was done.
    """
    from topview_pipeline.cli.tasks.wording import name_of
    from topview_pipeline.ledger import TaskState

    with opened(key=True) as here:
        task = here.row(row)
        if task.state not in (TaskState.UNKNOWN, TaskState.STALLED):
            raise CannotStart(
                f"{name_of(task)} is {task.state.value}; only unknown and stalled rows can be "
                "released"
            )
        say(f"{name_of(task)}, submitted {_when(task)}:")
        for line in _booked(here, task):
            say(f"  {line}")
        ask("Its work may then be submitted and paid again.", yes=yes)
        here.ledger.unknowns.release(task.id, why=why, who=person())
    say("Released. If it is still ordered, the next run or the pending_task_sensor sends it again.")


def _when(task: Task) -> str:
    from topview_pipeline.cli.tasks.wording import moment

    return f"{moment(task.reserved_at)} UTC"


def _booked(here: Opened, task: Task) -> Iterator[str]:
    """What Topview may have booked for it."""
    from topview_pipeline.cli.tasks.looking import look_for
    from topview_pipeline.cli.tasks.wording import candidate_line
    from topview_pipeline.ledger import TaskState

    if task.state is TaskState.STALLED:
        yield (
            f"Topview has it as task {task.topview_task_id}, which may still end and be charged; "
            "its result would be lost"
        )
        return
    finding, trouble = look_for(here, task, seconds=LOOK_SECONDS)
    if trouble is not None:
        yield f"what was booked since cannot be told: {trouble}"
    elif finding is None or not finding.candidates:
        yield "nothing that fits was booked since, as far as the credit log goes"
    for candidate in () if finding is None else finding.candidates:
        yield f"it may be Topview task {candidate_line(candidate)}: adopting it costs nothing"
