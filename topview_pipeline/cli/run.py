"""`topview-pipeline run`: brings the catalogue up to date by the job catch_up, in this process."""

from __future__ import annotations

import signal
import socket
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import click
from rich.console import Console

from topview_pipeline.cli.console import SOME_FAILED, CannotStart, ask, say
from topview_pipeline.cli.environment import (
    QUIETLY,
    call_topview,
    open_instance,
    say_problems,
    usable_catalogue,
)
from topview_pipeline.cli.progress import Watcher, say_outcome
from topview_pipeline.definitions import defs, topview
from topview_pipeline.defs.dagster_private import execute_as_launched
from topview_pipeline.defs.jobs import CATCH_UP, catch_up_config
from topview_pipeline.defs.run import pair
from topview_pipeline.ledger import Ledger, TaskState
from topview_pipeline.stages import stages_named


@click.command()
@click.option("--product", "products", multiple=True, metavar="ID", help="Only this product.")
@click.option("--stage", "stages", multiple=True, metavar="ASSET_KEY", help="Only this stage.")
@click.option(
    "--limit", type=click.IntRange(min=1), help="Stop after this many products that need work."
)
@click.option("--force", is_flag=True, help="Make it again though it is there; it is paid again.")
@click.option(
    "--credit-limit",
    type=click.FloatRange(min=0.0),
    metavar="CREDITS",
    help="The most that this run may cost; what is over it is held for another run.",
)
@click.option(
    "--accept-change",
    is_flag=True,
    help="Accept that much of the catalogue is gone, or is made again.",
)
@click.option("--yes", is_flag=True, help="Do not ask before the whole catalogue is forced.")
@click.option("--dry-run", is_flag=True, help="Send nothing: only show the `plan`.")
@click.pass_context
def run(
    context: click.Context,
    /,
    products: tuple[str, ...],
    stages: tuple[str, ...],
    force: bool,
    yes: bool,
    dry_run: bool,
    **options: object,
) -> None:
    """Bring the catalogue (TOPVIEW_CATALOGUE) up to date; what exists costs nothing.

    Exit codes: 0 all done, 1 some failed (bad catalogue rows included), 2 nothing could start,
    3 some still pending or held.
    """
    if dry_run:
        from topview_pipeline.cli.plan import plan

        context.invoke(plan, products=products, stages=stages, force=force, **options)
    if force and not products:
        what = "--force without --product makes the whole catalogue again, and pays for all of it."
        ask(what, yes=yes)
    context.exit(catch_up(products, stages, force=force, **options))


def catch_up(
    products: Sequence[str] = (), stages: Sequence[str] = (), *, force: bool = False, **more: object
) -> int:
    """Execute the job catch_up here, show its progress, and return the exit code.

    Args:
        more: further fields of the job's config.

    Raises:
        PipelineError: it could not start; nothing was sent.
    """
    run_id = str(uuid.uuid4())
    console = Console()
    stages_named(stages)
    catalogue = usable_catalogue(topview, products, run_id=run_id)
    call_topview(topview, lambda client: client.check_account())
    config = catch_up_config(
        products=list(products),
        stages=list(stages),
        force=force,
        everything=force and not products,
        **more,
    )
    config["loggers"] = QUIETLY
    with open_instance() as instance, topview.ledger() as ledger:
        pair(instance, ledger, topview)
        has_bad_rows = say_problems(console, catalogue, products)
        with Watcher(topview, ledger, run_id, console) as watcher, _noted_signals() as signals:
            job = defs.resolve_job_def(CATCH_UP)
            ended = execute_as_launched(job, instance, run_config=config, run_id=run_id)
        progress = watcher.progress
        why = "\n".join(ended.failures)
        if not (progress.was_planned or signals):
            raise CannotStart(why)
        say_outcome(console, progress)
        if signals:
            say(_after_a_stop(ledger, run_id), console)
        elif progress.open:
            # Not the trouble of a product: the run itself broke.
            say(why, console, style="red")
            return SOME_FAILED
        return progress.exit_code(bad_rows=has_bad_rows)


@contextmanager
def _noted_signals() -> Iterator[list[int]]:
    """The signals that asked this process to end while the block ran, once it has ended.

    Dagster puts its own handlers in while a run executes: the signals are noted below them.
    """
    signals: list[int] = []
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield signals
        finally:
            signal.set_wakeup_fd(before)
            with suppress(BlockingIOError):
                signals += set(reader.recv(4096)) & {signal.SIGINT, signal.SIGTERM}


def _after_a_stop(ledger: Ledger, run_id: str) -> str:
    """Say what is left when a person ended the run."""
    states = (TaskState.RESERVED, TaskState.PENDING, TaskState.SUCCEEDED)
    left = sum(row.run_id == run_id for row in ledger.tasks.in_state(states))
    return (
        f"Stopped. Nothing more is sent; tasks of this run at Topview: {left}. The "
        "pending_task_sensor or the next run collects what they make."
    )
