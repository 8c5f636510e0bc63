"""`topview-pipeline tasks`: the rows of the ledger, for people who look and decide."""

from __future__ import annotations

import html
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Final
from urllib.parse import quote

import click
from rich.console import Console

from topview_pipeline.cli.console import (
    SOME_FAILED,
    CannotStart,
    ask,
    in_credits,
    person,
    say,
    say_json,
    say_rows,
    span,
    worded,
)
from topview_pipeline.cli.environment import call_topview, pipeline
from topview_pipeline.cli.options import (
    complete_product,
    complete_stage,
    json_option,
    why_option,
    yes_option,
)
from topview_pipeline.defs.decisions import name_of, row_in
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.engine import reconcile as lost_answers
from topview_pipeline.engine.credit_log import Candidate, Finding, Leave, Rules
from topview_pipeline.ledger import Ledger, Task, TaskEvent, TaskState
from topview_pipeline.stages import BY_KEY, data_version, stages_named
from topview_pipeline.store import Artifact, StoreError, product_slug
from topview_pipeline.text import counted
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.errors import TaskUnknown, TopviewError

_LOOK_SECONDS: Final = 120.0
"""Longest time that a person waits for the credit log."""
_MOST_VALUE: Final = 300
"""Characters of one value of a request."""
_MOST_CANDIDATES: Final = 10
_MOST_BYTES: Final = 2 * 2**30
_STYLE: Final = (
    "body{font:15px sans-serif;margin:2em}main{display:flex;gap:2em;flex-wrap:wrap}"
    "section{max-width:24em}img,video{max-width:100%;display:block;margin:.5em 0}"
    "pre{white-space:pre-wrap}"
)
_NUMBER: Final = click.IntRange(1, 2**63 - 1)
"""A number that both databases take."""
_COLUMNS: Final = ("row", "product", "stage", "state", "age", "credits", "what next")
_LISTED: Final = (
    *("id", "pipeline", "product_id", "stage", "state", "attempt", "generation", "mode", "run_id"),
    *("topview_task_id", "estimate", "cost_credits", "reserved_at", "deadline_at"),
    *("succeeded_at", "error_code", "error_message", "retryable", "not_before"),
)
"""Fields of a row in a list for programs; times in seconds since the epoch."""
_NEXT: Final = {
    TaskState.RESERVED: "is being submitted",
    TaskState.PENDING: "Topview works on it",
    TaskState.SUCCEEDED: "is downloaded",
    TaskState.STORED: "done",
    TaskState.UNKNOWN: "may be paid: tasks show {}",
    TaskState.OVERDUE: "asked hourly; tasks void {} gives it up",
    TaskState.VOID: "not charged; the next run sends it again",
    TaskState.EXPIRED: "can no longer be downloaded; only --force remakes it",
}


@click.group()
def tasks() -> None:
    """Show submitted and paid tasks, and settle those that need a person.

    A task whose submit's answer was lost is unknown: it may be paid, and is not sent again.
    `reconcile` looks for it in Topview's credit log; `show` shows the tasks that it may be;
    `adopt` and `void` decide.
    """


@tasks.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in TaskState]),
    metavar="STATE",
    help="Only rows in this state. Repeatable.",
)
@click.option(
    "--product", metavar="ID", shell_complete=complete_product, help="Only this product's."
)
@click.option(
    "--stage", metavar="ASSET_KEY", shell_complete=complete_stage, help="Only this stage's."
)
@click.option("--limit", type=_NUMBER, default=50, show_default=True, help="At most.")
@json_option
def list_rows(
    states: tuple[str, ...], product: str | None, stage: str | None, limit: int, as_json: bool
) -> None:
    """List the newest task rows: what was submitted, where it stands, what it cost."""
    stages_named([stage] if stage else [])
    with pipeline().ledger() as ledger:
        rows, total = ledger.history.page(
            states=list(map(TaskState, states)), product_id=product, stage=stage, limit=limit
        )
        now, own = ledger.now(), ledger.pipeline
    if as_json:
        listed = [{name: getattr(row, name) for name in _LISTED} for row in rows]
        say_json({"rows": listed, "total": total})
        return
    if not rows:
        say("no such task row")
        return
    lines = []
    for row in rows:
        age = span(max(now - row.reserved_at, 0.0))
        head = (str(row.id), row.product_id, row.stage, row.state.value)
        whose = "" if row.pipeline == own else f" (pipeline {row.pipeline}, which no longer exists)"
        lines.append((*head, age, _credits_of(row), f"{_next_of(row)}{whose}"))
    say_rows(Console(), _COLUMNS, lines, right=["credits"])
    if total > len(rows):
        say(f"... and {counted(total - len(rows), 'older row')}; --limit shows more")


