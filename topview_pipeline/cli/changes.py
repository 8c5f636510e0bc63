"""Large changes of catalogue and recipe: held until somebody says that they are meant."""

from __future__ import annotations

import getpass
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dagster import DagsterInstance

    from topview_pipeline.catalogue import Catalogue
    from topview_pipeline.ledger import Ledger


def accept_changes(ledger: Ledger, catalogue: Catalogue) -> None:
    """Remember that whoever runs this program means the catalogue and the settings as they are."""
    from topview_pipeline import syncing
    from topview_pipeline.defs.recipes import current_recipe

    who = f"{getpass.getuser()}@{socket.gethostname()}"
    syncing.accept(ledger, catalogue.sha256, who=who)
    ledger.catalogues.accept(current_recipe(ledger, catalogue).sha256, who=who)


def check_changes(
    instance: DagsterInstance, ledger: Ledger, catalogue: Catalogue, *, whole: bool
) -> None:
    """Refuse to start on what is held.

    Args:
        whole: the run takes what the catalogue has, neither named nor forced.

    Raises:
        CatalogueHeld: nothing was written but, where nothing is held, the recipe.
    """
    from topview_pipeline import syncing
    from topview_pipeline.defs.recipes import check_recipe
    from topview_pipeline.defs.resources import CatalogueResource

    syncing.check(ledger, catalogue)
    if whole:
        check_recipe(instance, ledger, catalogue, CatalogueResource())


def doubts(
    instance: DagsterInstance, ledger: Ledger, catalogue: Catalogue, *, whole: bool
) -> Iterator[str]:
    """What `check_changes` would refuse a run for."""
    from topview_pipeline import syncing
    from topview_pipeline.defs.recipes import doubt_of_recipe
    from topview_pipeline.defs.resources import CatalogueResource

    of_catalogue = syncing.doubt_of(syncing.seen_of(ledger, catalogue), catalogue)
    if of_catalogue is not None and not ledger.catalogues.is_accepted(catalogue.sha256):
        yield of_catalogue
    if not whole:
        return
    of_recipe = doubt_of_recipe(instance, ledger, catalogue, CatalogueResource())
    if of_recipe is not None:
        yield of_recipe
