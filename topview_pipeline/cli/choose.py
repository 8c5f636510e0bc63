"""`topview-pipeline choose`: a person says which of several scenes becomes the video."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click

from topview_pipeline.cli.completion import complete_product
from topview_pipeline.cli.console import in_credits, person, say
from topview_pipeline.cli.demo import program
from topview_pipeline.cli.environment import open_instance, pipeline, usable_catalogue
from topview_pipeline.defs.decisions import after_choice, choose_scene
from topview_pipeline.plan import PlannedStage
from topview_pipeline.stages import SCENE, VIDEO


@click.command()
@click.argument("product", shell_complete=complete_product)
@click.argument("image", metavar="SCENE", type=int)
@click.option("--why", default="", metavar="TEXT", help="A reason, kept in the ledger.")
def choose(product: str, image: int, why: str) -> None:
    """Make the video of PRODUCT from this SCENE of it, counted from 1.

    The choice overrides the catalogue's column chosen_image and approves the scene (see `review`).
    It is about the scenes that are there now: after a remake, choose again. It spends nothing, and
    says what the next run remakes and pays because of it; that is stale in Dagster from then on.

    Exit codes: 0 chosen, 2 there is no such product or scene.
    """
    topview = pipeline()
    catalogue = usable_catalogue(topview, [product])
    run = f"{program()} run --product {shlex.quote(product)} --stage"
    with topview.ledger() as ledger, open_instance() as instance:
        make_it = f"Make it first: {run} {SCENE.key}"
        choose_scene(ledger, product, image, who=person(), why=why, make_it=make_it)
        say(f"Scene {image} of {product} is chosen.")
        if product not in catalogue.products:
            say("Its row in the catalogue cannot be used now; fix it, then run.")
            return
        planned = after_choice(instance, topview, catalogue, ledger, product)
    for line in _coming(planned[0] if planned else None, run):
        say(line)


def _coming(video: PlannedStage | None, run: str) -> Iterator[str]:
    """Say what the next run makes because of a choice, and what that costs."""
    if video is None:
        yield "Its video is made from that scene already: there is nothing to make."
    elif not video.submits:
        yield f"The next run pays nothing for its video: {video.why}."
    else:
        cost = "a price not known yet" if video.credits is None else in_credits(video.credits)
        yield f"To make its video from it, for about {cost}, run:"
        yield f"  {run} {VIDEO.key}"
