"""`topview-pipeline tasks show`: one row, its history, and what a lost answer may have been."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from topview_pipeline.cli.tasks.opening import LOOK_SECONDS, Opened, opened, say

if TYPE_CHECKING:
    from topview_pipeline.ledger import Task, TaskEvent
    from topview_pipeline.producer.findings import Finding

_MOST_VALUE = 300
"""Characters of one value of a request."""


@click.command()
@click.argument("row", type=int)
@click.option("--no-open", is_flag=True, help="Only save the pictures, open no viewer.")
def show(row: int, no_open: bool) -> None:
    """Show a ROW: what was sent and when, and what happened to it since.

    For an unknown one, what it may be by Topview's credit log: each candidate's pictures or video
    are saved in TOPVIEW_HOME, beside what was sent, and opened to compare.
    """
    from topview_pipeline.ledger import TaskState

    with opened() as here:
        task = here.row(row)
        for line in _row_lines(task):
            say(line)
        say("history (UTC):")
        for event in here.ledger.browsing.history(task.id):
            say(f"  {_event_line(event)}")
        if task.state is TaskState.UNKNOWN:
            _show_candidates(here, task, may_open=not no_open)


def _row_lines(task: Task) -> Iterator[str]:
    from topview_pipeline.cli.tasks.wording import credits_of, moment, name_of, next_of

    yield f"{name_of(task)}: {task.state.value}, {next_of(task)}"
    yield f"  Topview task  {task.topview_task_id or '-'}"
    yield f"  submitted     {moment(task.reserved_at)} UTC, attempt {task.attempt}"
    yield f"  deadline      {moment(task.deadline_at)} UTC"
    yield f"  finished      {moment(task.succeeded_at)} UTC"
    yield f"  credits       {credits_of(task)}"
    yield f"  run           {task.run_id}"
    yield f"  fingerprint   {task.fingerprint} (generation {task.generation})"
    if task.error_message:
        yield f"  trouble       {task.error_message}"
    yield "  request"
    for name, value in (task.request or {}).items():
        yield f"    {name}: {_short(value)}"
    for asset, version in task.inputs.items():
        yield f"    made from {asset} {version}"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _MOST_VALUE else f"{text[:_MOST_VALUE]}..."


def _event_line(event: TaskEvent) -> str:
    from topview_pipeline.cli.tasks.wording import moment

    told = dict(event.detail)
    before, why = told.pop("from", None), told.pop("why", None)
    parts = [moment(event.at), event.what]
    if before is not None:
        parts.append(f"(was {before})")
    parts.append(f"by {event.who}")
    if why:
        parts.append(f": {why}")
    if told:
        parts.append(json.dumps(told))
    return " ".join(parts)


def _show_candidates(here: Opened, task: Task, *, may_open: bool) -> None:
    from topview_pipeline.cli.tasks.looking import look_for
    from topview_pipeline.cli.tasks.wording import finding_lines

    if here.settings.api_key is None:
        say("TOPVIEW_API_KEY is not set: what it may be cannot be looked up at Topview.")
        return
    finding, trouble = look_for(here, task, seconds=LOOK_SECONDS)
    if trouble is not None:
        say(f"the credit log could not be read to its end: {trouble}")
    if finding is None:  # settled by somebody a moment ago
        return
    for line in finding_lines(finding):
        say(line)
    if finding.candidates:
        _compare(here, finding, may_open=may_open)
    say(f"To decide: tasks adopt {task.id} TOPVIEW_TASK_ID, or tasks release {task.id} --why TEXT")


def _compare(here: Opened, finding: Finding, *, may_open: bool) -> None:
    from topview_pipeline.cli.tasks.comparing import compare

    page, troubles = compare(here.settings, here.ledger, finding)
    for trouble in troubles:
        say(trouble)
    say(f"to compare: {page}")
    if may_open and sys.stdout.isatty():
        click.launch(str(page))
