"""Good scenes of real photos that must not be refused, and scenes of something else that must."""

from __future__ import annotations

from importlib.resources import files

import pytest
from PIL import Image, ImageChops

from topview_pipeline.quality import Outcome, Verdict
from topview_pipeline.quality.scenes import SceneImage, measure_scene

SAMPLE = files("topview_pipeline") / "sample"
PRODUCTS = sorted(one.name for one in (SAMPLE / "images").iterdir() if one.name.endswith(".jpg"))
SIDE = 600
LONGER = 240
CORNER = 180


def photo(name: str) -> Image.Image:
    with (SAMPLE / name).open("rb") as file, Image.open(file) as opened:
        return opened.convert("RGB")


def cutout(name: str) -> Image.Image:
    """A sample product without the plain background of its photo."""
    image = photo(f"images/{name}")
    image.thumbnail((LONGER, LONGER))
    plain = Image.new("RGB", image.size, image.getpixel((3, 3)))
    channels = ImageChops.difference(image, plain).split()
    differs = ImageChops.add(ImageChops.add(channels[0], channels[1]), channels[2])
    image.putalpha(differs.point(lambda value: 255 if value > 60 else 0))
    return image.crop(image.getchannel("A").getbbox())


def judged(
    product: Image.Image,
    room: Image.Image,
    shown: Image.Image | None,
    *,
    scale: float = 1.0,
    right: float = 0.0,
    degrees: float = 0.0,
) -> Verdict:
    """The verdict over a room in whose place of the product something is shown."""
    scene = room.resize((SIDE, SIDE))
    width, height = product.size
    if shown is not None:
        pasted = shown.resize((round(width * scale), round(height * scale)))
        pasted = pasted.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
        left = CORNER + (width - pasted.width) // 2 + round(right * width)
        scene.paste(pasted, (left, CORNER + (height - pasted.height) // 2), pasted)
    low, x, y = CORNER / SIDE, (CORNER + width) / SIDE, (CORNER + height) / SIDE
    place = ((low, low), (x, low), (x, y), (low, y))
    return measure_scene([SceneImage(scene, None)], product, place)


@pytest.fixture(scope="module")
def room() -> Image.Image:
    """Somebody's room, as a template shows it."""
    names = sorted(one.name for one in (SAMPLE / "templates").iterdir())
    return photo(f"templates/{next(name for name in names if name.endswith('.jpg'))}")


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_just_where_it_was_put_passes(name: str, room: Image.Image) -> None:
    product = cutout(name)
    assert judged(product, room, product).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("scale", "right", "degrees"),
    [(0.85, 0.0, 0.0), (0.9, 0.1, 0.0), (0.9, 0.0, 20.0), (0.9, 0.0, -20.0), (0.8, -0.1, 12.0)],
    ids=["smaller", "shifted", "turned", "turned the other way", "all of it"],
)
@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_that_topview_blended_in_is_not_refused(
    name: str, room: Image.Image, scale: float, right: float, degrees: float
) -> None:
    product = cutout(name)
    verdict = judged(product, room, product, scale=scale, right=right, degrees=degrees)
    assert verdict.outcome is not Outcome.FAILED


@pytest.mark.parametrize("name", PRODUCTS)
def test_an_empty_wall_of_another_colour_is_refused(name: str) -> None:
    wall = Image.new("RGB", (SIDE, SIDE), (40, 200, 60))
    # One flat colour would be refused for that.
    wall.paste((20, 30, 90), (0, SIDE * 5 // 6, SIDE, SIDE))
    verdict = judged(cutout(name), wall, None)
    assert verdict.outcome is Outcome.FAILED
    assert "no image shows the product" in verdict.why.lower()


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [("silk-cream", "trail-backpack"), ("trail-backpack", "orbit-headphones")],
)
def test_another_product_of_a_far_colour_is_refused(
    wanted: str, shown: str, room: Image.Image
) -> None:
    verdict = judged(cutout(f"{wanted}.jpg"), room, cutout(f"{shown}.jpg"))
    assert verdict.outcome is Outcome.FAILED
