"""Cut-outs in templates: where they land, what light they get, and whose face is there."""

from io import BytesIO

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFilter

from topview_pipeline.sandbox.media import MediaError, Scene
from topview_pipeline.sandbox.realmedia import RealMedia

Picture = npt.NDArray[np.int64]
Colour = tuple[int, int, int]

WIDTH, HEIGHT = 270, 480
WALL = (150, 175, 180)
LIGHT_SKIN, DARK_SKIN = (236, 196, 172), (122, 78, 54)
QUAD = [[0.4, 0.6], [0.6, 0.6], [0.6, 0.75], [0.4, 0.75]]


def png(image: Image.Image) -> bytes:
    target = BytesIO()
    image.save(target, "PNG")
    return target.getvalue()


def person(skin: Colour | None = LIGHT_SKIN, hands: bool = True, wall: Colour = WALL) -> bytes:
    """Somebody with a face and two hands before a wall; without skin there is only the coat."""
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
    if skin and hands:
        draw.ellipse([130, 640, 200, 730], fill=skin)
        draw.ellipse([340, 640, 410, 730], fill=skin)
    return png(large.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))


def product(colour: Colour = (210, 30, 30), size: tuple[int, int] = (120, 90)) -> bytes:
    return png(Image.new("RGBA", size, (*colour, 255)))


def scene(**changes: object) -> list[Scene]:
    arguments: dict[str, object] = {
        "cutout": product(),
        "template": person(),
        "location": QUAD,
        "prompt": "",
        "face": None,
        "count": 1,
        "seed": 5,
    }
    return RealMedia().scenes(**{**arguments, **changes})  # type: ignore[arg-type]  # by name


def pixels(made: Scene | bytes) -> Picture:
    content = made.png if isinstance(made, Scene) else made
    return np.asarray(Image.open(BytesIO(content)).convert("RGB")).astype(np.int64)


def reddish(picture: Picture) -> npt.NDArray[np.bool_]:
    return np.asarray((picture[..., 0] > 140) & (picture[..., 1:] < 75).all(axis=-1))


def test_the_picture_has_the_templates_size() -> None:
    assert Image.open(BytesIO(scene()[0].png)).size == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    "quad",
    [
        pytest.param(QUAD, id="upright"),
        pytest.param([[0.45, 0.55], [0.7, 0.6], [0.6, 0.75], [0.35, 0.7]], id="turned"),
        pytest.param([[0.42, 0.6], [0.58, 0.6], [0.7, 0.8], [0.3, 0.8]], id="lying away"),
    ],
)
def test_the_product_fills_exactly_the_quad_of_the_location(quad: list[list[float]]) -> None:
    found = reddish(pixels(scene(location=quad)[0]))
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
    picture = pixels(scene(cutout=png(four), location=quad)[0])
    middle = np.mean(quad, axis=0)
    for colour, corner in zip(colours, quad, strict=True):
        x, y = (middle + (np.array(corner) - middle) * 0.8) * (WIDTH, HEIGHT)
        assert np.abs(picture[int(y), int(x)] - colour).max() < 40


def test_a_location_that_runs_over_the_edge_is_cut_there() -> None:
    over = [[0.8, 0.8], [1.2, 0.8], [1.2, 1.1], [0.8, 1.1]]
    found = reddish(pixels(scene(location=over)[0]))
    assert found[-5, -5]
    assert not found[:, : int(0.75 * WIDTH)].any()


@pytest.mark.parametrize(
    "location",
    [
        pytest.param(QUAD[:3], id="three points"),
        pytest.param([QUAD[0], QUAD[2], QUAD[1], QUAD[3]], id="a bow tie"),
        pytest.param([[0.5, 0.5]] * 4, id="one point"),
        pytest.param([[float("nan"), 0.5], *QUAD[1:]], id="no number"),
        pytest.param([[x + 3, y] for x, y in QUAD], id="beside the template"),
    ],
)
def test_a_location_that_is_no_place_is_refused(location: list[list[float]]) -> None:
    with pytest.raises(MediaError, match="location"):
        scene(location=location)


