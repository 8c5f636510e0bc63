"""`topview-pipeline gallery`: a page with everything that was made, opened in the browser."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from topview_pipeline.cli.demohome import program
from topview_pipeline.cli.errors import CannotStart
from topview_pipeline.cli.tasks.opening import opened, say

if TYPE_CHECKING:
    from topview_pipeline.artifacts import ArtifactStore
    from topview_pipeline.artifacts.addresses import Links
    from topview_pipeline.settings import Settings

TITLE = "Product videos"


@dataclass(frozen=True)
class Written:
    """A page that was written, and how many products it shows."""

    page: Path
    products: int


@click.command()
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the page. Default: gallery in TOPVIEW_HOME.",
)
@click.option("--no-open", is_flag=True, help="Only write it.")
@click.option("--serve", is_flag=True, help="Serve page and files on loopback until Ctrl-C.")
def gallery(output: Path | None, no_open: bool, serve: bool) -> None:
    """Write a page that shows every product, its scenes and its video, and open it.

    It is one HTML file that needs no server: beside a store on this machine its links are relative;
    with a remote store they are TOPVIEW_MEDIA_URL's, else the store's own. It spends nothing and
    needs no key. With --serve it is written anew whenever it is loaded.

    Exit codes: 0 written, 2 nothing could be shown.
    """
    if serve:
        _serve(output, may_open=not no_open)
        return
    written = write_page(output, program=program())
    say(f"{written.products} products: {written.page}")
    if not no_open:
        click.launch(written.page.as_uri())


def write_page(
    folder: Path | None = None, links: Links | None = None, *, program: str = "topview-pipeline"
) -> Written:
    """Write the page of the environment's catalogue and account as they are now.

    Args:
        folder: which is made. Default: gallery in TOPVIEW_HOME.
        links: where the store's files are found from the page; by default what works without a
            server. A page with other links is for a server, and has a name of its own.
        program: what the commands on the page begin with.

    Raises:
        CannotStart: it cannot be written, or there is nothing to show.
    """
    from topview_pipeline.artifacts import ArtifactStore
    from topview_pipeline.defs.resources import CatalogueResource
    from topview_pipeline.gallery import GALLERY_FILE, SERVED_FILE, write_gallery
    from topview_pipeline.portfolio import read_portfolio

    with opened() as here:
        portfolio = read_portfolio(CatalogueResource().read(), here.ledger)
        settings = here.settings
    folder = (folder or settings.home / "gallery").absolute()
    name = GALLERY_FILE if links is None else SERVED_FILE
    if links is None:
        links = links_of(settings, ArtifactStore(settings.artifacts), folder)
    try:
        page = write_gallery(
            portfolio, folder, links, title=TITLE, now=time.time(), program=program, name=name
        )
    except OSError as error:
        raise CannotStart(
            f"the gallery cannot be written to {folder} ({error.strerror}); "
            "name another folder with --output"
        ) from error
    return Written(page, len(portfolio))


def links_of(settings: Settings, store: ArtifactStore, folder: Path) -> Links:
    """Where the store's files are found from a page in this folder."""
    from topview_pipeline.artifacts.addresses import beside, public

    if store.local_root is not None:
        return beside(store, folder)
    return public(store, settings.media_url)


def _serve(output: Path | None, *, may_open: bool) -> None:
    from topview_pipeline.artifacts import ArtifactStore
    from topview_pipeline.artifacts.addresses import at
    from topview_pipeline.cli.media import MEDIA, serving

    named = program()
    with opened() as here:
        root = ArtifactStore(here.settings.artifacts).local_root
    if root is None:
        raise CannotStart(
            "--serve shows a store on this machine, and TOPVIEW_ARTIFACTS is a remote one; "
            "leave --serve out"
        )

    def write() -> Written:
        return write_page(output, at(MEDIA), program=named)

    written = write()
    with serving(root, gallery=written.page.parent, refresh=write) as url:
        say(f"{written.products} products: {url}  (Ctrl-C ends it)")
        if may_open:
            click.launch(url)
        threading.Event().wait()
