"""`topview-pipeline check`: is everything ready for a run? One line for each part."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click
from dagster import DagsterInstance
from rich.console import Console

from topview_pipeline.cli.console import (
    NOTHING_COULD_START,
    SOME_FAILED,
    CannotStart,
    in_credits,
    say,
    say_json,
)
from topview_pipeline.cli.environment import call_topview, open_instance, pipeline
from topview_pipeline.cli.options import json_option
from topview_pipeline.defs.instance import missing_settings
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.defs.run import check_ready
from topview_pipeline.engine.scene_judge import open_judge
from topview_pipeline.errors import PipelineError
from topview_pipeline.setting_types import project_root
from topview_pipeline.settings import unknown_variables
from topview_pipeline.text import counted

_SHOWN_PROBLEMS: Final = 5
_ENOUGH_BYTES: Final = 2e9


@dataclass(frozen=True)
class Part:
    """One part of the surroundings: what is there, and what to do when it is not as it must be.

    Attributes:
        can_run: a run starts with it; without `ok` it does not go as it should.
    """

    name: str
    ok: bool
    what: str
    fix: str = ""
    can_run: bool = True


class NotReady(PipelineError):
    """A run starts with the part as it is, and does not go as it should."""


@click.command()
@json_option
@click.pass_context
def check(context: click.Context, as_json: bool) -> None:
    """Check whether a run could start: settings, catalogue, ledger, store, account, Dagster.

    It spends nothing. It makes the ledger when there is none.

    Exit codes: 0 ready, 1 a run could start, and a line says what to fix, 2 it could not.
    """
    with ExitStack() as opened:
        parts = list(_parts(opened))
    if as_json:
        say_json([asdict(part) for part in parts])
    else:
        _say(parts)
    if not all(part.can_run for part in parts):
        context.exit(NOTHING_COULD_START)
    context.exit(0 if all(part.ok for part in parts) else SOME_FAILED)


def _say(parts: list[Part]) -> None:
    console = Console()
    width = max(len(part.name) for part in parts)
    good, bad = "✓", "✗"
    try:
        "✓✗".encode(console.encoding)
    except (UnicodeError, LookupError):
        good, bad = "ok", "!!"
    for part in parts:
        mark, style = (good, "") if part.ok else (bad, "red")
        say(f"{mark} {part.name:<{width}}  {part.what}", console, style=style)
        for line in part.fix.splitlines():
            say(f"  {'':<{width}}  {line}", console)


def _parts(opened: ExitStack) -> Iterator[Part]:
    """All parts, each looked at by itself."""
    ours, dagster = version("topview-pipeline"), version("dagster")
    versions = f"topview-pipeline {ours}, Dagster {dagster}, Python {platform.python_version()}"
    yield Part("versions", True, versions)
    yield _looked("settings", _settings)
    instances: list[DagsterInstance] = []
    yield _looked("dagster", lambda: _dagster(opened, instances))
    try:
        topview = pipeline()
    except PipelineError:
        return  # the line of the settings says why
    yield _looked("catalogue", lambda: _catalogue(topview))
    yield _looked("account", lambda: _account(topview))
    if topview.config.uid is not None:  # both are an account's; else that line says it
        yield _looked("store", lambda: _store(topview))
        yield _looked("ledger", lambda: _ledger(topview, instances))
    if (judge := topview.config.scene_judge) is not None:
        yield _looked("scene judge", lambda: _judge(judge))


def _looked(name: str, look: Callable[[], str]) -> Part:
    try:
        return Part(name, True, look())
    except PipelineError as error:
        what = f"{error.where}: {error.what}" if error.where else error.what
        return Part(name, False, what, error.fix, can_run=isinstance(error, NotReady))


def _settings() -> str:
    pipeline()
    if unknown := unknown_variables(os.environ):
        named = ", ".join(name for name, _ in unknown)
        near = " ".join(f"Did you mean {near} by {name}?" for name, near in unknown if near)
        raise NotReady(f"there is no setting {named}", fix=near or "Remove it.")
    without = "" if (project_root() / ".env").is_file() else ", without a .env"
    return f"project folder {project_root()}{without}"


def _dagster(opened: ExitStack, found: list[DagsterInstance]) -> str:
    found.append(instance := opened.enter_context(open_instance(advise=False)))
    home = os.environ["DAGSTER_HOME"]
    if lines := missing_settings(instance):
        what = (
            "it does not limit the processes of a backfill, or does not restart a run after its "
            "process died"
        )
        where, fix = str(Path(home) / "dagster.yaml"), f"Add these lines to it:\n{lines}"
        raise NotReady(what, where, fix)
    return f"{home}: backfills are limited, crashed runs are restarted"


def _judge(setting: str) -> str:
    open_judge(setting)
    return f"{setting}: can be called"


def _catalogue(topview: TopviewResource) -> str:
    found = topview.catalogue()
    good, bad = len(found.products), len({problem.line for problem in found.problems})
    if not found.problems:
        notes = "".join(f"; {warning}" for warning in found.warnings[:_SHOWN_PROBLEMS])
        return f"{found.source}: {counted(good, 'product')}{notes}"
    shown = [str(problem) for problem in found.problems[:_SHOWN_PROBLEMS]]
    if len(found.problems) > _SHOWN_PROBLEMS:
        shown.append(f"... and {len(found.problems) - _SHOWN_PROBLEMS} more")
    what = f"{counted(good, 'good row')}, {counted(bad, 'bad row')}"
    refusal = NotReady if good else CannotStart
    raise refusal(what, found.source, "\n".join(shown))


def _store(topview: TopviewResource) -> str:
    from topview_pipeline.ledger.ledger import account_id

    config, store = topview.config, topview.store
    store.check_writable(account_id(config.base_url, config.require_uid()))
    if store.local_root is None:
        return f"{store.location}: can be written"
    free = shutil.disk_usage(store.local_root).free
    what = f"{free / 1e9:,.1f} GB free"
    if free < _ENOUGH_BYTES:
        raise NotReady(what, store.location, "Free space, or let TOPVIEW_STORE name another place.")
    return f"{store.location}: can be written, {what}"


def _ledger(topview: TopviewResource, instance: list[DagsterInstance]) -> str:
    with topview.ledger() as ledger:
        for one in instance:
            check_ready(one, ledger, topview, write=False)
        is_new = "" if ledger.has_tasks() else ", no task yet"
        return f"{ledger.where}{is_new}"


def _account(topview: TopviewResource) -> str:
    detail = call_topview(topview, lambda client: client.check_account())
    left = "credits unknown" if detail.remain_credit is None else in_credits(detail.remain_credit)
    config = topview.config
    where = f"{config.uid} at {config.base_url}"
    if detail.remain_credit is not None and detail.remain_credit <= 0:
        fix = "Buy some, or wait until your plan adds some."
        raise CannotStart("no credits are left", where, fix)
    return f"{where}: the key is accepted, {left} left, {counted(config.slots, 'slot')}"
