"""`topview-pipeline review` and `choose`: a person decides which scenes become videos."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final, TextIO

import click
from rich.console import Console

from topview_pipeline.cli.console import (
    CannotStart,
    in_credits,
    person,
    program,
    say,
    say_json,
    say_rows,
)
from topview_pipeline.cli.environment import open_instance, pipeline, usable_catalogue
from topview_pipeline.cli.options import complete_product, gate_option, ids_option, why_option
from topview_pipeline.defs.decisions import Decisions, after_choice, choose_scene, decide, waiting
from topview_pipeline.settings import Gate
from topview_pipeline.stages import SCENE, VIDEO
from topview_pipeline.text import counted

_COLUMNS: Final = ("product", "stage", "scene", "verdict", "credits", "waits because")
_NOTHING: Final = (
    "Nothing waits for a person. To see what only a run's --gate holds: review --gate approve"
)


@click.command()
@ids_option("--approve", text="Approve this product's scene.")
@ids_option("--reject", text="Spend nothing more on this product's scene; say --why.")
@ids_option("--choose", text="Approve scene N of its scenes, counted from 1.", metavar="ID=N")
@ids_option("--again", text="Remake its scene in the next run, and pay again.")
@click.option(
    "--from",
    "listed",
    type=click.File(encoding="utf-8-sig"),
    help="Take the decisions from this list of the gallery; -: from standard input.",
)
@why_option
@gate_option
@click.option("--json", "as_json", is_flag=True, help="List what waits as one JSON document.")
def review(
    as_json: bool, why: str, listed: TextIO | None, gate: Gate | None, **given: Sequence[str]
) -> None:
    """List the products that wait for a person, or decide about them.

    A decision is about what is there now: a new scene needs a new decision. It spends nothing; the
    next run acts on it.
    """
    topview = pipeline()
    if listed is not None and any(given.values()):
        fix = "Write the other decisions into the list."
        raise CannotStart("--from cannot go with other decisions", fix=fix)
    if listed is not None or any(given.values()):
        decisions = Decisions.of(**given) if listed is None else _listed(listed)
        with topview.ledger() as ledger:
            decide(topview, ledger, decisions, who=person(), why=why)
        say(f"{decisions.summary or 'Nothing decided'}. To go on: {program()} run")
        return
    catalogue = usable_catalogue(topview, ())
    with topview.ledger() as ledger, open_instance() as instance:
        found = waiting(instance, topview, catalogue, ledger, gate=gate)
    if as_json:
        say_json({"waiting": [one.to_json() for one in found]})
        return
    if not found:
        say("Nothing waits for a person." if gate else _NOTHING)
        return
    console = Console()
    rows = (
        (one.product_id, one.task.stage, image, verdict, f"{round(one.credits, 2):g}", one.what)
        for one in found
        for image, verdict in one.verdicts
    )
    say_rows(console, _COLUMNS, rows, right=("scene", "credits"))
    if console.is_terminal:
        follow = in_credits(round(sum(one.credits for one in found), 2))
        products = counted(len(found), "product")
        say(f"{products}. To approve all of them costs about {follow}.", console)
        say(f"{program()} review --approve ID, --reject ID, --choose ID=N, --again ID", console)


@click.command()
@click.argument("product", shell_complete=complete_product)
@click.argument("image", type=int)
@why_option
def choose(product: str, image: int, why: str) -> None:
    """Make the video of PRODUCT from IMAGE of its scenes, counted from 1.

    The choice overrides the column chosen_image, and approves the scene. It counts for the scenes
    that are there now. It spends nothing, and says what the next run makes and pays because of it.
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
    if not planned:
        say("Its video is made from that scene already: there is nothing to make.")
    elif not planned[0].submits:
        say(f"The next run pays nothing for its video: {planned[0].why}.")
    else:
        price = planned[0].credits
        cost = "a price not known yet" if price is None else in_credits(price)
        say(f"To make its video from it, for about {cost}, run:")
        say(f"  {run} {VIDEO.key}")


def _listed(file: TextIO) -> Decisions:
    try:
        return Decisions.listed(file.read().split("\n"))
    except UnicodeError as error:
        raise CannotStart("it is not UTF-8 text", file.name) from error
