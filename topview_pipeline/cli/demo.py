"""`topview-pipeline demo` and `ui`: the sample catalogue's videos on a local Topview, and their UI.

Everything is kept in `.demo/`, the sandbox's port too: the origin is part of the account, and on
another port the same work would be another account's.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import click

from topview_pipeline.cli.console import DEMO_PROGRAM, CannotStart
from topview_pipeline.errors import PipelineError
from topview_pipeline.setting_types import project_root

SANDBOX_SPEED: Final = 12.0
SLOTS: Final = 4
_END_SECONDS: Final = 20.0


@click.command()
@click.pass_context
def demo(context: click.Context) -> None:
    """Make the sample catalogue's videos on a local Topview. No account, nothing is paid."""
    from topview_pipeline.cli.catch_up import catch_up
    from topview_pipeline.cli.environment import pipeline
    from topview_pipeline.cli.export import export_videos
    from topview_pipeline.cli.gallery import write_page

    home = DemoHome.here()
    home.enter()
    click.echo("A local Topview makes the videos of the sample catalogue, through Dagster.")
    with home.sandbox():
        code = catch_up(say_where=False)
    if code == 0:
        _publish()
        topview = pipeline()
        videos = export_videos(topview, home.folder / "videos").files
        page, _ = write_page(topview, program=DEMO_PROGRAM)
        click.echo(f"\n{len(videos)} videos:")
        for video in videos:
            click.echo(f"  {os.path.relpath(video)}  ({video.stat().st_size / 1e6:.1f} MB)")
        click.echo(f"\nPhoto, cut-out, scenes and video of each:  {os.path.relpath(page)}")
        click.echo("The same in Dagster, with lineage and history:  make ui")
    context.exit(code)


def _publish() -> None:
    """Materialize videoManifest and its health checks, as a person does after a run."""
    import dagster as dg

    from topview_pipeline.cli.environment import loggers, open_instance
    from topview_pipeline.definitions import defs
    from topview_pipeline.defs.outline import MANIFEST

    job = defs.resolve_implicit_global_asset_job_def()
    with open_instance() as instance:
        selection, config = [dg.AssetKey(MANIFEST)], {"loggers": loggers()}
        job.execute_in_process(config, instance, asset_selection=selection)


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Default: 3000, or a free one.")
@click.pass_context
def ui(context: click.Context, port: int | None) -> None:
    """Open the Dagster UI and daemon on the demo's history, and its gallery, until Ctrl-C.

    For your own history: `dagster dev` in your project folder.
    """
    from topview_pipeline.cli.environment import prepare_home
    from topview_pipeline.cli.init import WORKSPACE

    home = DemoHome.here()
    home.enter_again()
    prepare_home()
    port = usable_port(port, 3000)
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
    from topview_pipeline.cli.environment import pipeline
    from topview_pipeline.cli.server import served_page, serving

    with ExitStack() as stack:
        url = None
        try:
            topview = pipeline()
            gallery, _ = served_page(topview, program=DEMO_PROGRAM, dagster_url=dagster_url)
            served = serving(Path(topview.config.store), port=home.port("media"), gallery=gallery)
            url = f"{stack.enter_context(served)}#token={gallery.token}"
        except PipelineError as error:
            click.echo(f"Neither gallery nor links to pictures will open: {error}", err=True)
        yield url


@dataclass(frozen=True)
class DemoHome:
    """The demo's folder: Dagster's history, ledger, store, sandbox, and the ports of its servers.

    A port is a free one at first, then always the same: the history has links to it.
    """

    folder: Path

    @classmethod
    def here(cls) -> DemoHome:
        """The nearest `.demo/` from here upwards, else a new one in the project folder."""
        here = Path.cwd()
        found = (folder / ".demo" for folder in (here, *here.parents))
        return cls(next(filter(Path.is_dir, found), project_root() / ".demo"))

    def port(self, of: Literal["sandbox", "media"] = "sandbox") -> int:
        """The port of the sandbox, or the one at which `ui` serves the store."""
        file = self.folder / f"{of}.json"
        if file.exists():
            return int(json.loads(file.read_text(encoding="utf-8"))["port"])
        self.folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        file.write_text(json.dumps({"port": port}), encoding="utf-8")
        return port

    def enter(self) -> None:
        """Make this process work on the demo, and on nothing of the user's own.

        Every setting is cleared first: the user's bucket, ledger or defaults must not leak in.
        """
        from topview_pipeline.sandbox.config import SandboxConfig

        for name in [name for name in os.environ if name.upper().startswith("TOPVIEW_")]:
            del os.environ[name]
        if not (self.folder / "dagster" / "dagster.yaml").exists():
            from topview_pipeline.cli.environment import make_dagster_home

            make_dagster_home(self.folder / "dagster")
        account, served = SandboxConfig(), f"http://127.0.0.1:{self.port('media')}"
        os.environ |= {
            "DAGSTER_HOME": str(self.folder / "dagster"),
            "TOPVIEW_HOME": str(self.folder / "topview"),
            "TOPVIEW_BASE_URL": f"http://127.0.0.1:{self.port()}",
            "TOPVIEW_UID": account.uid,
            "TOPVIEW_API_KEY": account.api_key,
            "TOPVIEW_CATALOGUE": str(sample_catalogue()),
            "TOPVIEW_MEDIA_URL": f"{served}/media",  # `server.serving`
            "TOPVIEW_GALLERY_URL": served,
            "TOPVIEW_POLL_SECONDS": "0.25",
            "TOPVIEW_SLOTS": str(SLOTS),
        }

    def enter_again(self) -> None:
        """As `enter`, of a demo that was made. Raises CannotStart when there is none."""
        if not (self.folder / "sandbox.json").exists():
            raise CannotStart("there is no demo yet; make it first: make demo")
        self.enter()

    @contextmanager
    def sandbox(self, *, may_answer: bool = False) -> Iterator[None]:
        """The demo's sandbox, in a process of its own, while the block runs.

        `may_answer`: what answers at its port is taken for it, as `ui` has it running.
        """
        from topview_pipeline.sandbox.config import SandboxConfig
        from topview_pipeline.sandbox.serve import running

        port = self.port()
        if free_port(port) != port:
            if may_answer:
                yield
                return
            what = f"port {port}, which the demo's sandbox always has, is in use"
            fix = (
                "If another demo or `make ui` is running, stop it first; if it is another "
                f"program's, remove the folder {self.folder} and make the demo again."
            )
            raise CannotStart(what, fix=fix)
        state = self.folder / "sandbox"
        config = SandboxConfig(speed=SANDBOX_SPEED, concurrency=SLOTS, state_dir=state)
        with ExitStack() as stack:
            try:
                stack.enter_context(running(config, port=port, where="process"))
            except RuntimeError as error:
                raise CannotStart(str(error)) from error
            yield


def sample_catalogue() -> Path:
    """The catalogue that comes with the package."""
    return Path(__file__).parent.parent / "sample" / "catalogue.csv"


def free_port(wanted: int = 0) -> int:
    """The wanted port on loopback if it is free, else another one."""
    try:
        with socket.create_server(("127.0.0.1", wanted)) as probe:
            port: int = probe.getsockname()[1]
            return port
    except OSError:
        return free_port()


def usable_port(given: int | None, otherwise: int = 0) -> int:
    """The port that was given, else the other one, else any that is free."""
    if given and free_port(given) != given:
        fix = "Stop what uses it, or name another one with --port."
        raise CannotStart(f"port {given} is in use", fix=fix)
    return given or free_port(otherwise)
