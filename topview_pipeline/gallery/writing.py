"""Renders the gallery's page and writes it, whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from topview_pipeline.artifacts.addresses import Links
from topview_pipeline.gallery.cards import OUTCOME_WORDS, STAGE_WORDS, Card, card_of
from topview_pipeline.gallery.photos import photo_for
from topview_pipeline.portfolio import OUTCOMES, ProductShown

if TYPE_CHECKING:
    from jinja2 import Template

GALLERY_FILE: Final = "index.html"
SERVED_FILE: Final = "served.html"
"""A page whose links need its server; beside the other, which works without."""


def write_gallery(
    portfolio: Iterable[ProductShown],
    folder: Path,
    links: Links,
    *,
    title: str,
    now: float,
    program: str = "topview-pipeline",
    name: str = GALLERY_FILE,
) -> Path:
    """Write the page and small copies of the photos into a folder, which is made.

    Args:
        links: where files of the store are found from a page in that folder.
        title: what the page is of.
        now: seconds since the epoch.
        program: what the commands on the page begin with.
        name: the page's.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cards = [
        card_of(shown, links, photo_for(_photo(shown), folder), program=program)
        for shown in portfolio
    ]
    page = folder / name
    part = page.with_name(f"{name}.{os.getpid()}.part")
    try:
        part.write_text(render(cards, title=title, now=now), encoding="utf-8")
        part.replace(page)
    finally:
        part.unlink(missing_ok=True)
    return page


def _photo(shown: ProductShown) -> str | None:
    return None if shown.product is None else shown.product.image


def render(cards: Sequence[Card], *, title: str, now: float) -> str:
    """The page as HTML: one file with its style and script, and nothing from anywhere else."""
    script = _source("gallery.js")
    counts = Counter(card.outcome for card in cards)
    made = datetime.fromtimestamp(now, timezone.utc)
    return _template().render(
        title=title,
        made=f"{made:%Y-%m-%d %H:%M} UTC",
        cards=cards,
        counts=[(one, OUTCOME_WORDS[one], counts[one]) for one in OUTCOMES if counts[one]],
        words=OUTCOME_WORDS,
        stage_words=STAGE_WORDS,
        style=_source("gallery.css"),
        script=script,
        # Only this script runs, whatever a product's texts hold.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _source(name: str) -> str:
    return (files("topview_pipeline.gallery") / "page" / name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_source("gallery.html.j2"))
