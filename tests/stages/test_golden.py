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

# Product, case, fingerprint of generation 0.
GOLDEN: Final = """
aqua-bottle bgRemovedImage be228c1c59e03c5b1d7e6eb9175b3796c9d52859bbdb590e728336d967fe4608
aqua-bottle replacedImages ea03bb613a2d9d9a48a1358533bec145974c296f3ba904cf13a45211a371fdda
aqua-bottle finishedVideo/1 e8d0de949728dc17012933d5c5609ebc85e8b532e8626348729c685407ce6fae
aqua-bottle finishedVideo/2 a58452bc949c1a5f44912e157adbd1cd431471fa5196fa6c8156f314ac7d54e5
noir-perfume bgRemovedImage 009f2c90cf22114628748f01ff35aadde00b44b1de20198884691b63e56b775c
noir-perfume replacedImages 056fceb914586d7f52d9efe5c8dcb002df48defbff3bf60503d0a5f68ca93fd2
noir-perfume finishedVideo/1 fdc8a18a4fd1d1de550679b99474859924646b45202c0e414168ac5384f1290f
noir-perfume finishedVideo/2 05beb239da9669fad3e8f6b85c4efcd34c8dfcf417fb5019427a85f4150f4fc5
gift-box bgRemovedImage 394afc789e985668fadccb3cac095d27b53884bdfc6f14765daad2f3b429020f
gift-box replacedImages 66f6db70de745c125b14bb6cda0065cec801f8148200f81ffab926e26555b65f
gift-box finishedVideo/1 84d4afc5bb190a142b40e463188ad56b9d51a581e12497d03f058ea8a63f875f
gift-box finishedVideo/2 0a398fa4cc89c054a40e688c8459d40f78937e69891eb6671faba41f91407abd
ceramic-mug bgRemovedImage 369da78725b4ffe628e0b630b49b5666e93c032fafa24f997b35624fbbe9387a
ceramic-mug replacedImages da8a9fd0827e80c4a10522e222cb9d89ea930576edb988a5188ba52c0f702bd6
ceramic-mug finishedVideo/1 0183e7365e78f2e36d47e2cbe3addd19b45194570db4771b260ab38a4d80fb46
ceramic-mug finishedVideo/2 5857319b98e6e4aef67384ec08cb3938bf471f77e6e63ad592337ff5cb8cbe5a
coral-runner bgRemovedImage cb899ed5d3fc79e96d03bc421a6bd89a557319ca16ff8a1df65847320f012c86
coral-runner replacedImages 285c418697409c02a618ec859a4bb28bb8e2e382c6d4db5e7090df3624a68b09
coral-runner finishedVideo/1 91f1120bc23754446c3db82e74a6fba1382e85fce00e639d1d8c70589a0647e0
coral-runner finishedVideo/2 14201421230538220edbbc625e2db2f5fafe453ab3762934099bc90dc1280f3c
orbit-headphones bgRemovedImage 83caa86e2655fe09b2f1aa36c756c68d5c9dd746f001aa9531bef0412b0dd79c
orbit-headphones replacedImages 6d2db11da63455d8aa4c8c23fc1d517103b388aa0c8cd17a9a27d29e71be4cec
orbit-headphones finishedVideo/1 ba6ca549dc89519d80c2c39c9d1456867783da40e98d795c935ac13ef40bc4a2
orbit-headphones finishedVideo/2 20e2b1629a9785a4a12094cc25a3a26fd7e9ad7694b9468fc73696fb31d6c9ec
trail-backpack bgRemovedImage 23b41b910e76ee64ce60412c062979c365b198c1a7bf162afb15812a8a9fa478
trail-backpack replacedImages 30f3c5db396f75362d493150e82ff7aa7c2247e9a9bb423002fe8feafeece9d8
trail-backpack finishedVideo/1 c311e00302b699292b8c77992dbc384ebddc2f2fa79dcfbb4894fd93602b8018
trail-backpack finishedVideo/2 511006a5be429b5714133b23383843f6be61a7bb8dd05d7d19c43373c9618665
sol-sunglasses bgRemovedImage a7d9fa94d7450be16c8a383e248e991950fcdd2249c164a290928ed750e97999
sol-sunglasses replacedImages b1317c394254117e649b425ba8b26df6c608058ab7686f4955b854de6c013fb7
sol-sunglasses finishedVideo/1 cab0abdf9e92b0d0759ab272fd9c43a1717d4f70f5a7a4133b9f353a0382dc89
sol-sunglasses finishedVideo/2 2bee7ae04ed0a7800153857496cf6f4237d1bfb521b9eca6b710ae6c002dd698
silk-cream bgRemovedImage dc34416c7d31763173b77e4a42a4905f68f904a8a88d67b6d2763edc2128ca1e
silk-cream replacedImages 02b889f6c9ab5175d4024b22a62979e79fe46a52e7f61b570c746a911395375a
silk-cream finishedVideo/1 b2004b9135fd06d40b97902aff6f98d30eb5fc18a0d71c36d3cca1f81a305aad
silk-cream finishedVideo/2 a58e06fb4a3b712c1348b82694d80789386d5ec1f87231d7950858953f934395
aqua-bottle-gift bgRemovedImage be228c1c59e03c5b1d7e6eb9175b3796c9d52859bbdb590e728336d967fe4608
aqua-bottle-gift replacedImages f17948ab7b838fd461b36b7292720d3d441b79e58331b0bdc9b3b036dd478a68
aqua-bottle-gift finishedVideo/1 a01689b18d82a1c5a70e684b456806e5599e8cd3fe9bbc14dcddc44553c08447
aqua-bottle-gift finishedVideo/2 c85e8fb411a8965bae53c678dec366db4e24135939394d17426416ecb4479bc1
by-ids bgRemovedImage 57878f7b14003f1798bd28f6cbb1751a240ea25f60ffcb2cbdd8a995e198ce06
by-ids replacedImages eecac7f9e54588943a7cc692bf39fb1b8b73abb6f01430964f471aa9d9067427
by-ids finishedVideo/1 2fbaecbf432073cf0c6d7757bcb9a547e0f80cf8c9fb72ca1a1eaa12f42a8e53
by-ids finishedVideo/2 18628a4ac86a0984d67242c13f0e54d315eff42ee2ce80e12c18d2213af13c71
with-files bgRemovedImage dc34416c7d31763173b77e4a42a4905f68f904a8a88d67b6d2763edc2128ca1e
with-files replacedImages 9b73956680dfcee9c34bec60eb6020bfe48aff4666b2c2e93777c96398f7a948
with-files finishedVideo/1 651d78605ef5fd7eb45de00566def4b20e36552061de097cd6b2566bf04f66a1
with-files finishedVideo/2 0ae6a6adc544c7c7ef55ebc77d197a3cfcfa97f14e03b80754dc02c615bd9a99
"""


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
