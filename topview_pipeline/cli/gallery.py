"""`topview-pipeline gallery`: a page with everything that was made, opened in the browser."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from topview_pipeline.cli.errors import CannotStart
from topview_pipeline.cli.tasks.opening import opened, say

if TYPE_CHECKING:
    from topview_pipeline.artifacts import ArtifactStore
    from topview_pipeline.artifacts.addresses import Links
    from topview_pipeline.portfolio import ProductShown
    from topview_pipeline.settings import Settings

TITLE = "Product videos"


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
    needs no key.

    Exit codes: 0 written, 2 nothing could be shown.
    """
    from topview_pipeline.artifacts import ArtifactStore
    from topview_pipeline.artifacts.addresses import at
    from topview_pipeline.cli.media import MEDIA, serving
    from topview_pipeline.defs.resources import CatalogueResource
    from topview_pipeline.portfolio import read_portfolio

    with opened() as here:
        products = CatalogueResource().read().products
        portfolio = read_portfolio(products.values(), here.ledger)
        settings = here.settings
        store = ArtifactStore(settings.artifacts)
    folder = (output or settings.home / "gallery").absolute()
    if not serve:
        page = _write(portfolio, folder, links_of(settings, store, folder))
        say(f"{len(portfolio)} products: {page}")
        if not no_open:
            click.launch(page.as_uri())
        return
    root = store.local_root
    if root is None:
        raise CannotStart(
            "--serve shows a store on this machine, and TOPVIEW_ARTIFACTS is a remote one; "
            "leave --serve out"
        )
    _write(portfolio, folder, at(MEDIA))
    with serving(root, gallery=folder) as url:
        say(f"{len(portfolio)} products: {url}  (Ctrl-C ends it)")
        if not no_open:
            click.launch(url)
        threading.Event().wait()


def links_of(settings: Settings, store: ArtifactStore, folder: Path) -> Links:
    """Where the store's files are found from a page in this folder."""
    from topview_pipeline.artifacts.addresses import beside, public

    if store.local_root is not None:
        return beside(store, folder)
    return public(store, settings.media_url)


def _write(portfolio: list[ProductShown], folder: Path, links: Links) -> Path:
    from topview_pipeline.gallery import write_gallery

    try:
        return write_gallery(portfolio, folder, links, title=TITLE, now=time.time())
    except OSError as error:
        raise CannotStart(
            f"the gallery cannot be written to {folder} ({error.strerror}); "
            "name another folder with --output"
        ) from error
