"""Which of the replaced images becomes the video."""

from typing import Literal

import pytest

from topview_pipeline.stages import PreconditionError
from topview_pipeline.stages.scenes import ChosenImage, choose_image
from topview_pipeline.topview.models import ReplacedImage

Faces = tuple[bool | None, ...]
WhenNoFace = Literal["fail", "avatar2"]


def _choose(
    faces: Faces, *, wanted: int | None = None, mode: str = "pro", ways: WhenNoFace = "fail"
) -> ChosenImage:
    images = [
        ReplacedImage(image_id=f"image-{number}", face_existence=face)
        for number, face in enumerate(faces, 1)
    ]
    return choose_image(images, wanted=wanted, mode=mode, when_no_face=ways)


@pytest.mark.parametrize(
    ("faces", "wanted", "mode", "ways", "number", "sent"),
    [
        ((True, True), None, "pro", "fail", 1, "pro"),
        ((False, True), None, "pro", "fail", 2, "pro"),
        ((False, None), None, "pro", "fail", 2, "pro"),
        ((True, True), 2, "pro", "fail", 2, "pro"),
        ((False, True), None, "avatar2", "fail", 2, "avatar2"),
        ((False, False), None, "avatar2", "fail", 1, "avatar2"),
        ((False, False), None, "pro", "avatar2", 1, "avatar2"),
        ((True, False), 2, "pro", "avatar2", 2, "avatar2"),
        ((True, False), 2, "avatar2", "fail", 2, "avatar2"),
    ],
)
def test_the_wanted_one_else_the_first_with_a_face(
    faces: Faces, wanted: int | None, mode: str, ways: WhenNoFace, number: int, sent: str
) -> None:
    chosen = _choose(faces, wanted=wanted, mode=mode, ways=ways)
    assert chosen == ChosenImage(number, f"image-{number}", sent)


@pytest.mark.parametrize("faces", [(False, False), (False,)])
def test_no_face_fails_and_names_the_ways_out(faces: Faces) -> None:
    with pytest.raises(PreconditionError, match="no face") as told:
        _choose(faces)
    assert "TOPVIEW_WHEN_NO_FACE=avatar2" in told.value.mend


def test_a_chosen_image_without_a_face_fails_too() -> None:
    with pytest.raises(PreconditionError, match="no face"):
        _choose((True, False), wanted=2)


@pytest.mark.parametrize("wanted", [3, 99])
def test_a_chosen_image_that_is_not_there(wanted: int) -> None:
    with pytest.raises(PreconditionError, match=f"image {wanted} was chosen") as told:
        _choose((True, True), wanted=wanted)
    assert "from 1 to 2" in told.value.mend


def test_a_result_without_images() -> None:
    with pytest.raises(PreconditionError, match="no image with an id"):
        _choose(())
