"""`topview-pipeline ui`: the Dagster UI and daemon on the demo's history, and its gallery."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import click

from topview_pipeline.cli.console import CannotStart
from topview_pipeline.cli.demo import DEMO_PROGRAM, DemoHome, free_port
from topview_pipeline.cli.environment import pipeline, prepare_home
from topview_pipeline.cli.gallery import served_page
from topview_pipeline.cli.init import WORKSPACE
from topview_pipeline.cli.server import serving
from topview_pipeline.errors import PipelineError
from topview_pipeline.setting_types import project_root

_END_SECONDS: Final = 20.0


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Default: 3000, or a free one.")
@click.pass_context
def ui(context: click.Context, port: int | None) -> None:
    """Open the Dagster UI and daemon on the demo's history, and its gallery, until Ctrl-C.

    For your own history: `dagster dev` in your project folder.
    """
    home = DemoHome.here()
    home.enter_again()
    prepare_home()
    if port is not None and free_port(port) != port:
        fix = "Stop what uses it, or name another one with --port."
        raise CannotStart(f"port {port} is in use", fix=fix)
    port = port or free_port(3000)
    workspace = project_root() / "workspace.yaml"
    if not workspace.is_file():
        workspace = home.folder / "workspace.yaml"
        workspace.write_text(WORKSPACE, encoding="utf-8")
    command = [sys.executable, "-m", "dagster", "dev", "--workspace", str(workspace)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    # Dagster warns of its own use of its preview features, at every start.
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    with home.sandbox(), served_gallery(home, f"http://127.0.0.1:{port}") as gallery:
        if gallery is not None:
            click.echo(f"Gallery:    {gallery}")
        ends = "it takes half a minute to start; Ctrl-C ends both"
        click.echo(f"Dagster UI: http://127.0.0.1:{port}  ({ends})")
        # A shell's background job ignores SIGINT and hands that on; Dagster would ignore SIGTERM
        # then, too, and leave its web server and daemon behind.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # Dagster reads a .env where it starts: the user's must not turn the demo into real work.
        with subprocess.Popen(command, cwd=home.folder) as process:  # noqa: S603 - our own
            # Ended by SIGTERM, we end Dagster too, and let it end its daemon.
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
def served_gallery(home: DemoHome, dagster_url: str | None = None) -> Iterator[str | None]:
    """The gallery, and the demo's store where the links in its history lead; yields its address.

    Without them Dagster works all the same: then that is said, and None is yielded.
    """
    with ExitStack() as stack:
        url = None
        try:
            topview = pipeline()
            gallery, _ = served_page(topview, None, program=DEMO_PROGRAM, dagster_url=dagster_url)
            served = serving(Path(topview.config.store), port=home.port("media"), gallery=gallery)
            url = f"{stack.enter_context(served)}#token={gallery.token}"
        except PipelineError as error:
            click.echo(f"Neither gallery nor links to pictures will open: {error}", err=True)
        yield url
