"""Slips of people in catalogue rows, settings and prices: what, where, and how to fix it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.catalogue.samples import GOOD, NO_DEFAULTS, QUAD, csv_text, jsonl, row
from topview_pipeline.catalogue import CatalogueError, open_source, parse_catalogue, read_catalogue
from topview_pipeline.errors import PipelineError
from topview_pipeline.settings import PipelineConfig


def _setting(name: str, value: str) -> None:
    PipelineConfig.from_environment({f"TOPVIEW_{name}": value})


def _row(**changes: object) -> None:
    catalogue = jsonl(row(**changes))
    if catalogue.problems:
        raise CatalogueError(str(catalogue.problems[0]), catalogue.source)


def _file(data: bytes, name: str = "products.csv") -> None:
    catalogue = parse_catalogue(data, f"/data/{name}", NO_DEFAULTS)
    if catalogue.problems:
        raise CatalogueError(str(catalogue.problems[0]), catalogue.source)


SLIPS: dict[str, tuple[Callable[[], object], str, str]] = {
    # What was done, where it is said to be, and the part of the sentence that helps.
    "a decimal comma": (
        partial(_setting, "PRICES", "image2video/lite=0,5"),
        "TOPVIEW_PRICES: '5' cannot be read as a price",
        "commas between",
    ),
    "a semicolon between prices": (
        partial(_setting, "PRICES", "image_replace=1;image2video=2"),
        "TOPVIEW_PRICES: 'image_replace=1;image2video=2' cannot",
        "commas between",
    ),
    "a price without a kind": (
        partial(_setting, "PRICES", "0.5"),
        "TOPVIEW_PRICES: '0.5' cannot be read",
        "Write kind=credits",
    ),
    "a price for a mode alone": (
        partial(_setting, "PRICES", "lite=0.5"),
        "TOPVIEW_PRICES: 'lite=0.5' names no kind of task",
        "image2video/lite=0.5",
    ),
    "a price in money": (
        partial(_setting, "PRICES", "image_replace=$1"),
        "TOPVIEW_PRICES: 'image_replace=$1' cannot be read",
        "Write kind=credits",
    ),
    "a limit with its unit": (
        partial(_setting, "CREDIT_LIMIT", "50 credits"),
        "TOPVIEW_CREDIT_LIMIT: '50 credits' cannot be used",
        "must be a number",
    ),
    "a limit with a decimal comma": (
        partial(_setting, "NIGHTLY_CREDIT_LIMIT", "7,5"),
        "TOPVIEW_NIGHTLY_CREDIT_LIMIT: '7,5' cannot be used",
        "must be a number",
    ),
    "a negative limit": (
        partial(_setting, "CREDIT_LIMIT", "-5"),
        "TOPVIEW_CREDIT_LIMIT: '-5' cannot be used",
        "at least 0",
    ),
    "slots in words": (
        partial(_setting, "SLOTS", "four"),
        "TOPVIEW_SLOTS: 'four' cannot be used",
        "a whole number",
    ),
    "a mode with a capital": (
        partial(_setting, "DEFAULT_MODE", "Lite"),
        "TOPVIEW_DEFAULT_MODE: 'Lite' cannot be used",
        "'lite'",
    ),
    "a host without https": (
        partial(_setting, "BASE_URL", "//api.topview.ai"),
        "TOPVIEW_BASE_URL: it is not an http or https URL",
        "Use https://host",
    ),
    "a key with its header's word": (
        partial(_setting, "API_KEY", "Bearer abc"),
        "TOPVIEW_API_KEY: ",
        "without the word Bearer",
    ),
    "a store in memory": (
        partial(_setting, "STORE", "memory://videos"),
        "TOPVIEW_STORE: a store in memory is gone with its process",
        "Name a folder",
    ),
    "a ledger as a path": (
        partial(_setting, "LEDGER_URL", "./ledger.db"),
        "TOPVIEW_LEDGER_URL: not a SQLAlchemy URL",
        "sqlite:////folder/ledger.db",
    ),
    "yes and no": (
        partial(_setting, "ACCOUNT_EXCLUSIVE", "perhaps"),
        "TOPVIEW_ACCOUNT_EXCLUSIVE: 'perhaps' cannot be used",
        "true or false",
    ),
    "an import path that is none": (
        lambda: open_source("python:shop.products"),
        "catalogue python:shop.products: it cannot be opened",
        "python:package.module:attribute",
    ),
    "a catalogue's folder": (
        lambda: read_catalogue("/", NO_DEFAULTS),
        "catalogue /: this is a folder",
        "Name a file in it.",
    ),
    "a workbook renamed to CSV": (
        partial(_file, b"PK\x03\x04\x14\0\x06\0[Content_Types].xml"),
        "catalogue /data/products.csv: it is an Excel file",
        "save it as CSV UTF-8",
    ),
    "a photo named as catalogue": (
        partial(_file, b"\x89PNG\r\n\x1a\n", "mug.png"),
        "catalogue /data/mug.png: it is a picture",
        "Name the table",
    ),
    "a sign-in page": (
        partial(_file, b"\n<html><body>Sign in</body></html>", "export"),
        "catalogue /data/export: it is a web page",
        "the address that downloads the CSV itself",
    ),
    "an array named as lines": (
        partial(_file, b'[\n {"product_id": "mug"}\n]', "products.jsonl"),
        "catalogue /data/products.jsonl: it is one JSON list",
        "one object in each line",
    ),
    "a header of another shop": (
        partial(_file, b"Product ID;Image\nmug;m.png\n"),
        "catalogue /data/products.csv: its first line is not a header with a product_id column",
        "Is 'product id' meant to be product_id?",
    ),
    "null as a line": (
        partial(_file, b"null\n", "products.jsonl"),
        "line 1: 'null' is not a JSON object",
        '{"product_id": "mug"}',
    ),
    "a quote that is never closed": (
        partial(_file, b'product_id,script\nmug,"' + b"x" * 140_000 + b"\n"),
        "line 2: a cell has more than 131,072 characters",
        "close the quote",
    ),
    "a mode in capitals": (
        partial(_row, mode="AVATAR4FAST"),
        "line 1, column mode (product 'mug'): there is no mode 'AVATAR4FAST'",
        "is avatar4Fast meant?",
    ),
    "a page of text for half a minute": (
        partial(_row, mode="avatar2", script="Eighty words of it. " * 20),
        "line 1, column script (product 'mug'): the script takes about 32 s to speak, and a video "
        "in mode avatar2 lasts at most 28 s",
        "shorten it, or use mode avatar4",
    ),
    "a template beside the avatar": (
        partial(_row, template_image="/t.png"),
        "line 1, column avatar_id (product 'mug'): template_image and avatar_id are both given",
        "use one",
    ),
    "the second scene of one": (
        partial(_row, chosen_image=2),
        "line 1, column chosen_image (product 'mug'): 2, and a prompt makes one scene",
        "leave it empty, or give a location",
    ),
    "the third scene of two": (
        partial(_row, chosen_image=3, location=QUAD),
        "line 1, column chosen_image (product 'mug'): 3, and a location makes two scenes",
        "use 1 or 2",
    ),
    "a product on its head": (
        partial(_row, location="[[0.7,0.9],[0.3,0.9],[0.3,0.6],[0.7,0.6]]"),
        "line 1, column location (product 'mug'): the product would lie on its side or stand",
        "begin with the point at its top left",
    ),
    "pixels as a location": (
        partial(_row, location="[[120,80],[400,80],[400,300],[120,300]]"),
        "line 1, column location (product 'mug'): ",
        "a fraction of the template from 0 to 1",
    ),
    "corners that cross": (
        partial(_row, location="[[0.3,0.6],[0.7,0.9],[0.7,0.6],[0.3,0.9]]"),
        "line 1, column location (product 'mug'): the points are not the corners",
        "in the order top left, top right, bottom right, bottom left",
    ),
    "no voice": (
        partial(_row, voice_id=None),
        "line 1, column voice_id (product 'mug'): a script needs a voice",
        "give voice_id",
    ),
    "a list as a photo": (
        partial(_row, image=["a.png", "b.png"]),
        "line 1, column image (product 'mug'): ['a.png', 'b.png'] is not text",
        "give one",
    ),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_one_sentence_with_what_where_and_the_fix(slip: str) -> None:
    act, says, fix = SLIPS[slip]
    with pytest.raises(PipelineError) as caught:
        act()
    said = str(caught.value)
    assert says in said
    assert fix in said
    assert len(said) < 450
    assert not {"\n", "Traceback", "pydantic", "None"} & {said, *said.split()}


def test_the_good_row_has_none_of_these_faults() -> None:
    assert not jsonl(GOOD).problems
    assert not csv_text("product_id,image,avatar_id,script,voice_id\nmug,/m.png,a,Hi,v\n").problems