def test_a_fine_print_does_not_alias_into_noise_when_it_is_shrunk() -> None:
    stripes = np.zeros((800, 800, 4), np.uint8)
    stripes[..., 3] = 255
    stripes[:, ::2, :3] = 255
    picture = pixels(scene(cutout=png(Image.fromarray(stripes)))[0])
    inside = picture[int(0.63 * HEIGHT) : int(0.72 * HEIGHT), int(0.45 * WIDTH) : int(0.55 * WIDTH)]
    assert inside.std() < 8


def test_the_product_stands_on_its_shadow_not_on_nothing() -> None:
    bare, made = pixels(person()), pixels(scene()[0])
    under = (slice(int(0.755 * HEIGHT), int(0.765 * HEIGHT)), slice(120, 150))
    far = (slice(0, 60), slice(0, 60))
    assert made[under].mean() < 0.96 * bare[under].mean()
    assert np.abs(made[far] - bare[far]).max() <= 1


@pytest.mark.parametrize("skin", [LIGHT_SKIN, DARK_SKIN])
def test_without_a_location_the_product_goes_between_the_hands_and_not_over_the_face(
    skin: Colour,
) -> None:
    found = reddish(pixels(scene(template=person(skin), location=None)[0]))
    ys, xs = np.nonzero(found)
    assert abs(xs.mean() / WIDTH - 0.5) < 0.05
    assert 0.66 < ys.max() / HEIGHT < 0.8
    assert ys.min() > 190


def test_without_a_person_the_product_still_stands_in_the_picture() -> None:
    made = scene(template=png(Image.new("RGB", (400, 300), WALL)), location=None)[0]
    found = reddish(pixels(made))
    assert 0.02 < found.mean() < 0.4
    edges = np.concatenate([found[0], found[-1], found[:, 0], found[:, -1]])
    assert not edges.any()


def test_the_prompts_words_for_size_are_heard() -> None:
    small = reddish(pixels(scene(location=None, prompt="a SMALL box")[0])).sum()
    large = reddish(pixels(scene(location=None, prompt="a very large box")[0])).sum()
    assert large > 1.5 * small


def test_scenes_of_one_task_differ_visibly_and_a_repeat_does_not() -> None:
    made = scene(count=3, location=None)
    assert len(made) == 3
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert np.abs(pixels(made[one]) - pixels(made[other])).mean() > 1.5
    assert made == scene(count=3, location=None)


@pytest.mark.parametrize("skin", [LIGHT_SKIN, DARK_SKIN])
def test_a_face_is_seen_in_light_and_dark_skin(skin: Colour) -> None:
    assert scene(template=person(skin))[0].face_existence


@pytest.mark.parametrize(
    "template",
    [
        pytest.param(person(None), id="a coat"),
        pytest.param(person(None, wall=LIGHT_SKIN), id="a wall in the colour of skin"),
        pytest.param(
            png(Image.open(BytesIO(person())).crop((0, 200, WIDTH, HEIGHT))), id="only hands"
        ),
        pytest.param(
            png(Image.open(BytesIO(person())).filter(ImageFilter.GaussianBlur(14))), id="a blur"
        ),
    ],
)
def test_no_face_is_claimed_where_none_is(template: bytes) -> None:
    assert not scene(template=template)[0].face_existence


def test_a_face_behind_the_product_is_none() -> None:
    over = [[0.3, 0.15], [0.7, 0.15], [0.7, 0.4], [0.3, 0.4]]
    assert not scene(location=over)[0].face_existence


def test_a_given_face_takes_the_place_of_the_persons() -> None:
    plain, changed = scene()[0], scene(face=person(DARK_SKIN))[0]
    assert changed.face_existence
    cheeks = (slice(122, 136), slice(112, 122))
    assert pixels(changed)[cheeks].mean() < pixels(plain)[cheeks].mean() - 20
    body = slice(220, 280)
    assert np.abs(pixels(changed)[body] - pixels(plain)[body]).max() <= 1


def test_a_given_face_is_ignored_where_there_is_no_person() -> None:
    assert scene(template=person(None), face=person())[0].png == scene(template=person(None))[0].png


@pytest.mark.parametrize("role", ["cutout", "template", "face"])
def test_an_input_that_is_no_image_is_named(role: str) -> None:
    names = {"cutout": "product", "template": "template", "face": "face"}
    with pytest.raises(MediaError, match=f"The {names[role]} image is not an image"):
        scene(**{role: b"nothing"})
