"""Requests for a cut-out and a scene: manual and auto, template and avatar."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stages.fakes import CUT_OUT_MADE, CUTOUT, PLAIN, QUAD, hash_of, item_of, product
from topview_pipeline.catalogue import Product
from topview_pipeline.stages import CUT_OUT, SCENE, Upstream


def _wire(one: Product) -> dict[str, Any]:
    item = item_of(SCENE, one, CUT_OUT_MADE)
    return SCENE.request(item, {file.role: f"{file.role}-id" for file in SCENE.files(item)}).wire()


def test_a_photo_is_uploaded_and_a_given_id_is_used_as_it_is() -> None:
    item = item_of(CUT_OUT, PLAIN, None)
    (photo,) = CUT_OUT.files(item)
    assert (photo.source, photo.sha256, photo.given) == ("photo", hash_of("photo"), None)
    assert CUT_OUT.request(item, {"photo": "id"}).wire() == {"productImageFileId": "id"}
    one = product(image=None, product_image_file_id="file-1")
    (given,) = CUT_OUT.files(item_of(CUT_OUT, one, None))
    assert (given.given, given.can_be_uploaded) == ("file-1", False)
    item = item_of(CUT_OUT, product(product_image_mask_file_id="mask-1"), None)
    ids = {file.role: file.given or "photo-1" for file in CUT_OUT.files(item)}
    wire = {"productImageFileId": "photo-1", "productImageMaskFileId": "mask-1"}
    assert CUT_OUT.request(item, ids).wire() == wire


def test_the_cut_out_goes_by_topviews_own_id_and_can_be_uploaded_from_the_store() -> None:
    cutout, template = SCENE.files(item_of(SCENE, PLAIN, CUT_OUT_MADE))
    assert (cutout.given, cutout.artifact, cutout.can_be_uploaded) == ("cutout-id", CUTOUT, True)
    assert template.source == "template"


def test_a_cut_out_without_its_file_can_only_go_by_its_id() -> None:
    """The plan and a healed ledger may know the answer alone."""
    cutout, _ = SCENE.files(item_of(SCENE, PLAIN, Upstream("up", CUT_OUT_MADE.result)))
    assert (cutout.given, cutout.can_be_uploaded) == ("cutout-id", False)


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({}, {}),
        ({"template_image": None, "avatar_id": "av"}, {"avatarId": "av"}),
        (
            {"template_image": None, "template_image_file_id": "given"},
            {"templateImageFileId": "template-id"},
        ),
        ({"user_face_image": "face"}, {"userFaceImageFileId": "face-id"}),
        (
            {"location": QUAD, "image_edit_prompt": None},
            {"generateImageMode": "manual", "location": [list(point) for point in QUAD]},
        ),
    ],
    ids=["auto follows the prompt", "avatar", "given template", "face", "manual has four points"],
)
def test_the_request_of_a_scene(changes: dict[str, Any], differs: dict[str, Any]) -> None:
    expected = {
        "generateImageMode": "auto",
        "productImageWithoutBackgroundFileId": "cutout-id",
        "templateImageFileId": "template-id",
        "imageEditPrompt": "put it into the hand",
        **differs,
    }
    if "avatar_id" in changes:
        del expected["templateImageFileId"]
    if "location" in changes:
        del expected["imageEditPrompt"]
    assert _wire(product(**changes)) == expected
