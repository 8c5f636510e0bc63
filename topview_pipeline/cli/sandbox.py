"""`topview-pipeline sandbox`: a local Topview in the foreground."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from topview_pipeline.cli.console import CannotStart
from topview_pipeline.cli.demo import usable_port
from topview_pipeline.sandbox.api.faults import FAULTS
from topview_pipeline.setting_types import project_root


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Default: the port of a TOPVIEW_BASE_URL on this machine, else a free one, as 0.",
)
@click.option("--speed", default=1.0, show_default=True, help="Divides durations.")
@click.option("--concurrency", default=4, show_default=True, help="Task slots of the account.")
@click.option("--media", type=click.Choice(["real", "tiny"]), default="real", show_default=True)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="NAME=PROB",
    help=f"Inject a fault: {', '.join(FAULTS)}.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of durations and faults.")
@click.option("--forget-after", type=float, metavar="SECONDS", help="Forget ids after this time.")
@click.option("--credits", default=10_000.0, show_default=True, help="Credits of the account.")
@click.option(
    "--contract",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Answer as this file of `topview-pipeline probe` says.",
)
@click.option("--strict", is_flag=True, help="Refuse a video without voice or caption.")
@click.option(
    "--state",
    "state_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep state in this folder. Default: .sandbox in a project folder whose settings lead to "
    "this sandbox, else none is kept.",
)
def sandbox(
    port: int | None,
    faults: tuple[str, ...],
    state_dir: Path | None,
    contract: Path | None,
    strict: bool,
    **more: Any,
) -> None:
    """Run a local Topview until Ctrl-C. Nothing of it is real, and nothing is paid."""
    from topview_pipeline.sandbox.config import SandboxConfig
    from topview_pipeline.sandbox.serve import serve

    own = _own_port()
    is_own = own is not None and port in (None, own)
    if is_own:
        port, state_dir = own, state_dir or project_root() / ".sandbox"
    try:
        more |= _settings(contract, strict)
        config = SandboxConfig(faults=dict(map(_fault, faults)), state_dir=state_dir, **more)
        port = usable_port(port)
        account = (os.environ.get("TOPVIEW_UID"), os.environ.get("TOPVIEW_API_KEY"))
        if is_own and (config.uid, config.api_key) == account:
            click.echo(f"The settings of {project_root()} use it.")
        else:
            click.echo("Point the pipeline at it:")
            click.echo(f"  export TOPVIEW_BASE_URL=http://127.0.0.1:{port}")
            click.echo(f"  export TOPVIEW_UID={config.uid}")
            click.echo(f"  export TOPVIEW_API_KEY={config.api_key}")
            click.echo(f"  export TOPVIEW_SLOTS={config.concurrency}")
        click.echo(f"A local Topview answers on port {port} until Ctrl-C.")
        serve(config, port=port)
    except (ValueError, OSError) as error:
        raise CannotStart(f"the sandbox cannot start: {error}") from error


def _settings(path: Path | None, strict: bool) -> dict[str, Any]:
    """The settings of a sandbox that a file of `probe` describes."""
    from topview_pipeline.sandbox.config import Contract, SandboxConfig

    settings: dict[str, Any] = {}
    if path is not None:
        try:
            settings = dict(json.loads(path.read_text(encoding="utf-8"))["sandbox"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            fix = "Name a file that `topview-pipeline probe` wrote."
            raise CannotStart(f"it is no contract ({error})", str(path), fix) from error
    switches = dict(settings.get("contract", {}))
    known = {(SandboxConfig, name) for name in settings} | {(Contract, name) for name in switches}
    if unknown := [name for kind, name in known if name not in kind.__dataclass_fields__]:
        raise CannotStart(f"it has an unknown switch, {min(unknown)}", str(path))
    if strict:
        switches["required"] = ("voiceId", "captionId")
    return {**settings, "contract": Contract(**switches)}


def _own_port() -> int | None:
    """The port of TOPVIEW_BASE_URL, when that is on this machine."""
    try:
        parts = urlsplit(os.environ.get("TOPVIEW_BASE_URL", ""))
        port, host = parts.port, parts.hostname
    except ValueError:  # the sandbox needs no good settings
        return None
    return port if host in ("127.0.0.1", "localhost") else None


def _fault(text: str) -> tuple[str, float]:
    name, equals, probability = text.partition("=")
    try:
        return name, float(probability if equals else "1")
    except ValueError as error:
        raise CannotStart(f"--fault {text}: write NAME=PROB, such as drop_submit=0.05") from error
