"""Fingerprints of what is already made and paid for never change: literal values, never edited.

They were computed by the first edition of the stages, from the sample catalogue and its files. A
video is in the table once for each image of its scene.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

import topview_pipeline
from topview_pipeline.catalogue import Product, read_catalogue
from topview_pipeline.settings import CatalogueDefaults
from topview_pipeline.stages import STAGES, VIDEO, Upstream, fingerprint_of

ACCOUNT: Final = "0123456789abcdef"
SAMPLE: Final = Path(topview_pipeline.__file__).parent / "sample"
SCENES: Final = {
    "taskId": "t",
    "status": "success",
    "replaceProductResult": [
        {"imageId": f"image-{number}", "faceExistence": True} for number in (1, 2)
    ],
}

GOLDEN: Final = Path(__file__).with_name("golden.txt").read_text(encoding="utf-8")
"""Product, case, fingerprint of generation 0, a line each."""


def _hash_of(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _products() -> dict[str, Product]:
    """The sample catalogue, and two that have what none of its products has."""
    found = dict(read_catalogue(str(SAMPLE / "catalogue.csv"), CatalogueDefaults()).products)
    cream = found["silk-cream"]
    by_ids = replace(
        cream,
        product_id="by-ids",
        image=None,
        product_image_file_id="photo-id",
        template_image=None,
        template_image_file_id="template-id",
        avatar_id="avatar-id",
        user_face_image_file_id="face-id",
        script=None,
        voice_id=None,
        audio_file_id="audio-id",
        caption_id=None,
        mode="avatar4Fast",
        chosen_image=2,
        image_edit_prompt="Größe »M«, 字",
    )
    with_files = replace(
        cream,
        product_id="with-files",
        user_face_image=cream.image,
        script=None,
        voice_id=None,
        audio=cream.template_image,
        mode="pro",
    )
    return found | {one.product_id: one for one in (by_ids, with_files)}


PRODUCTS: Final = _products()


def _fingerprints(product: Product) -> dict[str, str]:
    found: dict[str, str] = {}
    upstream: Upstream | None = None
    for stage in STAGES:
        inputs = stage.inputs(product, _hash_of)
        for image in (1, 2) if stage is VIDEO else (None,):
            item = stage.item(product, inputs, upstream, account=ACCOUNT, choice=image)
            fingerprint = fingerprint_of(item.work, 0)
            found[stage.key if image is None else f"{stage.key}/{image}"] = fingerprint
        upstream = Upstream(fingerprint, SCENES)
    return found


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_what_was_made_before_is_found_again(product: Product) -> None:
    rows = [line.split() for line in GOLDEN.strip().splitlines()]
    golden = {case: fingerprint for name, case, fingerprint in rows if name == product.product_id}
    assert _fingerprints(product) == golden


def test_a_forced_repeat_is_found_again() -> None:
    work = "cb2715d177e795b3d6ed2aa93c400112a10835defb245c59a0bcc333b0dc05ec"
    again = "498a81272b96884478c3ed746bd74f1ec539f7d373c71a018234739d62884222"
    assert fingerprint_of(work, 1) == again


def test_sources_are_not_stale_in_dagster() -> None:
    versions = [stage.inputs(PRODUCTS["silk-cream"], _hash_of).version for stage in STAGES]
    assert versions == [
        "bb0cfdf086132d6164ff4097e64d29cc",
        "b7160ae590dafb0bcf7ed4f3e0dd66f1",
        "1f0dff1c5d7f3ebb13e3c526f24f7d3a",
    ]
