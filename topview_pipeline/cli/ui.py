"""`topview-pipeline ui`: the Dagster UI and daemon on the demo's history."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import click

from topview_pipeline.cli.errors import CannotStart

if TYPE_CHECKING:
    from topview_pipeline.cli.demohome import DemoHome

_END_SECONDS = 20.0


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Default: 3000, or a free one.")
@click.pass_context
def ui(context: click.Context, port: int | None) -> None:
    """Open the Dagster UI and daemon on the demo's history, until Ctrl-C.

    For your own history: dagster dev -w workspace.yaml, with your settings.
    """
    from topview_pipeline.cli.demohome import DemoHome, free_port
    from topview_pipeline.cli.instance import prepare_home
    from topview_pipeline.settings import project_root

    home = DemoHome.here()
    if not home.exists:
        raise CannotStart("there is no demo yet; make it first: make demo")
    home.enter()
    prepare_home()
    port = port or (3000 if _is_free(3000) else free_port())
    command = [
        sys.executable,
        "-m",
        "dagster",
        "dev",
        "--workspace",
        str(project_root() / "workspace.yaml"),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    # Dagster warns of its own use of its preview features, at every start.
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    with home.sandbox(), _media(home):
        click.echo(f"Dagster UI: http://127.0.0.1:{port}  (Ctrl-C ends it)")
        # Dagster reads a .env where it starts: the user's must not turn the demo into real work.
        with subprocess.Popen(command, cwd=home.folder) as process:  # noqa: S603 - our own
            # Whoever ends us ends Dagster too, and lets it end its daemon.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            try:
                process.wait()
            except KeyboardInterrupt:
                process.terminate()
                try:
                    process.wait(_END_SECONDS)
                except (KeyboardInterrupt, subprocess.TimeoutExpired):
                    process.kill()
                return
        context.exit(process.returncode)


@contextmanager
def _media(home: DemoHome) -> Iterator[None]:
    """The demo's store, where the links in its history lead; without it only they are dead."""
    from pathlib import Path

    from topview_pipeline.cli.media import serving
    from topview_pipeline.settings import Settings

    with ExitStack() as stack:
        try:
            stack.enter_context(
                serving(Path(Settings.from_environment().artifacts), port=home.media_port())
            )
        except CannotStart as error:
            click.echo(f"The links to pictures and videos will not open: {error}", err=True)
        yield


def _is_free(port: int) -> bool:
    import socket

    with suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False
