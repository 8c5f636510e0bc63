"""`topview-pipeline run`: the catalogue up to date, through the catch_up job, in this process."""

from __future__ import annotations

import signal
import socket
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from topview_pipeline.cli.changes import accept_changes, check_changes
from topview_pipeline.cli.checks import (
    ask_to_force_everything,
    check_account,
    open_ledger,
    problems_of,
    tell_problems,
    usable_catalogue,
)
from topview_pipeline.cli.errors import SOME_FAILED, SOME_PENDING, starting
from topview_pipeline.cli.telling import tell

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from rich.console import Console

    from topview_pipeline.ledger import Ledger, OrderProgress


@click.command()
@click.option("--product", "products", multiple=True, metavar="ID", help="Only this product.")
@click.option("--stage", "stages", multiple=True, metavar="ASSET_KEY", help="Only this stage.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many products.")
@click.option("--force", is_flag=True, help="Make it anew though it is there; it is paid again.")
@click.option(
    "--credit-limit",
    type=click.FloatRange(min=0.0),
    metavar="CREDITS",
    help="The most that what this run orders may cost; the rest is held for another run.",
)
@click.option(
    "--accept-change",
    is_flag=True,
    help="The catalogue and the settings are meant as they are, however much they changed.",
)
@click.option("--yes", is_flag=True, help="Do not ask before the whole catalogue is forced.")
@click.pass_context
def run(
    context: click.Context,
    products: tuple[str, ...],
    stages: tuple[str, ...],
    limit: int | None,
    force: bool,
    credit_limit: float | None,
    accept_change: bool,
    yes: bool,
) -> None:
    """Bring the catalogue (TOPVIEW_CATALOGUE) up to date; what exists costs nothing.

    Exit codes: 0 all done, 1 some failed (bad catalogue rows included), 2 nothing could start,
    3 some still pending or held.
    """
    if force and not products and not yes:
        ask_to_force_everything()
    options = {"limit": limit, "credit_limit": credit_limit}
    context.exit(catch_up(products, stages, force=force, accept_change=accept_change, **options))


def catch_up(
    products: Sequence[str],
    stages: Sequence[str],
    *,
    force: bool,
    accept_change: bool = False,
    **options: float | None,
) -> int:
    """Run the catch_up job here and return the exit code.

    Args:
        accept_change: somebody says that catalogue and settings are meant as they are.
        options: further fields of the job's config.
    """
    from rich.console import Console

    from topview_pipeline.defs.jobs import catch_up_config
    from topview_pipeline.settings import Settings

    console = Console()
    with starting():
        settings = Settings.from_environment()
        catalogue = usable_catalogue(products, stages)
        check_account(settings)
        ledger = open_ledger(settings)
    problems = problems_of(catalogue, products)
    try:
        tell_problems(console, catalogue.warnings, problems)
        config = catch_up_config(
            products=list(products),
            stages=list(stages),
            force=force,
            everything=force and not products,
            **options,
        )
        with _instance(console) as instance:
            with starting():
                if accept_change:
                    accept_changes(ledger, catalogue)
                check_changes(instance, ledger, catalogue, whole=not (products or force))
            return _execute(console, ledger, instance, config, problems=bool(problems))
    finally:
        ledger.close()


def _execute(
    console: Console,
    ledger: Ledger,
    instance: DagsterInstance,
    config: dict[str, object],
    *,
    problems: bool,
) -> int:
    from topview_pipeline.cli.outcome import tell_outcome
    from topview_pipeline.cli.progress import Watcher
    from topview_pipeline.definitions import defs
    from topview_pipeline.defs.dagster_internals import execute_as_launched
    from topview_pipeline.defs.jobs import CATCH_UP
    from topview_pipeline.settings import Settings

    run_id = str(uuid.uuid4())
    slots = Settings.from_environment().max_concurrent_tasks
    # The run's events are in Dagster; here the progress is told.
    config["loggers"] = {"console": {"config": {"log_level": "CRITICAL"}}}
    with Watcher(ledger, run_id, console, slots=slots), _withdrawing_on_ctrl_c(ledger, run_id):
        job = defs.resolve_job_def(CATCH_UP)
        result = execute_as_launched(job, instance, run_config=config, run_id=run_id)
    orders = ledger.progress.of_run(run_id)
    if result.success or orders:
        tell_outcome(console, orders, run_id)
    code = exit_code(orders, problems=problems)
    if result.success or (orders and code != 0):
        return code
    for reason in result.failures:
        tell(console, reason, style="red")
    return SOME_FAILED


@contextmanager
def _instance(console: Console) -> Iterator[DagsterInstance]:
    """The Dagster instance to run on; says where it is when nobody named it."""
    import dagster as dg

    # Dagster's own use of its preview features is no news to whoever runs a catalogue.
    warnings.simplefilter("ignore", dg.BetaWarning)
    from topview_pipeline.cli.instance import open_instance, prepare_home

    home, chosen = prepare_home()
    if chosen:
        tell(console, f"DAGSTER_HOME is not set; using {home}")
    with open_instance() as instance:
        yield instance


@contextmanager
def _withdrawing_on_ctrl_c(ledger: Ledger, run_id: str) -> Iterator[None]:
    """Ctrl-C is a person's stop: what was not submitted is no longer wanted.

    Dagster puts its own handlers in while a run executes, so the signals are noted below them.
    """
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            if signal.SIGINT in _received(reader):
                ledger.orders.withdraw_runs([run_id], who="Ctrl-C")


def _received(reader: socket.socket) -> bytes:
    try:
        return reader.recv(4096)
    except BlockingIOError:
        return b""


def exit_code(orders: Sequence[OrderProgress], *, problems: bool) -> int:
    """1 some failed, else 3 some still pending or held, else 0."""
    from topview_pipeline.ledger import OrderState

    if problems or any(order.state is OrderState.FAILED for order in orders):
        return SOME_FAILED
    if any(order.state is not OrderState.DONE for order in orders):
        return SOME_PENDING
    return 0
