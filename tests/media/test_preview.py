"""Pictures that must fit into a line of the Dagster UI."""

import base64
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageStat

from tests.media.films import film, png
from topview_pipeline.media.preview import inline_preview, poster
from topview_pipeline.media.probe import MediaDamagedError

RED = (220, 30, 30)


def _drawn(markdown: str | None) -> Image.Image:
    assert markdown is not None
    assert len(markdown) < 1_000
    head, _, rest = markdown.partition(",")
    assert head == "![preview](data:image/webp;base64"
    image = Image.open(io.BytesIO(base64.b64decode(rest.removesuffix(")"), validate=True)))
    assert image.format == "WEBP"
    return image


def test_a_photo_is_drawn_as_large_as_a_line_allows() -> None:
    photo, data = Image.linear_gradient("L").resize((1200, 800)).convert("RGB"), io.BytesIO()
    photo.save(data, "JPEG")
    image = _drawn(inline_preview(data.getvalue()))
    assert image.size == (192, 128)
    assert ImageStat.Stat(image.convert("L")).mean[0] == pytest.approx(127, abs=12)


def test_a_picture_that_compresses_badly_gets_smaller_and_not_longer() -> None:
    noise = Image.effect_noise((900, 900), 120).convert("RGB")
    image = _drawn(inline_preview(png(noise)))
    assert 24 <= image.width < 192


def test_a_cut_out_lies_on_light_grey() -> None:
    cutout = Image.new("RGBA", (320, 320), (0, 0, 0, 0))
    cutout.paste((*RED, 255), (80, 80, 240, 240))
    image = _drawn(inline_preview(png(cutout))).convert("RGB")
    assert image.getpixel((80, 80)) == pytest.approx(RED, abs=30)
    assert min(ImageStat.Stat(image.crop((0, 0, 32, 32))).mean) > 220, "black was hidden below it"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_of_picture_is_drawn(mode: str) -> None:
    image = Image.new("L", (50, 80), 255)
    assert _drawn(inline_preview(png(image.convert(mode)))).size == (50, 80)


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(st.integers(1, 700), st.integers(1, 700)),
    st.integers(0, 255),
    st.sampled_from(["L", "RGB", "RGBA"]),
)
def test_any_picture_fits(size: tuple[int, int], noise: int, mode: str) -> None:
    image = _drawn(inline_preview(png(Image.effect_noise(size, noise).convert(mode))))
    assert max(image.size) <= 192


def test_several_pictures_stand_side_by_side() -> None:
    """A product's scene is a template and a face."""
    first, second = (png(Image.new("RGB", (90, 160), colour)) for colour in ("green", RED))
    image = _drawn(inline_preview(first, second)).convert("RGB")
    assert image.width > image.height
    at = {
        place: image.getpixel((int(image.width * place), image.height // 2))
        for place in (0.25, 0.75)
    }
    assert at[0.25] == pytest.approx((0, 128, 0), abs=30)
    assert at[0.75] == pytest.approx(RED, abs=30)


@pytest.mark.parametrize("keep", [0, 60, 200])
def test_a_broken_picture_is_no_preview(keep: int) -> None:
    with pytest.raises(MediaDamagedError, match="cannot be decoded"):
        inline_preview(png(Image.effect_noise((90, 90), 9))[:keep])


@pytest.mark.parametrize(
    ("seconds", "is_black"), [(3.0, True), (1.4, False)], ids=["at 1 s", "at the middle of 1.4 s"]
)
def test_a_poster_is_the_frame_at_a_second_or_the_middle_of_a_short_video(
    seconds: float, is_black: bool
) -> None:
    image = poster(film(seconds=seconds, black_from=0.95))
    assert image.size == (144, 256)
    assert (ImageStat.Stat(image.convert("L")).mean[0] < 5) is is_black
