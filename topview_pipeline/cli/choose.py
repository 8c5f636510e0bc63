"""`topview-pipeline choose`: a person says which of several scenes becomes the video."""

from __future__ import annotations

import shlex
import warnings
from typing import TYPE_CHECKING

import click

from topview_pipeline.cli.checks import usable_catalogue
from topview_pipeline.cli.errors import CannotStart
from topview_pipeline.cli.tasks.opening import opened, person, say

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from topview_pipeline.catalogue import Product
    from topview_pipeline.ledger import Ledger


@click.command()
@click.argument("product")
@click.argument("image", type=int)
@click.option("--why", default="", metavar="TEXT", help="A reason, kept in the ledger.")
def choose(product: str, image: int, why: str) -> None:
    """Make the video of PRODUCT from IMAGE of its scenes, counted from 1.

    The choice goes over the catalogue's column chosen_image and is of the scenes that are there
    now: when they are made anew, choose again. It spends nothing; the video is stale in Dagster,
    and the next run makes it anew.

    Exit codes: 0 chosen, 2 there is no such product or image.
    """
    import dagster as dg

    from topview_pipeline.choosing import ChoiceRefused
    from topview_pipeline.choosing import choose as keep
    from topview_pipeline.cli.instance import open_instance, prepare_home

    warnings.simplefilter("ignore", dg.BetaWarning)
    with opened() as here:
        found = usable_catalogue([product], []).products.get(product)
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
            _tell_dagster(instance, here.ledger, found)


def _tell_dagster(instance: DagsterInstance, ledger: Ledger, product: Product) -> None:
    from topview_pipeline.defs.choosing import observe_choice

    name = shlex.quote(product.product_id)
    if observe_choice(instance, ledger, product):
        say("Its video is stale now. The next run makes it anew, and pays for that video only:")
        say(f"  topview-pipeline run --product {name} --stage finishedVideo")
    else:
        say("That changes nothing that Dagster knows of: no video is stale by it.")
