"""`topview-pipeline choose`: a person says which of several scenes becomes the video."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from topview_pipeline.cli.checks import usable_catalogue
from topview_pipeline.cli.demohome import program
from topview_pipeline.cli.errors import CannotStart
from topview_pipeline.cli.tasks.opening import opened, person, say
from topview_pipeline.cli.telling import in_credits

if TYPE_CHECKING:
    from topview_pipeline.planning import PlannedOrder


@click.command()
@click.argument("product")
@click.argument("image", type=int)
@click.option("--why", default="", metavar="TEXT", help="A reason, kept in the ledger.")
def choose(product: str, image: int, why: str) -> None:
    """Make the video of PRODUCT from IMAGE of its scenes, counted from 1.

    The choice goes over the catalogue's column chosen_image and is of the scenes that are there
    now: when they are made anew, choose again. It spends nothing. It says what the next run makes
    and pays because of it; what has to be made anew is stale in Dagster from then on.

    Exit codes: 0 chosen, 2 there is no such product or image.
    """
    import dagster as dg

    from topview_pipeline.choosing import ChoiceRefused
    from topview_pipeline.choosing import choose as keep
    from topview_pipeline.cli.instance import open_instance, prepare_home
    from topview_pipeline.defs.choosing import observe_choice, planned_video

    warnings.simplefilter("ignore", dg.BetaWarning)
    with opened() as here:
        catalogue = usable_catalogue([product], [])
        found = catalogue.products.get(product)
        prepare_home()
        with open_instance() as instance:
            try:
                keep(here.ledger, product, image, who=person(), why=why)
            except ChoiceRefused as error:
                raise CannotStart(str(error)) from error
            say(f"Image {image} of {product} is chosen.")
            if found is None:
                say("Its row in the catalogue cannot be used now; mend it, then run.")
                return
            observe_choice(instance, here.ledger, found)
            order = planned_video(instance, here.ledger, catalogue, product)
    for line in _coming(order, product):
        say(line)


def _coming(order: PlannedOrder | None, product_id: str) -> Iterator[str]:
    """What the next run makes of a choice, and what that costs."""
    if order is None:
        yield "Its video is made from that image already: there is nothing to make."
    elif not order.submits:
        yield f"The next run pays nothing for its video: {order.why}."
    else:
        cost = "a price not known yet" if order.credits is None else in_credits(order.credits)
        yield f"Its video is to be made from it. That alone, for about {cost}, does:"
        yield f"  {program()} run --product {shlex.quote(product_id)} --stage finishedVideo"