@tasks.command()
@click.argument("row", type=_NUMBER)
@click.option("--no-open", is_flag=True, help="Save the pictures, and do not open the page.")
@click.option("--json", "as_json", is_flag=True, help="Print what the ledger has, as JSON.")
def show(row: int, no_open: bool, as_json: bool) -> None:
    """Show a ROW: what was sent and when, and what happened to it since.

    An unknown one may be one of the tasks in Topview's credit log: their pictures or videos are
    saved in TOPVIEW_HOME, with a page that shows them beside what was sent.
    """
    topview = pipeline()
    with topview.ledger() as ledger:
        task = ledger.tasks.get(row)
        if as_json:
            history = [asdict(event) for event in ledger.history.events(task.id)]
            say_json({**asdict(task), "history": history})
            return
        for line in _row_lines(task):
            say(line)
        say("history (UTC):")
        for event in ledger.history.events(task.id):
            say(f"  {_event_line(event)}")
        if task.state is TaskState.UNKNOWN:
            _show_candidates(topview, ledger, task, may_open=not no_open)


def _show_candidates(
    topview: TopviewResource, ledger: Ledger, task: Task, *, may_open: bool
) -> None:
    if topview.config.api_key is None:
        say("TOPVIEW_API_KEY is not set: the tasks that it may be cannot be looked up at Topview.")
        return
    candidates = _look_for(topview, ledger, task)
    if candidates:
        page = call_topview(
            topview, lambda client: _save_page(client, topview, ledger, task, candidates)
        )
        say(f"A page to compare them: {page}")
        if may_open and sys.stdout.isatty():
            click.launch(str(page))
    say(
        f"To decide: topview-pipeline tasks adopt {task.id} TOPVIEW_TASK_ID, or "
        f"topview-pipeline tasks void {task.id} --why TEXT"
    )


@tasks.command()
@click.argument("row", type=_NUMBER)
@click.argument("topview_task_id")
@why_option
@yes_option
def adopt(row: int, topview_task_id: str, why: str, yes: bool) -> None:
    """Say that an unknown ROW is the Topview task TOPVIEW_TASK_ID.

    Its result is then downloaded for that product instead of being made, and paid, again.
    """
    topview = pipeline()
    topview.config.require_account()
    with topview.ledger() as ledger:
        task = row_in(ledger, row, TaskState.UNKNOWN)
        stage = BY_KEY[task.stage]
        try:
            result = call_topview(
                topview, lambda client: client.query(stage.endpoint, topview_task_id)
            )
        except TaskUnknown as error:
            raise CannotStart(f"Topview knows no {stage.kind} task {topview_task_id}") from error
        say(f"{name_of(task)}, submitted with:")
        for name, value in (task.request or {}).items():
            say(f"  {name}: {value}")
        cost = "" if result.cost_credit is None else f", {in_credits(result.cost_credit)}"
        trouble = "" if result.error_msg is None else f", {result.error_msg}"
        say(f"Topview task {topview_task_id}: {result.raw_status}{cost}{trouble}")
        ask("Its result becomes the result of this row.", yes=yes)
        why = why or "a person said so"
        ledger.unknowns.adopt(task.id, topview_task_id, why=why, who=person())
    say("Adopted. The next run of its product, or the pending_task_sensor, collects it.")


@tasks.command()
@click.argument("row", type=_NUMBER)
@click.option("--why", required=True, metavar="TEXT", help="The reason, kept in the ledger.")
@yes_option
def void(row: int, why: str, yes: bool) -> None:
    """Give up an unknown or overdue ROW: its work may then be submitted, and paid, again."""
    topview = pipeline()
    topview.config.require_account()
    with topview.ledger() as ledger:
        task = row_in(ledger, row, TaskState.UNKNOWN, TaskState.OVERDUE)
        say(f"{name_of(task)}, submitted {_moment(task.reserved_at)} UTC:")
        if task.state is TaskState.UNKNOWN:
            _look_for(topview, ledger, task)
        else:
            say(f"Topview has it as task {task.topview_task_id}: it may still end and be charged.")
        ask("Its work may then be submitted and paid again.", yes=yes)
        ledger.tasks.void(task.id, why=why, who=person())
    say("It is void. The next run that needs it sends it again.")


