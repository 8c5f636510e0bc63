"""Cut-outs and scenes that no customer should see, and those that only look odd."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFilter, PngImagePlugin

from topview_pipeline.quality import Outcome
from topview_pipeline.quality.cutouts import measure_cutout
from topview_pipeline.quality.scenes import SceneImage, measure_scene

PLACE = ((0.3, 0.4), (0.7, 0.42), (0.7, 0.82), (0.3, 0.8))
SKIN = (224, 172, 140)


def product(colours: tuple[str, ...] = ("red", "white", "blue", "yellow")) -> Image.Image:
    """A striped bottle, cropped to itself."""
    image = Image.new("RGBA", (120, 240))
    draw = ImageDraw.Draw(image)
    for number, colour in enumerate(colours):
        top = number * 240 // len(colours)
        draw.rectangle((10, top, 110, top + 240 // len(colours)), colour)
    return image


def scene(shown: Image.Image | None, *, face: bool = True, light: float = 1.0) -> Image.Image:
    """A room, a person's face, and what is shown where the place is."""
    image = Image.new("RGB", (360, 640), (70, 110, 90))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 500, 360, 640), (40, 60, 120))
    if face:
        draw.ellipse((140, 40, 220, 140), SKIN)
    if shown is not None:
        box = (108, 262, 252, 518)
        fitted = shown.resize((box[2] - box[0], box[3] - box[1]))
        image.paste(fitted, box[:2], fitted)
    return image.point(lambda value: round(value * light)).filter(ImageFilter.GaussianBlur(1))


def outcome_of(image: Image.Image, has_face: bool | None = True) -> Outcome:
    return measure_scene([SceneImage(image, has_face)], product(), PLACE).outcome


def test_a_product_before_nothing_passes() -> None:
    verdict = measure_cutout(product(), (400, 400))
    assert verdict.outcome is Outcome.PASSED
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
    verdict = measure_cutout(cutout, (400, 400))
    assert verdict.outcome is Outcome.FAILED
    assert said in verdict.why
    assert "photo" in verdict.mend


def test_a_box_that_fills_its_crop_is_no_whole_photo() -> None:
    assert measure_cutout(Image.new("RGBA", (200, 100), "red"), (400, 400)).outcome is (
        Outcome.PASSED
    )


def test_without_the_photos_size_a_full_cutout_is_left_open() -> None:
    verdict = measure_cutout(Image.new("RGBA", (200, 100), "red"), None)
    assert verdict.outcome is Outcome.PASSED
    assert "no mask" in verdict.not_measured[0]


@pytest.mark.parametrize("light", [1.0, 0.6, 0.35])
def test_the_product_is_found_where_it_was_put_in_any_light(light: float) -> None:
    assert outcome_of(scene(product(), light=light)) is Outcome.PASSED


@pytest.mark.parametrize(
    "shown",
    [None, product(("black", "green")), product(("blue", "yellow", "red"))],
    ids=["nothing", "another product", "the product's colours otherwise"],
)
def test_a_scene_without_the_product_fails(shown: Image.Image | None) -> None:
    verdict = measure_scene([SceneImage(scene(shown), True)], product(), PLACE)
    assert verdict.outcome is Outcome.FAILED
    assert verdict.why == "No image shows the product where it was put."


def test_one_image_with_the_product_is_enough() -> None:
    images = [SceneImage(scene(None), True), SceneImage(scene(product()), True)]
    verdict = measure_scene(images, product(), PLACE)
    assert verdict.outcome is Outcome.PASSED
    assert verdict.numbers["images_with_product"] == 1


def test_a_plain_product_is_found_by_its_colour() -> None:
    plain = product(("navy",))
    seen = measure_scene([SceneImage(scene(plain), True)], plain, PLACE)
    missing = measure_scene([SceneImage(scene(None), True)], plain, PLACE)
    assert (seen.outcome, missing.outcome) == (Outcome.PASSED, Outcome.FAILED)


def test_a_grey_wall_does_not_pass_for_a_black_and_white_product() -> None:
    """Their mean colours are the same, so that it is not refused either."""
    stripes = product(("black", "white", "black", "white", "black", "white"))
    seen = measure_scene([SceneImage(scene(stripes), True)], stripes, PLACE)
    wall = Image.new("RGBA", stripes.size, (120, 124, 130))
    missing = measure_scene([SceneImage(scene(wall), True)], stripes, PLACE)
    assert missing.numbers["product_colour_distance"] < 30
    assert (seen.outcome, missing.outcome) == (Outcome.PASSED, Outcome.DOUBTFUL)
    assert "not recognized" in missing.why


def test_light_on_a_plain_product_is_no_pattern() -> None:
    """It falls from another side in the scene."""
    plain = product(("navy",))
    lit = Image.linear_gradient("L").resize(plain.size).point(lambda value: value // 6)
    from_above = ImageChops.add(plain, Image.merge("RGBA", (lit, lit, lit, lit)))
    from_above.putalpha(plain.getchannel("A"))
    from_below = from_above.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    verdict = measure_scene([SceneImage(scene(from_below), True)], from_above, PLACE)
    assert verdict.numbers["product_pattern_likeness"] < 0
    assert verdict.outcome is Outcome.PASSED


def test_a_place_that_topview_chose_is_left_open() -> None:
    verdict = measure_scene([SceneImage(scene(None), True)], None, None)
    assert verdict.outcome is Outcome.PASSED
    assert "Topview chose the place" in verdict.not_measured[0]


def test_a_place_over_the_edge_is_no_error() -> None:
    place = ((-0.2, -0.1), (1.3, 0.0), (1.2, 1.4), (-0.1, 1.1))
    verdict = measure_scene([SceneImage(scene(product()), True)], product(), place)
    assert verdict.numbers["images"] == 1


@pytest.mark.parametrize(
    ("face", "has_face", "outcome"),
    [
        (True, True, Outcome.PASSED),
        (True, None, Outcome.PASSED),
        (False, False, Outcome.DOUBTFUL),
        (False, True, Outcome.DOUBTFUL),
    ],
    ids=["a face", "not said", "none, as Topview says", "none, though Topview says so"],
)
def test_a_scene_without_a_face_is_for_somebody_to_look_at(
    face: bool, has_face: bool | None, outcome: Outcome
) -> None:
    """It is no failure: mode avatar2 animates such a scene, and a row may mean it."""
    cool = product(("blue", "white", "green", "black"))
    image = SceneImage(scene(cool, face=face), has_face)
    assert measure_scene([image], cool, PLACE).outcome is outcome


def test_one_flat_colour_is_no_scene() -> None:
    assert outcome_of(Image.new("RGB", (360, 640), SKIN)) is Outcome.FAILED


def test_a_black_and_white_scene_says_nothing_of_faces() -> None:
    grey = scene(product()).convert("L").convert("RGB")
    verdict = measure_scene([SceneImage(grey, True)], None, None)
    assert verdict.outcome is Outcome.PASSED
    assert "no colour" in verdict.not_measured[0]


def test_stand_ins_cannot_be_measured() -> None:
    said, out = PngImagePlugin.PngInfo(), io.BytesIO()
    said.add_text("Comment", "stand-in")
    Image.new("RGBA", (40, 40)).save(out, "PNG", pnginfo=said)
    image = Image.open(out)
    assert measure_cutout(image, (40, 40)).outcome is Outcome.UNMEASURED
    assert measure_scene([SceneImage(image, True)], None, None).outcome is Outcome.UNMEASURED
