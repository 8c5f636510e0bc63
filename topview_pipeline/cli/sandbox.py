"""`topview-pipeline sandbox`: a local Topview in the foreground."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import click

from topview_pipeline.cli.errors import CannotStart


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes a free one.")
@click.option("--speed", type=float, default=1.0, help="Durations are divided by it.")
@click.option("--concurrency", type=int, default=4, help="Task slots of the account.")
@click.option("--media", type=click.Choice(["real", "tiny"]), default="real")
@click.option("--fault", "faults", multiple=True, metavar="NAME=PROB", help="Inject a fault.")
@click.option("--seed", type=int, default=0, help="Of durations and faults.")
@click.option("--forget-after", type=float, metavar="SECONDS", help="When ids die.")
@click.option("--credits", "balance", type=float, default=10_000.0, help="On the account.")
@click.option("--end-with-stdin", is_flag=True, hidden=True, help="End when stdin is closed.")
@click.option(
    "--state", type=click.Path(path_type=Path, file_okay=False), help="Keep state in this folder."
)
def sandbox(
    port: int,
    speed: float,
    concurrency: int,
    media: str,
    faults: tuple[str, ...],
    seed: int,
    forget_after: float | None,
    balance: float,
    end_with_stdin: bool,
    state: Path | None,
) -> None:
    """Run a local Topview until Ctrl-C. Nothing of it is real, and nothing is paid."""
    import socket

    from topview_pipeline.sandbox.config import SandboxConfig
    from topview_pipeline.sandbox.serve import serve

    try:
        config = SandboxConfig(
            speed=speed,
            concurrency=concurrency,
            media="tiny" if media == "tiny" else "real",
            faults=dict(_fault(text) for text in faults),
            seed=seed,
            forget_after=forget_after,
            credits=balance,
            state_dir=state,
        )
        if port == 0:
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
        click.echo("Point the pipeline at it:")
        click.echo(f"  export TOPVIEW_BASE_URL=http://127.0.0.1:{port}")
        click.echo(f"  export TOPVIEW_UID={config.uid}")
        click.echo(f"  export TOPVIEW_API_KEY={config.api_key}")
        click.echo(f"  export TOPVIEW_MAX_CONCURRENT_TASKS={concurrency}")
        if end_with_stdin:
            # Whoever ignores SIGTERM hands that on: until `serve` handles it, it would do nothing.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            threading.Thread(target=_end_with_stdin, daemon=True).start()
        serve(config, port=port)
    except (ValueError, OSError) as error:
        raise CannotStart(f"the sandbox cannot start: {error}") from error


def _end_with_stdin() -> None:
    """Whoever started us holds the other end, and the system closes it however they end."""
    while os.read(sys.stdin.fileno(), 1024):
        continue
    os.kill(os.getpid(), signal.SIGTERM)


def _fault(text: str) -> tuple[str, float]:
    name, equals, probability = text.partition("=")
    try:
        return name, float(probability if equals else "1")
    except ValueError as error:
        raise CannotStart(f"--fault {text}: write NAME=PROB, such as drop_submit=0.05") from error
