"""`topview-pipeline metrics`: the ledger's numbers in OpenMetrics."""

from __future__ import annotations

import threading
from pathlib import Path

import click

from topview_pipeline.cli.console import CannotStart, say
from topview_pipeline.cli.environment import pipeline


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Serve them on this port at /metrics.")
@click.option("--host", default="0.0.0.0", show_default=True, help="Address to serve on.")  # noqa: S104 - a pod is scraped from outside
@click.option(
    "--file",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write them to this file, for a node exporter, whole or not at all.",
)
def metrics(port: int | None, host: str, file: Path | None) -> None:
    """Print the numbers of the account in OpenMetrics: credits, slots, tasks, health.

    They come from the ledger. It spends nothing and needs no key.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server, write_to_textfile
        from prometheus_client.openmetrics.exposition import generate_latest

        from topview_pipeline.export.ledger_metrics import LedgerMetrics
    except ModuleNotFoundError as error:
        fix = "Run: pip install 'topview-pipeline[metrics]'"
        raise CannotStart("prometheus_client is not installed", fix=fix) from error
    topview = pipeline()
    registry = CollectorRegistry()
    registry.register(LedgerMetrics(topview.config, topview.ledger))
    # Also: it can be read at all.
    text: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
    if file is not None:
        try:
            write_to_textfile(str(file), registry)
        except OSError as error:
            raise CannotStart(f"it cannot be written ({error.strerror})", str(file)) from error
    if port is not None:
        try:
            start_http_server(port, addr=host, registry=registry)
        except OSError as error:
            where = f"port {port}"
            raise CannotStart(f"it cannot be used ({error.strerror})", where) from error
        say(f"Serving http://{host}:{port}/metrics")
        threading.Event().wait()
    elif file is None:
        click.echo(text.decode(), nl=False)