@tasks.command()
@click.pass_context
def reconcile(context: click.Context) -> None:
    """Look up lost answers in Topview's credit log, and settle the clear cases.

    Runs and the pending_task_sensor do the same automatically. Nothing is submitted.
    """
    topview = pipeline()
    topview.config.require_account()
    with topview.ledger() as ledger:
        report = _ask_credit_log(topview, ledger)
    for row in report.adopted:
        say(f"{name_of(row)} is Topview task {row.topview_task_id}: the next run collects it")
    for row in report.voided:
        say(f"{name_of(row)} is void: {row.error_message}")
    for finding in report.left:
        first, *more = _finding_lines(finding)
        say("\n".join([f"{name_of(finding.row)} stays unknown: {first}", *more]))
    if report.trouble is not None:
        say(f"nothing is settled: {report.trouble}")
    left = len(report.left)
    say(f"{len(report.adopted)} adopted, {len(report.voided)} void, {left} left unknown.")
    if any(finding.candidates for finding in report.left):
        say("To decide: topview-pipeline tasks show ROW, then tasks adopt or tasks void.")
    context.exit(0 if report.trouble is None else SOME_FAILED)


# At Topview


def _ask_credit_log(
    topview: TopviewResource, ledger: Ledger, *, settle: bool = True
) -> lost_answers.Reconciled:
    rules = Rules(topview.config.account_exclusive, topview.config.unknown_deadlines)
    return call_topview(
        topview,
        lambda client: lost_answers.reconcile(
            client,
            ledger,
            rules,
            stages=BY_KEY,
            who=person(),
            seconds=_LOOK_SECONDS,
            settle=settle,
        ),
    )


def _look_for(topview: TopviewResource, ledger: Ledger, task: Task) -> Sequence[Candidate]:
    """Say what the credit log says about a row; the charges that may be its task."""
    report = _ask_credit_log(topview, ledger, settle=False)
    if report.trouble is not None:
        say(f"the credit log could not be read to its end: {report.trouble}")
    # None: somebody settled it a moment ago.
    found = next((finding for finding in report.findings if finding.row.id == task.id), None)
    for line in _finding_lines(found) if found else ():
        say(line)
    return found.candidates if found else ()


async def _save_page(
    client: TopviewClient,
    topview: TopviewResource,
    ledger: Ledger,
    row: Task,
    candidates: Sequence[Candidate],
) -> Path:
    """Save what was sent and what the candidates are, with a page of both; say what is missing."""
    folder = topview.config.home / "candidates" / str(row.id)
    sent = _save_sent(topview, ledger, row, folder / "sent")
    request = "\n".join(f"{name}: {value}" for name, value in (row.request or {}).items())
    sections = [_section("What was sent", sent, request)]
    for one in candidates[:_MOST_CANDIDATES]:
        task_id = one.topview_task_id
        files = await _save(client, row, task_id, folder / product_slug(task_id))
        command = worded(f"topview-pipeline tasks adopt {row.id} {task_id}")
        sections.append(_section(_candidate_line(one), files, command))
    if len(candidates) > _MOST_CANDIDATES:
        say(f"only the first {_MOST_CANDIDATES} of {len(candidates)} charges are shown")
    title = html.escape(f"Row {row.id}, {row.stage} of {row.product_id}: which of these is it?")
    none = worded(f"topview-pipeline tasks void {row.id}")
    page = folder / "index.html"
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><main>{''.join(sections)}</main>"
        f"<p>If it is none of them: {none} --why TEXT</p>",
        encoding="utf-8",
    )
    return page


async def _save(client: TopviewClient, row: Task, task_id: str, folder: Path) -> list[Path]:
    stage = BY_KEY[row.stage]
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    try:
        for file in stage.downloads(await client.query(stage.endpoint, task_id)) or ():
            partial = folder / f"{file.name}.part"
            with partial.open("wb") as sink:
                await client.download(file.url, sink, max_bytes=_MOST_BYTES, expect=file.expect)
            files.append(partial.replace(folder / file.name))
    except TopviewError as error:
        say(str(error))
    else:
        if not files:
            say(f"Topview gives no files of task {task_id}")
    return files


