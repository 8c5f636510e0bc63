"""Work that products share is planned as it is paid: once."""

from __future__ import annotations

from dataclasses import replace

from tests.planning.world import MUG, World
from topview_pipeline.planning import PlannedOrder
from topview_pipeline.stages import (
    BG_REMOVED_IMAGE,
    REPLACED_IMAGES,
    STAGES,
)

TWIN = replace(MUG, product_id="twin", script="Other words.")


def shared(orders: list[PlannedOrder]) -> list[tuple[str, str, float | None, str | None]]:
    return [(order.product_id, order.stage, order.credits, order.made_with) for order in orders]


def test_work_that_two_products_share_is_paid_once(world: World) -> None:
    orders = world.plan(MUG, TWIN)
    assert shared(orders) == [
        ("mug", "bgRemovedImage", 0.0, None),
        ("mug", "replacedImages", 1.0, None),
        ("mug", "finishedVideo", 4.0, None),
        ("twin", "bgRemovedImage", 0.0, "mug"),
        ("twin", "replacedImages", 0.0, "mug"),
        ("twin", "finishedVideo", 4.0, None),
    ]
    assert [order.submits for order in orders] == [True, True, True, False, False, True]
    assert orders[4].why == "bgRemovedImage is made anew, with mug"
    assert all(order.moves for order in orders)


def test_a_whole_chain_can_be_shared_and_a_choice_of_image_parts_it(world: World) -> None:
    same = replace(MUG, product_id="same")
    assert [order.submits for order in world.plan(MUG, same)] == [True] * 3 + [False] * 3
    other = replace(same, chosen_image=2)
    assert [order.made_with for order in world.plan(MUG, other)[3:]] == ["mug", "mug", None]


def test_work_is_shared_from_where_it_is_missing_on(world: World) -> None:
    world.done(BG_REMOVED_IMAGE)
    world.done(BG_REMOVED_IMAGE, one=TWIN)
    assert [order.made_with for order in world.plan(MUG, TWIN, stages=[REPLACED_IMAGES])] == [
        None,
        "mug",
    ]


def test_forced_together_shared_work_is_paid_once_too(world: World) -> None:
    for one in (MUG, TWIN):
        world.done(*STAGES, one=one)
    costs = [order.credits for order in world.plan(MUG, TWIN, force=True)]
    assert costs == [0.0, 1.0, 4.0, 0.0, 0.0, 4.0]


def test_another_generation_of_the_same_work_is_another_task(world: World) -> None:
    world.generations["twin", "bgRemovedImage"] = 1
    assert [order.made_with for order in world.plan(MUG, TWIN)] == [None] * 6
