"""Which products a limit takes."""

from __future__ import annotations

import pytest

from tests.planning.world import MUG, World, shape
from tests.producer.world import product
from topview_pipeline.catalogue import Product
from topview_pipeline.inputs import InputError
from topview_pipeline.ledger import TaskState
from topview_pipeline.planning import first_products
from topview_pipeline.stages import (
    BG_REMOVED_IMAGE,
    Stage,
)
from topview_pipeline.stages.shapes import Shape


def test_a_limit_is_not_used_up_by_products_that_no_run_gets_on_with(world: World) -> None:
    """Refused and unknown ones come first in the catalogue, and are told each time."""
    names = ("refused", "unknown", "missing", "new", "newer")
    refused, unknown, missing, new, newer = (product(name) for name in names)
    world.row(BG_REMOVED_IMAGE, TaskState.FAILED, refused, retryable=False)
    world.row(BG_REMOVED_IMAGE, TaskState.UNKNOWN, unknown)

    def of(stage: Stage, one: Product) -> Shape:
        if one is missing:
            raise InputError("there is no such file", "photo.png", "Put it there.")
        return shape(stage, one)

    orders = world.plan(refused, unknown, missing, new, newer, shape_of=of)

    def first(limit: int | None) -> list[str]:
        return list(dict.fromkeys(order.product_id for order in first_products(orders, limit)))

    assert first(1) == ["refused", "unknown", "missing", "new"]
    assert first(2) == first(9) == first(None) == list(names)


@pytest.mark.parametrize("state", [TaskState.PENDING, TaskState.SUCCEEDED])
def test_what_is_brought_home_counts_against_a_limit(world: World, state: TaskState) -> None:
    world.row(BG_REMOVED_IMAGE, state)
    other = product("other", image="another photo")
    kept = first_products(world.plan(MUG, other), 1)
    assert {order.product_id for order in kept} == {"mug"}
