"""`topview-pipeline run`: the catalogue up to date, through the catch_up job, in this process."""

from __future__ import annotations

import asyncio
import signal
import socket
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from topview_pipeline.cli.errors import (
    SOME_FAILED,
    SOME_PENDING,
    CannotStart,
    starting,
)

if TYPE_CHECKING:
    from dagster import ExecuteInProcessResult
    from rich.console import Console

    from topview_pipeline.catalogue import Catalogue
    from topview_pipeline.ledger import Ledger, OrderProgress
    from topview_pipeline.settings import Settings

_SHOWN_PROBLEMS = 20


@click.command()
@click.option("--product", "products", multiple=True, metavar="ID", help="Only this product.")
@click.option("--stage", "stages", multiple=True, metavar="ASSET_KEY", help="Only this stage.")
@click.option("--force", is_flag=True, help="Make it anew though it is there; it is paid again.")
@click.pass_context
def run(
    context: click.Context, products: tuple[str, ...], stages: tuple[str, ...], force: bool
) -> None:
    """Bring the catalogue (TOPVIEW_CATALOGUE) up to date; what exists costs nothing.

    Exit codes: 0 all done, 1 some failed (bad catalogue rows included), 2 nothing could start,
    3 some still pending or held.
    """
    context.exit(catch_up(products, stages, force=force))


def catch_up(products: Sequence[str], stages: Sequence[str], *, force: bool) -> int:
    """Run the catch_up job here and return the exit code."""
    from rich.console import Console

    from topview_pipeline.settings import Settings

    console = Console()
    with starting():
        settings = Settings.from_environment()
        catalogue = _catalogue(products, stages)
        _check_account(settings)
        ledger = _ledger(settings)
    try:
        _tell_problems(console, catalogue)
        return _execute(console, ledger, catalogue, products, stages, force)
    finally:
        ledger.close()


def _catalogue(products: Sequence[str], stages: Sequence[str]) -> Catalogue:
    from topview_pipeline.defs.resources import CatalogueResource
    from topview_pipeline.stages import stages_named

    stages_named(list(stages))
    catalogue = CatalogueResource().read()
    bad = {problem.product_id for problem in catalogue.problems}
    unknown = [name for name in products if name not in catalogue.products and name not in bad]
    if unknown:
        known = ", ".join(list(catalogue.products)[:10])
        raise CannotStart(
            f"the catalogue {catalogue.source} has no product {', '.join(map(repr, unknown))}; "
            f"it has {len(catalogue.products)}, such as {known}"
        )
    if not catalogue.products:
        reasons = "\n".join(f"  {problem}" for problem in catalogue.problems[:_SHOWN_PROBLEMS])
        raise CannotStart(f"the catalogue {catalogue.source} has no usable row:\n{reasons}")
    return catalogue


def _check_account(settings: Settings) -> None:
    """Ask Topview whether it takes our credentials, before anything is written down."""
    from topview_pipeline.settings import SettingsError
    from topview_pipeline.topview.client import TopviewClient

    for name, value in (("TOPVIEW_UID", settings.uid), ("TOPVIEW_API_KEY", settings.api_key)):
        if value is None:
            raise SettingsError(name, "it is not set", "Copy it from Topview's API page.")

    async def ask() -> None:
        try:
            client = TopviewClient(
                base_url=settings.base_url,
                uid=settings.uid or "",
                api_key=settings.api_key or "",
            )
        except ValueError as error:
            raise CannotStart(str(error)) from error
        async with client:
            await client.check_account()

    asyncio.run(ask())


def _ledger(settings: Settings) -> Ledger:
    from topview_pipeline.artifacts import ArtifactStore
    from topview_pipeline.defs.resources import LedgerResource

    ArtifactStore(settings.artifacts).check_writable()
    return LedgerResource().open()


def _tell_problems(console: Console, catalogue: Catalogue) -> None:
    for problem in catalogue.problems[:_SHOWN_PROBLEMS]:
        console.print(f"catalogue {problem}", style="yellow", highlight=False, markup=False)
    more = len(catalogue.problems) - _SHOWN_PROBLEMS
    if more > 0:
        console.print(f"... and {more} more bad rows", style="yellow")


def _execute(
    console: Console,
    ledger: Ledger,
    catalogue: Catalogue,
    products: Sequence[str],
    stages: Sequence[str],
    force: bool,
) -> int:
    import dagster as dg

    # Dagster's own use of its preview features is no news to whoever runs a catalogue.
    warnings.simplefilter("ignore", dg.BetaWarning)
    from topview_pipeline.cli.instance import open_instance, prepare_home
    from topview_pipeline.cli.outcome import tell_outcome
    from topview_pipeline.cli.progress import Watcher
    from topview_pipeline.definitions import defs
    from topview_pipeline.defs.jobs import CATCH_UP, catch_up_config

    home, chosen = prepare_home()
    if chosen:
        console.print(f"DAGSTER_HOME is not set; using {home}", highlight=False, soft_wrap=True)
    run_id = str(uuid.uuid4())
    config = catch_up_config(products=list(products), stages=list(stages), force=force)
    # The run's events are in Dagster; here the progress is told.
    config["loggers"] = {"console": {"config": {"log_level": "CRITICAL"}}}
    with (
        open_instance() as instance,
        Watcher(ledger, run_id, console),
        _withdrawing_on_ctrl_c(ledger, run_id),
    ):
        result = defs.resolve_job_def(CATCH_UP).execute_in_process(
            instance=instance,
            run_config=config,
            run_id=run_id,
            raise_on_error=False,
            tags={".dagster/repository": "__repository__@topview_pipeline"},
        )
    orders = ledger.progress.of_run(run_id)
    tell_outcome(console, orders, run_id)
    code = exit_code(orders, problems=bool(catalogue.problems))
    if result.success or code != 0:
        return code
    for reason in _reasons(result):
        console.print(reason, style="red", markup=False, highlight=False, soft_wrap=True)
    return SOME_FAILED


def _reasons(result: ExecuteInProcessResult) -> list[str]:
    """Why a run failed that ended no order: what Dagster was told."""
    failures = [event for event in result.all_events if event.is_step_failure]
    return [str(event.step_failure_data.error_display_string).splitlines()[0] for event in failures]


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