def _save_sent(topview: TopviewResource, ledger: Ledger, row: Task, folder: Path) -> list[Path]:
    """The pictures of the stage before that were sent, if the product still has them."""
    folder.mkdir(parents=True, exist_ok=True)
    stage = BY_KEY[row.stage]
    made = ledger.tasks.last_made(row.product_id, str(stage.upstream))
    if made is None or row.inputs.get(made.stage) != data_version(made.fingerprint):
        say("the product has other pictures now than those that were sent: see the request")
        return []
    wanted = stage.upstream_files(row.request or {}, made.result or {})
    files = []
    try:
        for artifact in map(Artifact.from_json, made.artifacts or ()):
            if artifact.name in wanted:
                (folder / artifact.name).write_bytes(topview.store.read_bytes(artifact))
                files.append(folder / artifact.name)
    except StoreError as error:
        say(str(error))
    return files


def _section(title: str, files: Sequence[Path], text: str) -> str:
    """A column of the page, which is in the folder above that of the files."""
    media = ""
    for file in files:
        source = f"{quote(file.parent.name)}/{quote(file.name)}"
        is_video = file.suffix == ".mp4"
        media += f'<video controls src="{source}"></video>' if is_video else f'<img src="{source}">'
    return f"<section><h2>{html.escape(title)}</h2>{media}<pre>{html.escape(text)}</pre></section>"


# In words


def _moment(seconds: float | None) -> str:
    """A time of the ledger, in UTC; a dash where there is none."""
    if seconds is None:
        return "-"
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M:%S}"


def _candidate_line(candidate: Candidate) -> str:
    cost = "? credits" if candidate.credits is None else in_credits(candidate.credits)
    return f"{candidate.topview_task_id}: {cost} at {_moment(candidate.at)} UTC"


def _finding_lines(finding: Finding) -> Iterator[str]:
    if isinstance(finding.verdict, Leave):
        yield "; ".join(finding.verdict.reasons)
    elif not finding.candidates:
        yield "nothing that fits was charged since"
    for candidate in finding.candidates:
        yield f"  may be Topview task {_candidate_line(candidate)}"


def _credits_of(task: Task) -> str:
    """Its cost, or with a ~ its estimate."""
    if task.cost_credits is not None:
        return f"{round(task.cost_credits, 2):g}"
    return "-" if task.estimate is None else f"~{round(task.estimate, 2):g}"


def _next_of(task: Task) -> str:
    if task.state is TaskState.FAILED:
        return "tried again when due" if task.retryable else "sent again only with force"
    return _NEXT[task.state].format(task.id)


def _row_lines(task: Task) -> Iterator[str]:
    yield f"{name_of(task)}: {task.state.value}, {_next_of(task)}"
    facts = {
        "Topview task": task.topview_task_id or "-",
        "submitted": f"{_moment(task.reserved_at)} UTC, attempt {task.attempt}",
        "deadline": f"{_moment(task.deadline_at)} UTC",
        "finished": f"{_moment(task.succeeded_at)} UTC",
        "credits": _credits_of(task),
        "run": task.run_id,
        "fingerprint": f"{task.fingerprint} (generation {task.generation})",
        "trouble": task.error_message,
    }
    for name, fact in facts.items():
        if fact:
            yield f"  {name:<13} {fact}"
    yield "  request"
    for name, value in (task.request or {}).items():
        text = value if isinstance(value, str) else json.dumps(value)
        yield f"    {name}: {text[:_MOST_VALUE]}{'...' if len(text) > _MOST_VALUE else ''}"
    for asset, version in task.inputs.items():
        yield f"    made from {asset} {version}"


def _event_line(event: TaskEvent) -> str:
    detail = dict(event.detail)
    before, why = detail.pop("from", None), detail.pop("why", None)
    was = "" if before is None else f" (was {before})"
    because = f": {why}" if why else ""
    more = f" {json.dumps(detail)}" if detail else ""
    return f"{_moment(event.at)} {event.what}{was} by {event.who}{because}{more}"
