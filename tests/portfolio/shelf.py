"""Looking at real products: what the tests of the portfolio share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.producer.world import World, product
from topview_pipeline.catalogue import Catalogue, Product, RowProblem, parse_catalogue
from topview_pipeline.ledger import Task
from topview_pipeline.manifest import Listing, Measured, listing
from topview_pipeline.portfolio import ProductShown, read_portfolio
from topview_pipeline.quality import Outcome, Verdict
from topview_pipeline.settings import CatalogueDefaults

QUAD = ((0.2, 0.2), (0.6, 0.2), (0.6, 0.8), (0.2, 0.8))
OTHER_QUAD = ((0.3, 0.3), (0.6, 0.3), (0.6, 0.8), (0.3, 0.8))
REFUSED = Verdict(Outcome.FAILED, "No image shows the product.")
CUTOUT, SCENE, VIDEO = "bgRemovedImage", "replacedImages", "finishedVideo"


def two_scenes(product_id: str = "mug", **changes: Any) -> Product:
    """In manual mode Topview returns two images."""
    placed = {"location": QUAD, "image_edit_prompt": None}
    return product(product_id, **{**placed, **changes})


def catalogue_of(*products: Product, problems: Sequence[RowProblem] = ()) -> Catalogue:
    """A catalogue with these rows."""
    plain = parse_catalogue(b"product_id\nsomething\n", "shop.csv", CatalogueDefaults())
    named = {one.product_id: one for one in products}
    return replace(plain, products=named, problems=tuple(problems))


def look(world: World, one: Product) -> ProductShown:
    (found,) = read_portfolio(catalogue_of(one), world.ledger)
    return found


def row_of(world: World, stage: str, product_id: str = "mug") -> Task:
    found = world.ledger.tasks.last_stored(product_id, stage)
    assert found is not None
    return found


def refuse(world: World, row: Task) -> None:
    world.ledger.tasks.measured(row.id, REFUSED.to_json())


def export(world: World, *products: Product) -> Listing:
    sizes = world.store.files()
    return listing(
        read_portfolio(catalogue_of(*products), world.ledger),
        is_there=lambda one: sizes.get(one.path) == one.bytes,
        address=lambda one: one.path,
        measure=lambda _: Measured(),
    )


def marks(found: ProductShown) -> dict[str, list[int]]:
    return {
        "chosen": [scene.number for scene in found.scenes if scene.is_chosen],
        "used": [scene.number for scene in found.scenes if scene.is_used],
    }
