"""Products cut out of drawn photos, each with a trap of real product photography."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from topview_pipeline.sandbox.media.engine import Cutout, MediaError
from topview_pipeline.sandbox.media.real import RealMedia

from .conftest import encoded

Mask = npt.NDArray[np.bool_]
Photo = npt.NDArray[np.float64]
Colour = tuple[int, int, int]
Draw = Callable[[ImageDraw.ImageDraw], None]

SIDE = 320
PAPER = (235, 235, 238)
ENGINE = RealMedia()


def backdrop(top: Colour = PAPER, bottom: Colour | None = None) -> Photo:
    """Paper whose light falls off from top to bottom and towards the corners."""
    y, x = np.mgrid[0 : 1 : SIDE * 1j, 0 : 1 : SIDE * 1j]
    paper = np.array(top) * (1 - y[..., None]) + np.array(bottom or top) * y[..., None]
    return np.asarray(paper * (1 - 0.06 * ((x - 0.5) ** 2 + (y - 0.5) ** 2))[..., None])


def with_shadow(photo: Photo, centre: tuple[int, int]) -> Photo:
    dark = np.zeros((SIDE, SIDE), np.float32)
    cv2.ellipse(dark, centre, (95, 10), 0, 0, 360, 1, -1)
    dark = np.asarray(cv2.GaussianBlur(dark, (0, 0), 6), np.float32)
    return np.asarray(photo * (1 - 0.4 * dark[..., None]))


def shape(draw: Draw) -> Photo:
    """The share of each pixel that a drawn shape covers, its edges antialiased."""
    large = Image.new("L", (SIDE * 4, SIDE * 4))
    draw(ImageDraw.Draw(large))
    return np.asarray(large.resize((SIDE, SIDE), Image.Resampling.LANCZOS)) / 255.0


def photograph(draw: Draw, colour: Colour, paper: Photo | None = None) -> bytes:
    """A JPEG with the grain of a camera."""
    cover = shape(draw)[..., None]
    picture = (backdrop() if paper is None else paper) * (1 - cover) + np.array(colour) * cover
    picture += np.random.default_rng(3).normal(0, 1.2, picture.shape)
    return encoded(Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)), "JPEG", quality=88)


def box(draw: ImageDraw.ImageDraw) -> None:
    draw.rounded_rectangle([100 * 4, 80 * 4, 220 * 4, 250 * 4], 60, fill=255)


def mug(draw: ImageDraw.ImageDraw) -> None:
    draw.ellipse([185 * 4, 120 * 4, 265 * 4, 215 * 4], fill=255)
    draw.ellipse([203 * 4, 140 * 4, 247 * 4, 195 * 4], fill=0)
    draw.rounded_rectangle([70 * 4, 80 * 4, 205 * 4, 250 * 4], 60, fill=255)


def mask_of(made: Cutout) -> Mask:
    return np.asarray(Image.open(BytesIO(made.mask_png))) > 127


def agreement(found: Mask, draw: Draw) -> float:
    """Intersection over union of a mask and the drawn shape."""
    truth = shape(draw) > 0.5
    return float((found & truth).sum() / (found | truth).sum())


def uneven(paper: Colour) -> Photo:
    """Paper in falling light, with the shadow of what stands on it."""
    dark: Any = tuple(round(value * 0.9) for value in paper)
    return with_shadow(backdrop(paper, dark), (160, 252))


def room() -> Photo:
    """A table before a wall."""
    picture = backdrop((200, 200, 206))
    picture[200:] = (150, 110, 80)
    return picture


@pytest.mark.parametrize(
    ("colour", "paper", "least"),
    [
        ((120, 122, 124), uneven((240, 240, 240)), 0.95),
        ((250, 250, 249), uneven((226, 227, 230)), 0.95),
        ((25, 25, 28), uneven((90, 92, 95)), 0.95),
        ((40, 110, 90), uneven((205, 170, 140)), 0.95),
        ((30, 90, 170), room(), 0.9),
    ],
    ids=["as grey as its shadow", "white on grey", "black on grey", "on tan", "on a table"],
)
def test_a_product_is_cut_at_its_outline_and_without_its_shadow(
    colour: Colour, paper: Photo, least: float
) -> None:
    assert agreement(mask_of(ENGINE.cutout(photograph(box, colour, paper))), box) > least


def test_a_picture_of_printers_is_cut_too() -> None:
    photo = Image.open(BytesIO(photograph(box, (120, 20, 20)))).convert("CMYK")
    assert agreement(mask_of(ENGINE.cutout(encoded(photo, "JPEG"))), box) > 0.9


def test_the_paper_is_seen_through_the_handle_of_a_mug() -> None:
    ground = with_shadow(backdrop((225, 228, 232)), (140, 252))
    mask = mask_of(ENGINE.cutout(photograph(mug, (200, 120, 30), ground)))
    assert not mask[150:185, 215:235].any()
    assert agreement(mask, mug) > 0.95


def test_the_cut_out_is_the_photo_cropped_to_the_mask_and_the_mask_has_the_photos_size() -> None:
    photo = photograph(box, (190, 40, 30))
    made = ENGINE.cutout(photo)
    assert made == ENGINE.cutout(photo)
    cut, mask = Image.open(BytesIO(made.png)), Image.open(BytesIO(made.mask_png))
    assert (cut.mode, cut.size) == ("RGBA", (made.width, made.height))
    assert (mask.mode, mask.size) == ("L", (SIDE, SIDE))
    assert (made.mask_width, made.mask_height) == (SIDE, SIDE)
    ys, xs = np.nonzero(np.asarray(mask) > 8)
    assert (int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1) == cut.size


def test_a_phone_photo_is_upright_before_it_is_cut() -> None:
    photo = Image.open(BytesIO(photograph(box, (190, 40, 30)))).crop((0, 40, SIDE, SIDE))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    made = ENGINE.cutout(encoded(photo, "JPEG", exif=exif, quality=90))
    assert (made.mask_width, made.mask_height) == (SIDE - 40, SIDE)
    assert made.width > made.height


def test_a_picture_that_is_cut_out_already_keeps_its_own_transparency() -> None:
    alpha = (shape(mug) * 255).astype(np.uint8)
    given = np.dstack([np.full((SIDE, SIDE, 3), 240, np.uint8), alpha])
    made = ENGINE.cutout(encoded(Image.fromarray(given)))
    assert np.array_equal(np.asarray(Image.open(BytesIO(made.mask_png))), alpha)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"<html>not found</html>", "not an image", id="a web page"),
        pytest.param(b"", "not an image", id="nothing"),
        pytest.param(encoded(Image.new("RGB", (200, 200), "white")), "No product", id="blank"),
        pytest.param(encoded(Image.new("RGBA", (200, 200))), "transparent everywhere", id="clear"),
        pytest.param(encoded(Image.new("RGB", (4, 4))), "at least 16", id="a pixel"),
        pytest.param(encoded(Image.new("1", (9000, 9000))), "at most 64 megapixels", id="a wall"),
        pytest.param(
            encoded(Image.effect_noise((300, 300), 90), "JPEG")[:4000], "cut short", id="half"
        ),
    ],
)
def test_a_file_that_shows_no_product_is_refused_with_a_sentence(content: bytes, says: str) -> None:
    with pytest.raises(MediaError, match=says):
        ENGINE.cutout(content)
