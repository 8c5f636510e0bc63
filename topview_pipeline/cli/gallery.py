"""`topview-pipeline gallery`: the page on which people see and review everything that was made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import quote

import click

from topview_pipeline.cli.console import PROGRAM, CannotStart, program, say, say_json
from topview_pipeline.cli.environment import open_instance, pipeline
from topview_pipeline.cli.options import gate_option, web_address
from topview_pipeline.defs.decisions import waiting
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.export import (
    GALLERY_FILE,
    SERVED_FILE,
    Gallery,
    Report,
    Wait,
    build_report,
    read_past,
)
from topview_pipeline.settings import DEFAULT_NAME, Gate
from topview_pipeline.stages import STAGES, VIDEO
from topview_pipeline.text import counted

_TITLE: Final = "Product videos"
_OPEN_SECONDS: Final = 3.0
"""An opener that could not open anything has said so by then."""


@click.command()
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the page. Default: gallery in TOPVIEW_HOME.",
)
@click.option("--no-open", is_flag=True, help="Only write it.")
@click.option("--serve", is_flag=True, help="Serve page and files on loopback until Ctrl-C.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of --serve. Default: a free one.")
@click.option(
    "--dagster-url",
    metavar="URL",
    callback=web_address,
    help="Address of your Dagster UI, for links from the page.",
)
@gate_option
@click.option(
    "--json", "as_json", is_flag=True, help="Only write it, and print where it is as JSON."
)
def gallery(
    output: Path | None,
    no_open: bool,
    serve: bool,
    port: int | None,
    dagster_url: str | None,
    gate: Gate | None,
    as_json: bool,
) -> None:
    """Write a page on which you see and review every product, and open it.

    It is one HTML file that needs no server; it makes a list of your decisions for `review --from`.
    With --serve the page saves decisions itself, and every load rewrites it. It
    spends nothing and needs no key.
    """
    if serve:
        _serve(output, port or 0, dagster_url, gate, may_open=not no_open)
        return
    if port is not None:
        raise CannotStart("--port goes with --serve", fix="Add --serve, or leave --port out.")
    page, report = write_page(
        pipeline(), output, program=program(), dagster_url=dagster_url, gate=gate
    )
    if as_json:
        counts = Counter(product.status for product in report.products)
        say_json({"page": str(page), "products": len(report.products), "statuses": counts})
        return
    say(f"{counted(len(report.products), 'product')}: {page}")
    if not no_open:
        _open(page.as_uri())


def _open(url: str) -> None:
    """Open a page in a graphical browser; without one say so, in one sentence.

    xdg-open takes the terminal with lynx or w3m, or prints its own errors: it gets no terminal.
    """
    if sys.platform != "linux":
        click.launch(url)
        return
    has_display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if has_display and (opener := shutil.which("xdg-open")):
        null = subprocess.DEVNULL
        process = subprocess.Popen(  # noqa: S603 - the desktop's own
            [opener, url], stdin=null, stdout=null, stderr=null, start_new_session=True
        )
        try:
            if process.wait(_OPEN_SECONDS) == 0:
                return
        except subprocess.TimeoutExpired:
            return  # it is the browser itself
    say("There is no browser here: open it where there is one, or leave this out with --no-open.")


def write_page(
    topview: TopviewResource,
    folder: Path | None = None,
    *,
    served_at: str | None = None,
    program: str = PROGRAM,
    dagster_url: str | None = None,
    gate: Gate | None = None,
) -> tuple[Path, Report]:
    """Write the page of the catalogue's products as they are now; it, and what it shows.

    Args:
        folder: default: gallery in TOPVIEW_HOME.
        served_at: where the page's server has the store. Such a page has a name of its own, beside
            the one that works without a server.
        program: with which the commands on the page begin.
    """
    outline, store = topview.outline, topview.store
    folder = (folder or topview.config.home / outline.of("gallery")).absolute()
    link, name = partial(store.address, base_url=served_at), SERVED_FILE
    if served_at is None:
        # A store on this machine is seen from the page's folder, a remote one has URLs.
        link = partial(store.address, beside=folder)
        if store.local_root is None:
            link = partial(store.link, base_url=topview.config.media_url)
        name = GALLERY_FILE
    asset = "/".join(quote(part, safe="") for part in outline.key(VIDEO.key).path)
    dagster = dagster_url and f"{dagster_url}/assets/{asset}?view=partitions&partition="
    catalogue = topview.catalogue()
    with topview.ledger() as ledger, open_instance(advise=False) as instance:
        wait = waiting(instance, topview, catalogue, ledger, gate=gate, offline=True)
        report = build_report(catalogue, ledger, STAGES)
        page = Gallery(
            report,
            link,
            title=_TITLE if outline.name == DEFAULT_NAME else f"{_TITLE}: {outline.name}",
            now=time.time(),
            store=store,
            waiting={one.product_id: Wait(one.what, one.credits, one.task) for one in wait},
            past=read_past(report, ledger),
            key=f"{ledger.account} {ledger.pipeline}",
            program=program,
            dagster=dagster,
        )
    try:
        return page.write(folder, name), report
    except OSError as error:
        what = f"the gallery cannot be written to {folder} ({error.strerror})"
        raise CannotStart(what, fix="Name another folder with --output.") from error


def _serve(
    output: Path | None, port: int, dagster_url: str | None, gate: Gate | None, *, may_open: bool
) -> None:
    from topview_pipeline.cli.server import served_page, serving

    topview = pipeline()
    root = topview.store.local_root
    if root is None:
        what = "--serve shows a store on this machine, and this one is remote"
        raise CannotStart(what, "TOPVIEW_STORE", "Leave --serve out.")
    served, report = served_page(
        topview, output, program=program(), dagster_url=dagster_url, gate=gate
    )
    with serving(root, port=port, gallery=served) as url:
        address = f"{url}#token={served.token}"
        say(f"{counted(len(report.products), 'product')}: {address}  (Ctrl-C ends it)")
        with _page_to(address, served.folder) as page:
            if may_open:
                _open(page.as_uri())
            threading.Event().wait()


@contextmanager
def _page_to(address: str, beside: Path) -> Iterator[Path]:
    """A page of this user's own that leads there: every user can read an opener's arguments."""
    with TemporaryDirectory(dir=beside) as folder:  # some browsers see nothing of /tmp
        page = Path(folder) / "gallery.html"
        page.touch(0o600)
        page.write_text(f'<meta http-equiv="refresh" content="0;url={address}">', encoding="utf-8")
        yield page
