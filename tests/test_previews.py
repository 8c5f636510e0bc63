"""Previews and probes: pictures that must fit into a line, media that is not what it claims."""

import base64
import io
import subprocess
import sys
from pathlib import Path

import av
import pytest
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat

from topview_pipeline.previews import (
    ImageInfo,
    MediaProbeError,
    inline_preview,
    poster,
    probe_image,
    probe_video,
)

RED, BLUE = (220, 30, 30), (30, 30, 220)


def _bytes(image: Image.Image, format_: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_)
    return buffer.getvalue()


def _drawn(markdown: str | None) -> Image.Image:
    assert markdown is not None
    assert len(markdown) < 1_000
    head, _, rest = markdown.partition(",")
    assert head == "![preview](data:image/webp;base64"
    image = Image.open(io.BytesIO(base64.b64decode(rest.removesuffix(")"), validate=True)))
    assert image.format == "WEBP"
    return image


def _close(colour: tuple[float, ...], wanted: tuple[int, ...]) -> bool:
    return all(abs(a - b) < 30 for a, b in zip(colour, wanted, strict=True))


def _frame(image: Image.Image) -> av.VideoFrame:
    frame = av.VideoFrame(image.width, image.height, "rgb24")
    frame.planes[0].update(image.tobytes())  # rows of 64 pixels need no padding
    return frame


def _video(path: Path, *, seconds: float, sound: bool = True) -> Path:
    """Red for 0.9 s, then blue, 10 frames a second, 64 x 48."""
    with av.open(str(path), "w") as out:
        film = out.add_stream("libx264", rate=10)
        assert isinstance(film, VideoStream)
        film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        voice = out.add_stream("aac", rate=44_100) if sound else None
        for number in range(round(seconds * 10)):
            image = Image.new("RGB", (64, 48), RED if number < 9 else BLUE)
            out.mux(film.encode(_frame(image)))
        out.mux(film.encode(None))
        if voice is not None:
            assert isinstance(voice, AudioStream)
            silence = av.AudioFrame("fltp", "stereo", 1024)
            silence.sample_rate = 44_100
            for plane in silence.planes:
                plane.update(bytes(plane.buffer_size))
            out.mux(voice.encode(silence))
            out.mux(voice.encode(None))
    return path


def test_a_photo_is_drawn_as_large_as_a_line_allows() -> None:
    photo = Image.linear_gradient("L").resize((1200, 800)).convert("RGB")
    image = _drawn(inline_preview(_bytes(photo, "JPEG")))
    assert image.size == (192, 128)
    middle = ImageStat.Stat(image.convert("L")).mean[0]
    assert middle == pytest.approx(127, abs=12)


def test_a_picture_that_compresses_badly_gets_smaller_and_not_longer() -> None:
    noise = Image.effect_noise((900, 900), 120).convert("RGB")
    image = _drawn(inline_preview(noise))
    assert 24 <= image.width < 192


def test_a_cut_out_lies_on_a_checkerboard() -> None:
    cutout = Image.new("RGBA", (320, 320), (0, 0, 0, 0))
    cutout.paste((*RED, 255), (80, 80, 240, 240))
    image = _drawn(inline_preview(_bytes(cutout))).convert("RGB")
    assert _close(image.getpixel((80, 80)), RED)  # type: ignore[arg-type]  # three channels
    corner = ImageStat.Stat(image.crop((0, 0, 32, 32)))
    assert min(corner.mean) > 220, "black was hidden below the transparency"
    assert max(corner.stddev) > 5, "one plain colour is no checkerboard"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_every_mode_of_picture_is_drawn(mode: str) -> None:
    image = Image.new("L", (50, 80), 255)
    assert _drawn(inline_preview(image.convert(mode))).size == (50, 80)


