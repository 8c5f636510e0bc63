"""What is sent for a product: manual and auto, template and avatar, text and audio."""

from typing import Any

import pytest

from tests.stages.conftest import MakeProduct, hash_of
from topview_pipeline.artifacts import Artifact
from topview_pipeline.catalogue import Product
from topview_pipeline.stages import (
    BG_REMOVED_IMAGE,
    FINISHED_VIDEO,
    REPLACED_IMAGES,
    PreconditionError,
    Stage,
)
from topview_pipeline.stages.requests import FileNeeded, Upstream, build_request, files_needed
from topview_pipeline.stages.scenes import ChosenImage
from topview_pipeline.stages.shapes import shape_of

QUAD = ((0.1, 0.1), (0.4, 0.1), (0.4, 0.5), (0.1, 0.5))
CUTOUT = Artifact("cutout.png", "p/cutout.png", "c" * 64, 9, "image/png")
UPSTREAM = Upstream("up", {"bgRemovedImageFileId": "cutout-id"}, (CUTOUT,))
CHOSEN = ChosenImage(2, "image-2", "pro")


def _files(stage: Stage, product: Product, upstream: Upstream | None = None) -> list[FileNeeded]:
    return list(files_needed(stage, product, shape_of(stage, product, hash_of), upstream))


def _wire(stage: Stage, product: Product, chosen: ChosenImage | None = None) -> dict[str, Any]:
    ids = {needed.role: f"{needed.role}-id" for needed in _files(stage, product, UPSTREAM)}
    return build_request(stage, product, ids, chosen).wire()


def test_a_photo_is_uploaded_and_a_given_id_is_used_as_it_is(make: MakeProduct) -> None:
    (photo,) = _files(BG_REMOVED_IMAGE, make())
    assert (photo.source, photo.sha256, photo.given) == ("photo", hash_of("photo"), None)
    (given,) = _files(BG_REMOVED_IMAGE, make(image=None, product_image_file_id="file-1"))
    assert (given.given, given.can_be_uploaded) == ("file-1", False)
    assert _wire(BG_REMOVED_IMAGE, make()) == {"productImageFileId": "photo-id"}


def test_the_cut_out_goes_by_topviews_own_id_and_can_be_uploaded_from_the_store(
    make: MakeProduct,
) -> None:
    cutout, template = _files(REPLACED_IMAGES, make(), UPSTREAM)
    assert (cutout.given, cutout.artifact, cutout.can_be_uploaded) == ("cutout-id", CUTOUT, True)
    assert template.source == "template"


def test_auto_mode_follows_the_prompt(make: MakeProduct) -> None:
    assert _wire(REPLACED_IMAGES, make()) == {
        "generateImageMode": "auto",
        "productImageWithoutBackgroundFileId": "cutout-id",
        "templateImageFileId": "template-id",
        "imageEditPrompt": "put it into the hand",
    }


def test_manual_mode_sends_the_four_points_and_no_prompt(make: MakeProduct) -> None:
    wire = _wire(REPLACED_IMAGES, make(location=QUAD, user_face_image="face"))
    assert wire == {
        "generateImageMode": "manual",
        "productImageWithoutBackgroundFileId": "cutout-id",
        "templateImageFileId": "template-id",
        "userFaceImageFileId": "face-id",
        "location": [list(point) for point in QUAD],
    }


def test_an_avatar_takes_the_templates_place(make: MakeProduct) -> None:
    wire = _wire(REPLACED_IMAGES, make(template_image=None, avatar_id="avatar-1"))
    assert wire["avatarId"] == "avatar-1"
    assert "templateImageFileId" not in wire


def test_a_script_is_spoken_and_the_mode_is_the_one_chosen(make: MakeProduct) -> None:
    assert _files(FINISHED_VIDEO, make(), UPSTREAM) == []
    assert _wire(FINISHED_VIDEO, make(mode="avatar4"), CHOSEN) == {
        "replaceProductTaskImageId": "image-2",
        "mode": "pro",
        "scriptMode": "text",
        "ttsText": "Hello.",
        "voiceId": "voice",
        "captionId": "caption",
    }


def test_a_recording_is_uploaded_as_audio(make: MakeProduct) -> None:
    spoken = make(script=None, audio="audio", voice_id=None)
    (audio,) = _files(FINISHED_VIDEO, spoken)
    assert (audio.role, audio.kind, audio.source) == ("audio", "audio", "audio")
    wire = _wire(FINISHED_VIDEO, spoken, CHOSEN)
    assert (wire["scriptMode"], wire["audioFileId"]) == ("audio", "audio-id")
    assert "ttsText" not in wire


@pytest.mark.parametrize(
    ("stage", "mend"),
    [
        (REPLACED_IMAGES, "materialize bgRemovedImage first"),
        (FINISHED_VIDEO, "materialize replacedImages first"),
    ],
)
def test_without_the_stage_before_it_says_what_to_materialize(
    make: MakeProduct, stage: Stage, mend: str
) -> None:
    with pytest.raises(PreconditionError) as told:
        _wire_without_upstream(stage, make())
    assert told.value.mend == mend


def _wire_without_upstream(stage: Stage, product: Product) -> None:
    _files(stage, product, None)
    build_request(stage, product, {}, None)
