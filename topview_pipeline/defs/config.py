"""What a `catch_up` run can be told: the launchpad's fields, and which of them contradict."""

from enum import Enum
from typing import Any

import dagster as dg
from pydantic import Field


class StageKey(str, Enum):
    """The assets that are made, by their keys: the launchpad offers just these."""

    bgRemovedImage = "bgRemovedImage"  # noqa: N815 - Dagster offers a member by its name
    replacedImages = "replacedImages"  # noqa: N815
    finishedVideo = "finishedVideo"  # noqa: N815


CREDIT_LIMIT: Any = Field(
    default=None,
    ge=0,
    description="The most credits that this run's orders may cost, also when the sensor goes on "
    "with them. What is over it is held until another run asks for it. Empty: no such limit; "
    "TOPVIEW_CREDIT_LIMIT, for the day, counts in any case.",
)


class MakeConfig(dg.Config):
    """How the assets are made in a run."""

    credit_limit: float | None = CREDIT_LIMIT


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
    limit: int | None = Field(
        default=None,
        ge=1,
        description="At most so many products, the first of the catalogue that need something.",
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
    credit_limit: float | None = CREDIT_LIMIT
    explicit: bool = Field(
        default=True,
        description="Written by the sensor, as false: failed work is tried again only when it is "
        "due, and every task that nobody watches is brought home.",
    )

    @property
    def goes_on(self) -> bool:
        """Whether it takes what was ordered before, and plans nothing."""
        return bool(self.orders) or not self.explicit

    @property
    def is_of_the_whole_catalogue(self) -> bool:
        """Whether it takes what the catalogue has, neither named nor paid for again on purpose."""
        return self.explicit and not (self.products or self.orders or self.force)

    def contradiction(self) -> str | None:
        """Why this cannot be meant, and what to write instead; None when it can."""
        chosen = bool(self.products or self.stages or self.limit)
        if self.orders and chosen:
            return "orders go without products, stages and limit. Give one or the other."
        if not self.explicit and (chosen or self.force or self.credit_limit is not None):
            return (
                "explicit: false is how the sensor goes on with orders, and takes no products, "
                "stages, limit, force or credit_limit. Leave it out."
            )
        if self.everything and (self.products or self.orders):
            return "everything goes without products and orders. Leave one of them out."
        if self.force and not (self.products or self.orders or self.everything):
            return (
                "force without products would pay for the whole catalogue again. Name the "
                "products, or add everything: true."
            )
        return None