def test_a_phone_photo_stands_upright() -> None:
    photo = Image.new("RGB", (200, 100), RED)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", exif=exif)
    assert _drawn(inline_preview(buffer.getvalue())).size == (96, 192)


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(st.integers(1, 700), st.integers(1, 700)),
    st.integers(0, 255),
    st.sampled_from(["L", "RGB", "RGBA"]),
)
def test_any_picture_fits(size: tuple[int, int], noise: int, mode: str) -> None:
    image = _drawn(inline_preview(Image.effect_noise(size, noise).convert(mode)))
    assert max(image.size) <= 192


def test_the_picture_given_is_left_as_it_was() -> None:
    image = Image.new("RGB", (400, 400), RED)
    before = image.copy()
    inline_preview(image)
    assert image.size == before.size
    assert ImageChops.difference(image, before).getbbox() is None


@pytest.mark.parametrize("data", [b"", b"<html>", _bytes(Image.new("RGB", (300, 300)))[:200]])
def test_bytes_that_are_no_picture_are_named(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "scene.png"
    path.write_bytes(data)
    with pytest.raises(MediaProbeError, match="cannot be decoded"):
        inline_preview(data)
    with pytest.raises(MediaProbeError, match=r"scene\.png"):
        probe_image(path)


def test_a_picture_tells_its_size_format_and_transparency(tmp_path: Path) -> None:
    path = tmp_path / "cutout.png"
    path.write_bytes(_bytes(Image.new("RGBA", (30, 20))))
    assert probe_image(path) == probe_image(str(path)) == ImageInfo(30, 20, "png", True)
    data = _bytes(Image.new("RGB", (30, 20)), "JPEG")
    assert probe_image(data) == ImageInfo(30, 20, "jpeg", False)


@pytest.mark.parametrize(("seconds", "colour"), [(2.0, BLUE), (1.2, RED)])
def test_a_poster_is_the_frame_at_a_second_or_the_middle_of_a_short_video(
    tmp_path: Path, seconds: float, colour: tuple[int, int, int]
) -> None:
    path = _video(tmp_path / "video.mp4", seconds=seconds)
    for media in (path, path.read_bytes()):
        image = poster(media)
        assert image.size == (64, 48)
        assert _close(tuple(ImageStat.Stat(image).mean), colour)


def test_a_video_tells_what_a_player_will_meet(tmp_path: Path) -> None:
    path = _video(tmp_path / "video.mp4", seconds=2)
    info = probe_video(path)
    assert (info.width, info.height, info.video_codec, info.audio_codec) == (64, 48, "h264", "aac")
    assert info.seconds == pytest.approx(2, abs=0.1)
    assert info.fps == pytest.approx(10, abs=0.1)
    assert info.bytes == path.stat().st_size
    assert probe_video(path.read_bytes()) == info


def test_a_silent_video_has_no_audio_codec(tmp_path: Path) -> None:
    assert probe_video(_video(tmp_path / "v.mp4", seconds=1, sound=False)).audio_codec is None


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    whole = _video(tmp_path / "video.mp4", seconds=1).read_bytes()
    for name, data in (
        ("page.mp4", b"<html>"),
        ("cut.mp4", whole[: len(whole) // 2]),
        ("empty.mp4", b""),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        for look in (probe_video, poster):
            with pytest.raises(MediaProbeError, match=name):
                look(path)
    with pytest.raises(MediaProbeError, match="FileNotFoundError"):
        probe_video(tmp_path / "gone.mp4")


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as out:
        voice = out.add_stream("pcm_s16le", rate=8_000)
        frame = av.AudioFrame("s16", "mono", 800)
        frame.sample_rate = 8_000
        assert isinstance(voice, AudioStream)
        voice.layout = "mono"
        out.mux(voice.encode(frame))
    with pytest.raises(MediaProbeError, match="no video"):
        probe_video(path)


def test_a_poster_needs_nothing_that_only_the_sandbox_installs(tmp_path: Path) -> None:
    path = _video(tmp_path / "video.mp4", seconds=1)
    script = (
        "import sys; sys.modules['numpy'] = None; sys.modules['cv2'] = None\n"
        "from topview_pipeline.previews import inline_preview, poster\n"
        "assert inline_preview(poster(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
