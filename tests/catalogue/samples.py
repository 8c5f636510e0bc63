"""Rows, and catalogues made of them."""

import json

from topview_pipeline.catalogue import Catalogue, Product, parse_catalogue
from topview_pipeline.settings import CatalogueDefaults

QUAD = "[[0.3,0.6],[0.7,0.6],[0.7,0.9],[0.3,0.9]]"
GOOD: dict[str, object] = {
    "product_id": "mug",
    "image": "/mug.png",
    "avatar_id": "a1",
    "script": "A mug.",
    "voice_id": "v1",
}
HEADER = "product_id,image,avatar_id,script,voice_id\n"
NO_DEFAULTS = CatalogueDefaults()


def row(**changes: object) -> dict[str, object]:
    return {**GOOD, **changes}


def jsonl(*rows: object, defaults: CatalogueDefaults = NO_DEFAULTS) -> Catalogue:
    text = "\n".join(json.dumps(row) for row in rows)
    return parse_catalogue(text.encode(), "/data/products.jsonl", defaults)


def csv_text(text: str | bytes, defaults: CatalogueDefaults = NO_DEFAULTS) -> Catalogue:
    data = text.encode() if isinstance(text, str) else text
    return parse_catalogue(data, "/data/products.csv", defaults)


def only(catalogue: Catalogue) -> Product:
    assert [str(problem) for problem in catalogue.problems] == []
    (product,) = catalogue.products.values()
    return product


def places(catalogue: Catalogue) -> list[tuple[int, str | None]]:
    return [(problem.line, problem.column) for problem in catalogue.problems]
