"""What a producer is given of each product: its orders, and its inputs as they were read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence

from topview_pipeline.catalogue import Product
from topview_pipeline.inputs import InputError
from topview_pipeline.ledger import ChosenScene, Order, Task
from topview_pipeline.producer import Work
from topview_pipeline.producer.preferring import shape_with_choices
from topview_pipeline.stages import BY_KEY, PreconditionError
from topview_pipeline.stages.shapes import Shape, shape_of

OrdersOfProduct = Mapping[str, Order]
"""A product's open orders by stage key."""


def in_turn(
    products: Mapping[str, Product],
    orders: Mapping[tuple[str, str], Order],
    running: Collection[Task],
) -> deque[tuple[Product, OrdersOfProduct]]:
    """The products that have orders, with them, in the order in which they begin.

    Args:
        products: by id.
        orders: by product and stage.
        running: tasks at Topview or finished there. Whose they are begin first: of thousands the
            last ones begin minutes later.
    """
    rows = {row.id for row in running}
    first = {row.product_id for row in running}
    found: dict[str, dict[str, Order]] = {}
    for (product_id, stage), order in orders.items():
        found.setdefault(product_id, {})[stage] = order
        if order.task_id in rows:  # made for another product, and shared
            first.add(product_id)
    in_order = sorted(found, key=lambda product_id: product_id not in first)
    return deque((products[product_id], found[product_id]) for product_id in in_order)


def work_of(
    product: Product,
    orders: OrdersOfProduct,
    chosen: Sequence[ChosenScene],
    hash_of: Callable[[str], str],
) -> Work:
    """A product's orders and inputs; what cannot be read is a problem of its stage alone."""
    shapes: dict[str, Shape] = {}
    problems: dict[str, PreconditionError] = {}
    for key in orders:
        stage = BY_KEY[key]
        try:
            of_catalogue = shape_of(stage, product, hash_of)
        except InputError as error:
            problems[key] = PreconditionError(f"{error.where}: {error.what}", error.mend)
        else:
            shapes[key] = shape_with_choices(stage, of_catalogue, product, chosen)
    return Work(product, orders, shapes, problems)
