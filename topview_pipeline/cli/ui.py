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
    """Open the Dagster UI and daemon on the demo's history, and its gallery, until Ctrl-C.

    For your own history: dagster dev -w workspace.yaml, with your settings.
    """
    from topview_pipeline.cli.demohome import DemoHome, free_port
    from topview_pipeline.cli.instance import prepare_home
    from topview_pipeline.settings import project_root

    home = DemoHome.here()
    home.enter_again()
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
    with home.sandbox(), served_gallery(home) as gallery:
        if gallery is not None:
            click.echo(f"Gallery:    {gallery}")
        click.echo(f"Dagster UI: http://127.0.0.1:{port}  (Ctrl-C ends both)")
        # A shell's background job ignores SIGINT and hands that on. Dagster would ignore SIGTERM
        # then, too, and leave its web server and daemon behind when it is killed at last.
        signal.signal(signal.SIGINT, signal.default_int_handler)
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
def served_gallery(home: DemoHome) -> Iterator[str | None]:
    """The gallery, and the demo's store where the links in its history lead; yields its URL.

    Without them Dagster works all the same: then it is said, and None is yielded.
    """
    from pathlib import Path

    from topview_pipeline.artifacts.addresses import at
    from topview_pipeline.cli.demohome import DEMO_PROGRAM
    from topview_pipeline.cli.gallery import write_page
    from topview_pipeline.cli.media import MEDIA, serving
    from topview_pipeline.settings import Settings

    def write() -> Path:
        return write_page(None, at(MEDIA), program=DEMO_PROGRAM).page

    with ExitStack() as stack:
        url = None
        try:
            gallery = write().parent
            store = Path(Settings.from_environment().artifacts)
            url = stack.enter_context(
                serving(store, port=home.media_port(), gallery=gallery, refresh=write)
            )
        except CannotStart as error:
            click.echo(f"Neither gallery nor links to pictures will open: {error}", err=True)
        yield url


def _is_free(port: int) -> bool:
    import socket

    with suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False
