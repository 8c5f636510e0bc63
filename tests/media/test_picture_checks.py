"""Cut-outs and scenes that no customer should see, and those that a person should look at."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw

from tests.media.films import png
from topview_pipeline.media import Outcome, refused_images
from topview_pipeline.media.picture_checks import check_cutout, check_scene

PHOTO = png(Image.new("L", (400, 400)))
"""A mask, which has the size of the photo."""


def product() -> Image.Image:
    """A bottle, cropped to itself."""
    image = Image.new("RGBA", (120, 240))
    ImageDraw.Draw(image).rectangle((10, 0, 110, 240), "navy")
    return image


def room(size: tuple[int, int] = (360, 640)) -> bytes:
    return png(Image.linear_gradient("L").resize(size).convert("RGB"))


FLAT = png(Image.new("RGB", (360, 640), (224, 172, 140)))


def test_a_product_before_nothing_passes() -> None:
    verdict = check_cutout(png(product()), PHOTO)
    assert verdict.outcome is Outcome.PASSED
    assert verdict.why == "The product covers 84% of its cut-out."
    assert verdict.numbers["coverage"] == pytest.approx(101 / 120, abs=0.01)


@pytest.mark.parametrize(
    ("cutout", "said"),
    [
        (Image.new("RGBA", (200, 200)), "empty"),
        (Image.new("RGBA", (200, 200), (0, 0, 0, 10)), "empty"),
        (Image.new("RGBA", (400, 400), "red"), "whole photo"),
        (Image.new("RGB", (400, 400), "red"), "whole photo"),
        (product().resize((8, 16)), "only 8 x 16"),
    ],
    ids=["transparent", "a haze", "opaque", "without alpha", "a speck"],
)
def test_an_empty_or_whole_cutout_fails(cutout: Image.Image, said: str) -> None:
    verdict = check_cutout(png(cutout), PHOTO)
    assert verdict.outcome is Outcome.FAILED
    assert said in verdict.why
    assert "photo" in verdict.fix


@pytest.mark.parametrize("mask", [PHOTO, None], ids=["beside its mask", "without a mask"])
def test_a_box_that_fills_its_crop_is_no_whole_photo(mask: bytes | None) -> None:
    verdict = check_cutout(png(Image.new("RGBA", (200, 100), "red")), mask)
    assert verdict.outcome is Outcome.PASSED
    assert ["no mask" in said for said in verdict.not_measured] == ([] if mask else [True])


@pytest.mark.parametrize(
    ("images", "outcome", "said"),
    [
        ([(room(), True), (room(), False)], Outcome.PASSED, "2 scenes of at least 360 x 640"),
        ([(room(), None)], Outcome.PASSED, "1 scene"),
        ([(room(), False), (room(), False)], Outcome.DOUBTFUL, "Topview found no face"),
        ([(room((120, 200)), True)], Outcome.DOUBTFUL, "only 120 x 200 pixels"),
        ([(room(), True), (FLAT, True)], Outcome.DOUBTFUL, "1 of 2 scenes are one flat colour"),
        ([(FLAT, True), (FLAT, True)], Outcome.FAILED, "Every scene is one flat colour"),
        ([], Outcome.FAILED, "no picture"),
    ],
    ids=[
        "good",
        "good, and Topview says nothing of faces",
        "no face, which mode avatar2 animates",
        "small",
        "one flat colour among others",
        "flat colours only",
        "nothing",
    ],
)
def test_a_scene_shows_something_and_a_face(
    images: list[tuple[bytes, bool | None]], outcome: Outcome, said: str
) -> None:
    verdict = check_scene(images)
    assert verdict.outcome is outcome, verdict
    assert said in verdict.why
    assert bool(verdict.fix) is (outcome is not Outcome.PASSED)
    is_open = any("Topview does not say" in left for left in verdict.not_measured)
    assert is_open is (bool(images) and images[0][1] is None)


def test_each_image_of_a_scene_has_its_own_verdict() -> None:
    verdict = check_scene([(FLAT, True), (room(), False), (room(), True)])
    assert [one.outcome.value for one in verdict.images] == ["failed", "doubtful", "passed"]
    assert refused_images(verdict.to_json()) == {1}
    assert "one flat colour" in verdict.images[0].why


def test_stand_ins_among_real_images_do_not_hide_those() -> None:
    tiny = png(Image.new("RGB", (40, 40)), "stand-in")
    assert check_scene([(tiny, True), (FLAT, True)]).outcome is Outcome.FAILED
