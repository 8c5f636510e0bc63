"""One unknown row in the credit log, for the commands that tell a person about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from topview_pipeline.cli.tasks.opening import Opened, person

if TYPE_CHECKING:
    from topview_pipeline.ledger import Task
    from topview_pipeline.producer.findings import Finding


def look_for(here: Opened, task: Task, *, seconds: float) -> tuple[Finding | None, str | None]:
    """What the log says about a row, and why it could not be read, if it could not."""
    from topview_pipeline.producer.reconciling import look_for_lost_answers
    from topview_pipeline.reconciliation import rules_of, with_client

    look = with_client(
        here.settings,
        lambda client: look_for_lost_answers(
            client, here.ledger, rules_of(here.settings), who=person(), seconds=seconds
        ),
    )
    found = [finding for finding in look.findings if finding.row.id == task.id]
    return (found[0] if found else None), look.trouble
