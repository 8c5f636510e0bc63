"""Cut-outs in templates: where they land, what light they get, and whose face is there."""

from io import BytesIO

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFilter

from topview_pipeline.sandbox.media.engine import MediaError, Scene, SceneInputs
from topview_pipeline.sandbox.media.real import RealMedia

from .conftest import encoded

Picture = npt.NDArray[np.int64]
Colour = tuple[int, int, int]

WIDTH, HEIGHT = 270, 480
WALL = (150, 175, 180)
LIGHT_SKIN, DARK_SKIN = (236, 196, 172), (122, 78, 54)
QUAD = [[0.4, 0.6], [0.6, 0.6], [0.6, 0.75], [0.4, 0.75]]


def person(skin: Colour | None = LIGHT_SKIN, wall: Colour = WALL) -> Image.Image:
    """A face and two hands before a wall; without skin there is only the coat."""
    large = Image.new("RGB", (WIDTH * 2, HEIGHT * 2), wall)
    draw = ImageDraw.Draw(large)
    draw.rounded_rectangle([120, 350, 420, 960], 80, fill=(60, 80, 140))
    if skin:
        dark = tuple(value // 4 for value in skin)
        draw.ellipse([170, 90, 370, 360], fill=(50, 34, 26))
        draw.rectangle([235, 300, 305, 380], fill=skin)
        draw.ellipse([190, 130, 350, 345], fill=skin)
        for x in (235, 305):
            draw.ellipse([x - 18, 212, x + 18, 232], fill=(250, 250, 250))
            draw.ellipse([x - 10, 212, x + 10, 232], fill=(30, 22, 20))
            draw.line([x - 20, 196, x + 20, 196], fill=dark, width=6)
        draw.ellipse([242, 283, 298, 306], fill=(176, 92, 96))
        draw.ellipse([130, 640, 200, 730], fill=skin)
        draw.ellipse([340, 640, 410, 730], fill=skin)
    return large.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


PERSON = encoded(person())
COAT = encoded(person(None))
PRODUCT = encoded(Image.new("RGBA", (120, 90), (210, 30, 30, 255)))


def scenes(**changes: object) -> list[Scene]:
    arguments: dict[str, object] = {
        "cutout": PRODUCT,
        "template": PERSON,
        "location": QUAD,
        "prompt": "",
        "face": None,
        "count": 1,
        "seed": 5,
    }
    return RealMedia().scenes(SceneInputs(**{**arguments, **changes}))  # type: ignore[arg-type]  # by name


def pixels(content: bytes) -> Picture:
    return np.asarray(Image.open(BytesIO(content)).convert("RGB")).astype(np.int64)


def made(**changes: object) -> Picture:
    return pixels(scenes(**changes)[0].png)


def product_in(**changes: object) -> npt.NDArray[np.bool_]:
    """The red pixels of a scene."""
    picture = made(**changes)
    return np.asarray((picture[..., 0] > 140) & (picture[..., 1:] < 75).all(axis=-1))


@pytest.mark.parametrize(
    "quad",
    [
        pytest.param(QUAD, id="upright"),
        pytest.param([[0.45, 0.55], [0.7, 0.6], [0.6, 0.75], [0.35, 0.7]], id="turned"),
        pytest.param([[0.42, 0.6], [0.58, 0.6], [0.7, 0.8], [0.3, 0.8]], id="lying away"),
        pytest.param([[0.8, 0.8], [1.2, 0.8], [1.2, 1.1], [0.8, 1.1]], id="over the edge"),
    ],
)
def test_the_product_fills_exactly_the_quad_of_the_location(quad: list[list[float]]) -> None:
    found = product_in(location=quad)
    wanted = Image.new("L", (WIDTH * 4, HEIGHT * 4))
    ImageDraw.Draw(wanted).polygon([(x * WIDTH * 4, y * HEIGHT * 4) for x, y in quad], fill=255)
    expected = np.asarray(wanted.resize((WIDTH, HEIGHT), Image.Resampling.BOX)) > 127
    assert (found & expected).sum() / (found | expected).sum() > 0.95


def test_the_corners_of_the_cut_out_go_to_the_points_in_their_order() -> None:
    """TL TR BR BL: a swapped pair would mirror the product's print."""
    colours = [(220, 30, 30), (30, 200, 30), (40, 40, 220), (230, 210, 30)]
    four = Image.new("RGBA", (100, 100))
    for colour, at in zip(colours, [(0, 0), (50, 0), (50, 50), (0, 50)], strict=True):
        four.paste((*colour, 255), (*at, at[0] + 50, at[1] + 50))
    quad = [[0.35, 0.55], [0.65, 0.6], [0.6, 0.8], [0.3, 0.75]]
    picture = made(cutout=encoded(four), location=quad)
    middle = np.mean(quad, axis=0)
    for colour, corner in zip(colours, quad, strict=True):
        x, y = (middle + (np.array(corner) - middle) * 0.8) * (WIDTH, HEIGHT)
        assert np.abs(picture[int(y), int(x)] - colour).max() < 40


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"location": [QUAD[0], QUAD[2], QUAD[1], QUAD[3]]}, "location", id="bow tie"),
        pytest.param({"location": [[0.5, 0.5]] * 4}, "location", id="one point"),
        pytest.param({"location": [[float("nan"), 0.5], *QUAD[1:]]}, "location", id="no number"),
        pytest.param({"location": [[x + 3, y] for x, y in QUAD]}, "location", id="outside"),
        ({"cutout": b"nothing"}, "The product image is not an image"),
        ({"template": b"nothing"}, "The template image is not an image"),
        ({"face": b"nothing"}, "The face image is not an image"),
    ],
)
def test_an_input_that_cannot_be_used_is_named(change: dict[str, object], says: str) -> None:
    with pytest.raises(MediaError, match=says):
        scenes(**change)


