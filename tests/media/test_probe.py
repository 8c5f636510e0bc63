"""Media that is not what it claims, a machine that fails for a minute, and small previews."""

import base64
import builtins
import errno
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageStat

from tests.media.films import film, png
from topview_pipeline.media import Outcome, Verdict
from topview_pipeline.media.probe import (
    Media,
    MediaDamagedError,
    MediaError,
    MediaInfo,
    MediaUnreadError,
    inline_preview,
    poster,
    probe_image,
    probe_video,
)
from topview_pipeline.media.quality import check_cutout, check_scene, check_video

TROUBLES: dict[str, Callable[[], Exception]] = {
    "a bad disk": lambda: OSError(errno.EIO, "Input/output error"),
    "no file": lambda: FileNotFoundError(errno.ENOENT, "No such file"),
    "no memory": lambda: MemoryError(),
}


def _cutout() -> bytes:
    image = Image.new("RGBA", (64, 64))
    image.paste((200, 40, 40, 255), (8, 8, 56, 56))
    return png(image)


def _scene() -> bytes:
    return png(Image.linear_gradient("L").resize((360, 640)).convert("RGB"))


CHECKS: dict[str, tuple[Callable[[], bytes], Callable[[Media], Verdict]]] = {
    "cutout.png": (_cutout, lambda media: check_cutout(media, None)),
    "scene.png": (_scene, lambda media: check_scene([(media, True)])),
    "video.mp4": (film, lambda media: check_video(media, mode=None, speech=None)),
}


class Failing(io.FileIO):
    """A file whose disk fails after its first bytes."""

    def __init__(self, path: str, trouble: Exception) -> None:
        super().__init__(path)
        self._trouble = trouble

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= 16:
            raise self._trouble
        return super().read(16)

    def readinto(self, buffer: Any, /) -> int:
        raise self._trouble


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=list(TROUBLES))
@pytest.mark.parametrize("when", ["at opening", "while reading"])
@pytest.mark.parametrize("name", CHECKS)
def test_trouble_of_the_machine_is_no_bad_result(
    name: str,
    when: str,
    trouble: Callable[[], Exception],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A good result would be kept from customers, or paid for again."""
    make, check = CHECKS[name]
    path, really_open = tmp_path / name, open
    path.write_bytes(make())

    def failing(file: Any, *rest: Any, **named: Any) -> Any:
        if Path(str(file)).name != name:
            return really_open(file, *rest, **named)
        if when == "at opening":
            raise trouble()
        return Failing(str(file), trouble())

    with monkeypatch.context() as patched:
        patched.setattr(builtins, "open", failing)
        patched.setattr(io, "open", failing)
        with pytest.raises(MediaUnreadError, match=type(trouble()).__name__):
            check(path)
    assert check(path).outcome is Outcome.PASSED


@pytest.mark.parametrize("keep", [0, 40, 150])
@pytest.mark.parametrize("name", CHECKS)
def test_broken_bytes_are_a_bad_result(name: str, keep: int) -> None:
    """Pillow and FFmpeg raise OSError for them too."""
    make, check = CHECKS[name]
    with pytest.raises(MediaDamagedError, match="cannot be decoded"):
        check(make()[:keep] + b"<html>not here</html>")


@pytest.mark.parametrize(
    ("comment", "outcome"),
    [("stand-in", Outcome.UNMEASURED), ("nice", Outcome.FAILED)],
)
def test_a_stand_in_is_neither_good_nor_bad(comment: str, outcome: Outcome) -> None:
    """The sandbox's tiny media are made to rehearse with; there is nothing to see in them."""
    empty = png(Image.new("RGBA", (40, 40)), comment)
    clip = film(size=(54, 96), seconds=1.0, sound="silence", comment=comment)
    assert check_cutout(empty, None).outcome is outcome
    assert check_scene([(empty, True)]).outcome is outcome
    assert check_video(clip, mode="lite", speech=None).outcome is outcome


def test_a_picture_and_a_video_tell_their_size_and_length(tmp_path: Path) -> None:
    path, data = tmp_path / "cutout.png", png(Image.new("RGBA", (30, 20)))
    path.write_bytes(data)
    assert probe_image(path) == probe_image(str(path)) == probe_image(data) == MediaInfo(30, 20)
    info = probe_video(film())
    assert (info.width, info.height) == (144, 256)
    assert info.seconds == pytest.approx(5.0, abs=0.1)


@pytest.mark.parametrize("look", [probe_video, poster, probe_image, inline_preview])
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("page.mp4", b"<html>"),
        ("cut.mp4", film()[:2000]),
        ("empty.mp4", b""),
        ("cut.png", _cutout()[:60]),
    ],
    ids=["a web page", "a cut-off video", "nothing", "a cut-off picture"],
)
def test_what_is_no_media_is_named(
    name: str, data: bytes, look: Callable[[Media], object], tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(MediaDamagedError, match=name):
        look(path)


def test_sound_alone_is_no_video() -> None:
    out = io.BytesIO()
    with av.open(out, "w", format="wav") as container:
        voice = container.add_stream("pcm_s16le", rate=8_000, layout="mono")
        frame = av.AudioFrame("s16", "mono", 800)
        frame.sample_rate = 8_000
        container.mux(voice.encode(frame))
    with pytest.raises(MediaError, match="no video"):
        probe_video(out.getvalue())


def test_importing_the_room_loads_neither_pillow_nor_ffmpeg() -> None:
    """They take 0.3 s, and the code location must load without them."""
    script = (
        "import sys\n"
        "from topview_pipeline.media import detectors, probe, quality\n"
        "assert not {'PIL', 'av'} & set(sys.modules), 'loaded'"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_video_is_looked_at_without_what_only_the_sandbox_installs(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(film())
    script = (
        "import sys; sys.modules['numpy'] = None; sys.modules['cv2'] = None\n"
        "from topview_pipeline.media.probe import poster\n"
        "from topview_pipeline.media.quality import check_video\n"
        "assert poster(sys.argv[1])\n"
        "assert check_video(sys.argv[1], mode=None, speech=None).outcome.value == 'passed'"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Previews: pictures that must fit into a line of the Dagster UI.

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


@settings(max_examples=35, deadline=None)
@given(
    st.tuples(st.integers(1, 700), st.integers(1, 700)),
    st.integers(0, 255),
    st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]),
)
def test_any_picture_of_any_mode_fits(size: tuple[int, int], noise: int, mode: str) -> None:
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


@pytest.mark.parametrize(
    ("seconds", "is_black"), [(3.0, True), (1.4, False)], ids=["at 1 s", "at the middle of 1.4 s"]
)
def test_a_poster_is_the_frame_at_a_second_or_the_middle_of_a_short_video(
    seconds: float, is_black: bool
) -> None:
    image = poster(film(seconds=seconds, black_from=0.95))
    assert image.size == (144, 256)
    assert (ImageStat.Stat(image.convert("L")).mean[0] < 5) is is_black
