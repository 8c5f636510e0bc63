"""`topview-pipeline gallery`: a page with everything that was made, opened in the browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Final

import click

from topview_pipeline.cli.console import CannotStart, say, say_json
from topview_pipeline.cli.demo import PROGRAM, program
from topview_pipeline.cli.environment import pipeline
from topview_pipeline.export import (
    GALLERY_FILE,
    SERVED_FILE,
    Report,
    build_report,
    write_gallery,
)
from topview_pipeline.stages import STAGES
from topview_pipeline.text import counted

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
@click.option("--port", type=click.IntRange(1, 65535), help="Of --serve. Default: a free one.")
@click.option(
    "--json", "as_json", is_flag=True, help="Only write it, and print where it is as JSON."
)
def gallery(
    output: Path | None, no_open: bool, serve: bool, port: int | None, as_json: bool
) -> None:
    """Write a page that shows every product, its scenes and its video, and open it.

    It is one HTML file that needs no server: beside a store on this machine its links are relative;
    with a remote store they are TOPVIEW_MEDIA_URL's, else the store's own. It spends nothing and
    needs no key. With --serve it is written again whenever it is loaded.

    Exit codes: 0 written, 2 nothing could be shown.
    """
    if serve:
        _serve(output, port or 0, may_open=not no_open)
        return
    if port is not None:
        raise CannotStart("--port is of --serve", fix="Add --serve, or leave --port out.")
    page, report = write_page(output, program=program())
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
    opener = shutil.which("xdg-open")
    has_display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if opener and has_display:
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
    folder: Path | None = None, *, served_at: str | None = None, program: str = PROGRAM
) -> tuple[Path, Report]:
    """Write the page of the catalogue's products as they are now; it, and what it shows.

    Args:
        folder: it is made when it is missing. Default: gallery in TOPVIEW_HOME.
        served_at: where the page's server has the store. Such a page has a name of its own, beside
            the one that works without a server.
        program: with which the commands on the page begin.
    """
    topview = pipeline()
    with topview.ledger() as ledger:
        report = build_report(topview.catalogue(), ledger, STAGES)
    folder = (folder or topview.config.home / topview.outline.of("gallery")).absolute()
    link, name = partial(topview.store.address, base_url=served_at), SERVED_FILE
    if served_at is None:
        # A store on this machine is seen from the page's folder, a remote one has URLs.
        link = partial(topview.store.address, beside=folder)
        if topview.store.local_root is None:
            link = partial(topview.store.link, base_url=topview.config.media_url)
        name = GALLERY_FILE
    words = {"title": "Product videos", "program": program, "name": name}
    try:
        page = write_gallery(report, folder, link, now=time.time(), **words)
    except OSError as error:
        raise CannotStart(
            f"the gallery cannot be written to {folder} ({error.strerror})",
            fix="Name another folder with --output.",
        ) from error
    return page, report


def _serve(output: Path | None, port: int, *, may_open: bool) -> None:
    from topview_pipeline.cli.server import MEDIA, serving

    root = pipeline().store.local_root
    if root is None:
        raise CannotStart(
            "--serve shows a store on this machine, and this one is remote",
            "TOPVIEW_STORE",
            "Leave --serve out.",
        )
    write = partial(write_page, output, served_at=MEDIA, program=program())
    page, report = write()
    with serving(root, port=port, gallery=page.parent, refresh=write) as url:
        say(f"{counted(len(report.products), 'product')}: {url}  (Ctrl-C ends it)")
        if may_open:
            _open(url)
        threading.Event().wait()
