"""The plan's credits against the sandbox's bill: a plan that is half of the truth is none."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable
from contextlib import closing
from importlib.resources import files
from math import ceil
from pathlib import Path

import pytest

from topview_pipeline.catalogue import Product, parse_catalogue
from topview_pipeline.ledger import Ledger
from topview_pipeline.plan.catalogue_plan import load_known
from topview_pipeline.plan.plan import Planner
from topview_pipeline.prices import PriceList
from topview_pipeline.sandbox.kinds import MODES
from topview_pipeline.sandbox.media.speech import natural_seconds, words_of
from topview_pipeline.settings import DEFAULT_PRICES, CatalogueDefaults
from topview_pipeline.stages import STAGES, Inputs, Stage

SAMPLE = Path(str(files("topview_pipeline"))) / "sample" / "catalogue.csv"
PRICES = PriceList.parse(
    "image2video/lite=0.5, image2video/pro=2", "the sandbox", over=DEFAULT_PRICES.prices
)
QUAD = "[[0.2, 0.2], [0.6, 0.2], [0.6, 0.8], [0.2, 0.8]]"


def sample() -> str:
    return SAMPLE.read_text(encoding="utf-8")


def mixed() -> str:
    """300 products in all modes, of one to nine sentences of the sample."""
    chance = random.Random(7)
    said = [row["script"] for row in csv.DictReader(sample().splitlines())]
    lines = ["product_id,image,template_image,location,script,voice_id,mode"]
    for number in range(300):
        mode = chance.choice(["lite", "pro", "avatar2", "avatar2", "avatar4", "avatar4Fast"])
        most = {"lite": 1, "pro": 1, "avatar2": 3}.get(mode, 9)
        script = " ".join(chance.choices(said, k=chance.randint(1, most)))
        quad = chance.choice(["", QUAD.replace('"', '""')])
        lines.append(f'p{number},p{number}.png,t.png,"{quad}","{script}",v,{mode}')
    return "\n".join(lines)


def bill(products: Iterable[Product]) -> float:
    """Credits as the sandbox charges them, without its pictures."""
    total = 0.0
    for one in products:
        mode = MODES[one.mode]
        spoken = natural_seconds(words_of(one.script or ""))
        seconds = mode.longest_seconds if mode.fixed else min(spoken, mode.longest_seconds)
        total += 1.0 if one.location is None else 2.0
        total += mode.credits_per_second * ceil(seconds)
    return total


def inputs_of(_: Stage, product: Product) -> Inputs:
    return Inputs({"product": product.product_id})


@pytest.mark.parametrize("text", [sample(), mixed()], ids=["the demo", "300 of all modes"])
def test_a_plan_is_the_bill_within_two_percent(text: str, tmp_path: Path) -> None:
    catalogue = parse_catalogue(text.encode(), str(tmp_path / "c.csv"), CatalogueDefaults())
    assert not catalogue.problems
    url = f"sqlite:///{tmp_path}/ledger.db"
    with closing(Ledger(url, base_url="http://127.0.0.1:1", uid="u")) as ledger:
        known = load_known(ledger, PRICES, {})
        planner = Planner(wanted=STAGES, known=known, inputs_of=inputs_of)
        planned = planner.plan(catalogue.products.values())
    due = bill(catalogue.products.values())
    ratio = sum(one.credits or 0.0 for one in planned) / due
    assert ratio == pytest.approx(1.0, abs=0.02), f"of {due:.1f} credits"
    assert sum(one.reserved or 0.0 for one in planned) >= due, "a limit counts no less"
