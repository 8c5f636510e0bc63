"""Holds a run that would make much of a catalogue anew because settings or stages changed.

The thinking is in `topview_pipeline.recipes`.
"""

from __future__ import annotations

import dagster as dg

from topview_pipeline.catalogue import Catalogue, CatalogueHeld
from topview_pipeline.defs.inputs import opened_inputs
from topview_pipeline.defs.planning import plan_for
from topview_pipeline.defs.resources import CatalogueResource
from topview_pipeline.inputs import InputError
from topview_pipeline.ledger import Ledger
from topview_pipeline.producer.preferring import shape_with_choices
from topview_pipeline.recipes import (
    Recipe,
    doubt_of,
    hashes_of,
    hashing_recipes,
    recipe_of,
    remake,
)
from topview_pipeline.settings import Settings
from topview_pipeline.stages import STAGES, Stage
from topview_pipeline.stages.shapes import shape_of


def check_recipe(
    instance: dg.DagsterInstance, ledger: Ledger, catalogue: Catalogue, source: CatalogueResource
) -> None:
    """Let only a person's word make much of the catalogue anew by another recipe.

    What goes through is remembered as the recipe that the catalogue is made by.

    Args:
        source: where the catalogue was read; it is read again with the defaults before.

    Raises:
        CatalogueHeld: it is not said yet; nothing may be ordered for the catalogue as a whole.
    """
    now, before = current_recipe(ledger, catalogue), last_recipe(ledger, catalogue)
    doubt = _doubt(instance, ledger, catalogue, source, before=before, now=now)
    if doubt is not None:
        raise CatalogueHeld(
            f"{doubt}; nothing is made of it until somebody says that it is meant",
            catalogue.source,
            "Set it back, try it with `--product`, or say so with "
            "`topview-pipeline run --accept-change`.",
        )
    # A file that nobody could read yet is not what anything is made by: once it can be read, it is
    # compared with what was before.
    if before is None or (now != before and now.is_readable):
        ledger.recipes.remember(catalogue.source, now.to_json())


def remember_first(ledger: Ledger, catalogue: Catalogue) -> None:
    """Remember the recipe of this process where the catalogue has none yet.

    For runs over single products: no change would ever be noticed of what is made without one.
    """
    if last_recipe(ledger, catalogue) is None:
        now = current_recipe(ledger, catalogue)
        ledger.recipes.remember(catalogue.source, now.to_json())


def doubt_of_recipe(
    instance: dg.DagsterInstance, ledger: Ledger, catalogue: Catalogue, source: CatalogueResource
) -> str | None:
    """Why a person must be asked; None when nothing changed, or little, or it was accepted."""
    now, before = current_recipe(ledger, catalogue), last_recipe(ledger, catalogue)
    return _doubt(instance, ledger, catalogue, source, before=before, now=now)


def _doubt(
    instance: dg.DagsterInstance,
    ledger: Ledger,
    catalogue: Catalogue,
    source: CatalogueResource,
    *,
    before: Recipe | None,
    now: Recipe,
) -> str | None:
    if before is None or before == now or ledger.catalogues.is_accepted(now.sha256):
        return None
    orders = plan_for(
        catalogue,
        ledger,
        instance,
        products=(),
        stages=STAGES,
        force=False,
        hashes=hashes_of(now, Settings.from_environment().defaults),
    )
    products = source.read(defaults=before.defaults).products
    chosen = ledger.choices.scenes()
    with opened_inputs() as inputs:
        hash_of = hashing_recipes(inputs.sha256)

        def version_before(stage: Stage, product_id: str) -> str | None:
            product = products.get(product_id)
            if product is None:
                return None
            try:
                shape = shape_of(stage, product, hash_of)
            except InputError:
                return None
            people = chosen.get(product_id, ())
            return shape_with_choices(stage, shape, product, people).version

        found = remake(orders, ledger.overview.last_stored(results_of=()), version_before)
    return doubt_of(before, now, found)


def last_recipe(ledger: Ledger, catalogue: Catalogue) -> Recipe | None:
    """The recipe that the catalogue is made by; None before it is made."""
    last = ledger.recipes.last(catalogue.source, catalogue.location_name)
    return None if last is None else Recipe.from_json(last)


def current_recipe(ledger: Ledger, catalogue: Catalogue) -> Recipe:
    """The recipe of this process; a default file that cannot be read counts as it was.

    What needs that file then fails by itself, and nothing is paid for it.
    """
    before = last_recipe(ledger, catalogue)
    with opened_inputs() as inputs:
        return recipe_of(Settings.from_environment().defaults, inputs.sha256, before=before)
