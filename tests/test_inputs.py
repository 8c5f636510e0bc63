"""Input files: the photo that is a web page, the huge one, the cut-off one, the renamed one."""

import hashlib
import io
import math
import struct
import wave
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import pytest
from av.audio.stream import AudioStream
from PIL import Image

from topview_pipeline.inputs import (
    AUDIO_BYTES,
    IMAGE_BYTES,
    InputError,
    InputFiles,
    audio_seconds,
)


def _image(format_: str, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise(size, 80).convert(mode).save(buffer, format_)
    return buffer.getvalue()


def _wav(seconds: float = 0.5) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        tone = (int(8_000 * math.sin(n / 8)) for n in range(int(16_000 * seconds)))
        sound.writeframes(b"".join(struct.pack("<h", sample) for sample in tone))
    return buffer.getvalue()


def _encoded(container_format: str, codec: str, *, video: bool = False) -> bytes:
    """Half a second of sound, with a film of one frame beside it when asked."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container_format) as out:
        if video:
            film = out.add_stream("mpeg4", rate=25)
            film.width, film.height, film.pix_fmt = 32, 32, "yuv420p"
        sound = out.add_stream(codec, rate=44_100)
        assert isinstance(sound, AudioStream)
        if video:
            out.mux(film.encode(av.VideoFrame(32, 32, "yuv420p")))
            out.mux(film.encode(None))
        with av.open(io.BytesIO(_wav()), "r") as source:
            for frame in source.decode(audio=0):
                frame.pts = None
                for resampled in av.AudioResampler(sound.format, sound.layout, 44_100).resample(
                    frame
                ):
                    resampled.time_base = Fraction(1, 44_100)
                    out.mux(sound.encode(resampled))
        out.mux(sound.encode(None))
    return buffer.getvalue()


def _refused(path: Path, kind: Literal["image", "audio"], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        InputFiles().read(str(path), kind=kind)
    assert caught.value.where == str(path)
    assert caught.value.mend.endswith(".")


@pytest.mark.parametrize(
    ("format_", "word"), [("PNG", "png"), ("JPEG", "jpg"), ("BMP", "bmp"), ("WEBP", "webp")]
)
def test_the_format_is_what_the_bytes_are_whatever_the_name_says(
    tmp_path: Path, format_: str, word: str
) -> None:
    data = _image(format_)
    path = tmp_path / "photo.txt"
    path.write_bytes(data)
    file = InputFiles().read(str(path), kind="image")
    assert (file.format, file.data) == (word, data)
    assert file.sha256 == hashlib.sha256(data).hexdigest() == InputFiles().sha256(str(path))


@pytest.mark.parametrize(
    "data", [b"<!DOCTYPE html><html>", b"%PDF-1.7", b"\0" * 100, _image("GIF"), _image("TIFF")]
)
def test_what_is_no_picture_for_topview_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    _refused(path, "image", "not a picture")


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "BMP", "WEBP"])
@pytest.mark.parametrize("kept", [0.5, 0.95])
def test_a_cut_off_picture_is_refused(tmp_path: Path, format_: str, kept: float) -> None:
    data = _image(format_, (200, 200))
    path = tmp_path / "photo.png"
    path.write_bytes(data[: int(len(data) * kept)])
    _refused(path, "image", "picture")


def test_an_empty_or_missing_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    _refused(tmp_path / "empty.png", "image", "empty")
    _refused(tmp_path / "gone.png", "image", "no such file")
    with pytest.raises(InputError, match="no such file"):
        InputFiles().sha256(str(tmp_path / "gone.png"))


def _png_of_size(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing: what a decompression bomb is."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("side", [7_072, 60_000])
def test_a_picture_too_large_to_decode_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(_png_of_size(side, side))
    _refused(path, "image", "pixels")


@pytest.mark.parametrize(("kind", "limit"), [("image", IMAGE_BYTES), ("audio", AUDIO_BYTES)])
def test_a_file_of_too_many_bytes_is_refused(
    tmp_path: Path, kind: Literal["image", "audio"], limit: int
) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(limit + 1)
    _refused(path, kind, "larger than")


@pytest.mark.parametrize(
    ("container", "codec", "word"), [("mp3", "mp3", "mp3"), ("ipod", "aac", "m4a")]
)
def test_a_recording_is_told_by_its_bytes(
    tmp_path: Path, container: str, codec: str, word: str
) -> None:
    data = _encoded(container, codec)
    path = tmp_path / "voice.bin"
    path.write_bytes(data)
    assert InputFiles().read(str(path), kind="audio").format == word
    assert audio_seconds(data) == pytest.approx(0.5, abs=0.1)


def test_a_wav_is_a_recording_of_its_length(tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    path.write_bytes(_wav(0.75))
    assert InputFiles().read(str(path), kind="audio").format == "wav"
    assert audio_seconds(_wav(0.75)) == pytest.approx(0.75)


@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE html><html>",
        _image("PNG"),
        _wav()[:44],
        _encoded("ipod", "aac")[:600],
        _encoded("flac", "flac"),
        _encoded("mp4", "aac", video=True),
    ],
    ids=["html", "picture", "header only", "cut off", "flac", "video"],
)
def test_what_is_no_recording_for_topview_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "voice.mp3"
    path.write_bytes(data)
    _refused(path, "audio", "not a recording")