def test_the_product_stands_on_its_shadow_and_the_rest_stays_as_it_was() -> None:
    bare, picture = pixels(PERSON), made()
    assert picture.shape == (HEIGHT, WIDTH, 3)
    under = (slice(int(0.755 * HEIGHT), int(0.765 * HEIGHT)), slice(120, 150))
    assert picture[under].mean() < 0.96 * bare[under].mean()
    assert np.abs(picture[:60, :60] - bare[:60, :60]).max() <= 1


@pytest.mark.parametrize("skin", [LIGHT_SKIN, DARK_SKIN])
def test_without_a_location_the_product_goes_between_the_hands_and_not_over_the_face(
    skin: Colour,
) -> None:
    ys, xs = np.nonzero(product_in(template=encoded(person(skin)), location=None))
    assert abs(xs.mean() / WIDTH - 0.5) < 0.05
    assert 0.66 < ys.max() / HEIGHT < 0.8
    assert ys.min() > 190


def test_without_a_person_the_product_still_stands_in_the_picture() -> None:
    found = product_in(template=encoded(Image.new("RGB", (400, 300), WALL)), location=None)
    assert 0.02 < found.mean() < 0.4
    assert not np.concatenate([found[0], found[-1], found[:, 0], found[:, -1]]).any()


@pytest.mark.parametrize("location", [QUAD, None])
def test_the_second_scene_is_a_closer_shot_of_the_same_and_a_repeat_the_same(
    location: list[list[float]] | None,
) -> None:
    """It differed by a tint: nobody saw that choosing it had done anything."""
    two = scenes(count=2, location=location)
    assert two == scenes(count=2, location=location)
    first, second = (pixels(scene.png) for scene in two)
    assert first.shape == second.shape
    red = [(one[..., 0] > 140) & (one[..., 1:] < 75).all(axis=-1) for one in (first, second)]
    assert red[1].sum() > 1.3 * red[0].sum()
    assert not np.concatenate([red[1][0], red[1][-1], red[1][:, 0], red[1][:, -1]]).any()


@pytest.mark.parametrize(
    ("template", "face"),
    [
        pytest.param(person(), True, id="light skin"),
        pytest.param(person(DARK_SKIN), True, id="dark skin"),
        pytest.param(person(None), False, id="a coat"),
        pytest.param(person(None, LIGHT_SKIN), False, id="a wall in the colour of skin"),
        pytest.param(person().crop((0, 200, WIDTH, HEIGHT)), False, id="only hands"),
        pytest.param(person().filter(ImageFilter.GaussianBlur(14)), False, id="a blur"),
    ],
)
def test_a_face_is_seen_in_any_skin_and_none_where_none_is(
    template: Image.Image, face: bool
) -> None:
    assert scenes(template=encoded(template))[0].face_existence == face
    behind_the_product = [[0.3, 0.15], [0.7, 0.15], [0.7, 0.4], [0.3, 0.4]]
    assert not scenes(template=encoded(template), location=behind_the_product)[0].face_existence


def test_a_given_face_takes_the_place_of_the_persons_where_there_is_one() -> None:
    assert scenes(template=COAT, face=PERSON)[0].png == scenes(template=COAT)[0].png
    (changed,) = scenes(face=encoded(person(DARK_SKIN)))
    assert changed.face_existence
    difference = pixels(changed.png) - made()
    assert difference[122:136, 112:122].mean() < -20  # the cheeks
    assert np.abs(difference[220:280]).max() <= 1  # the body
