"""What a `catch_up` run can be told: the launchpad's fields, and which of them contradict."""

from enum import Enum

import dagster as dg
from pydantic import Field


class StageKey(str, Enum):
    """The assets that are made, by their keys: the launchpad offers just these."""

    bgRemovedImage = "bgRemovedImage"  # noqa: N815 - Dagster offers a member by its name
    replacedImages = "replacedImages"  # noqa: N815
    finishedVideo = "finishedVideo"  # noqa: N815


class OrderConfig(dg.Config):
    """One order: a product's stage."""

    product: str = Field(description="Product id, as in the catalogue.")
    stage: StageKey = Field(description="bgRemovedImage, replacedImages or finishedVideo.")


class CatchUpConfig(dg.Config):
    """What to catch up. Without anything: all products of the catalogue, all stages."""

    products: list[str] = Field(
        default=[], description="Product ids; none means the whole catalogue."
    )
    stages: list[StageKey] = Field(
        default=[], description="Asset keys; none means all three. Nothing else is made."
    )
    orders: list[OrderConfig] = Field(
        default=[],
        description="Written by the sensor: an explicit list of (product, stage), instead of "
        "products and stages.",
    )
    force: bool = Field(
        default=False,
        description="Make it anew though it is there: Topview is paid again, once per run. Name "
        "the products, or set everything.",
    )
    everything: bool = Field(
        default=False,
        description="Together with force and no products: yes, pay for the whole catalogue again.",
    )
    explicit: bool = Field(
        default=True,
        description="Written by the sensor, as false: failed work is tried again only when it is "
        "due, and every task that nobody watches is brought home.",
    )

    def contradiction(self) -> str | None:
        """Why this cannot be meant, and what to write instead; None when it can."""
        chosen = bool(self.products or self.stages)
        if self.orders and chosen:
            return "orders go without products and stages. Give one or the other."
        if not self.explicit and (chosen or self.force):
            return (
                "explicit: false is how the sensor goes on with orders, and takes no products, "
                "stages or force. Leave it out."
            )
        if self.everything and (self.products or self.orders):
            return "everything goes without products and orders. Leave one of them out."
        if self.force and not (self.products or self.orders or self.everything):
            return (
                "force without products would pay for the whole catalogue again. Name the "
                "products, or add everything: true."
            )
        return None
