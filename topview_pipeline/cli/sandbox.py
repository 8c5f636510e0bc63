"""`topview-pipeline sandbox`: a local Topview in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from topview_pipeline.cli.console import CannotStart
from topview_pipeline.cli.demo import free_port


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes a free one.")
@click.option("--speed", type=float, default=1.0, help="Durations are divided by it.")
@click.option("--concurrency", type=int, default=4, help="Task slots of the account.")
@click.option("--media", type=click.Choice(["real", "tiny"]), default="real")
@click.option("--fault", "faults", multiple=True, metavar="NAME=PROB", help="Inject a fault.")
@click.option("--seed", type=int, default=0, help="Of durations and faults.")
@click.option("--forget-after", type=float, metavar="SECONDS", help="When ids die.")
@click.option("--credits", type=float, default=10_000.0, help="On the account.")
@click.option(
    "--state",
    "state_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep state in this folder.",
)
def sandbox(port: int, faults: tuple[str, ...], **settings: Any) -> None:
    """Run a local Topview until Ctrl-C. Nothing of it is real, and nothing is paid."""
    from topview_pipeline.sandbox.config import SandboxConfig
    from topview_pipeline.sandbox.serve import serve

    try:
        config = SandboxConfig(faults=dict(map(_fault, faults)), **settings)
        port = port or free_port()
        click.echo("Point the pipeline at it:")
        click.echo(f"  export TOPVIEW_BASE_URL=http://127.0.0.1:{port}")
        click.echo(f"  export TOPVIEW_UID={config.uid}")
        click.echo(f"  export TOPVIEW_API_KEY={config.api_key}")
        click.echo(f"  export TOPVIEW_SLOTS={config.concurrency}")
        serve(config, port=port)
    except (ValueError, OSError) as error:
        raise CannotStart(f"the sandbox cannot start: {error}") from error


def _fault(text: str) -> tuple[str, float]:
    name, equals, probability = text.partition("=")
    try:
        return name, float(probability if equals else "1")
    except ValueError as error:
        raise CannotStart(f"--fault {text}: write NAME=PROB, such as drop_submit=0.05") from error
