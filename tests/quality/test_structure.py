"""Files that end too early, and those that only leave something out on purpose."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.quality.films import film
from topview_pipeline.quality import Outcome
from topview_pipeline.quality.structure import is_cut_off, is_filled, unit_length_size
from topview_pipeline.quality.videos import measure_video

FILM = film(size=(240, 426), seconds=10.0, key_frames=25)


def edited(begin: float, seconds: float) -> bytes:
    """The film with edit lists that show a part of it: as editors trim without encoding anew."""
    data, at = bytearray(FILM), 0
    lists = []
    while (at := data.find(b"elst", at + 1)) >= 0:
        lists.append(at)
    assert len(lists) == 2
    for place, clock in zip(lists, (12_288, 16_000), strict=True):
        data[place + 12 : place + 20] = struct.pack(
            ">Ii", round(seconds * 1000), round(begin * clock)
        )
    return bytes(data)


@pytest.mark.parametrize(("begin", "seconds"), [(0.0, 8.5), (3.0, 7.0), (2.5, 4.0)])
def test_a_video_that_was_trimmed_by_an_edit_list_is_whole(begin: float, seconds: float) -> None:
    verdict = measure_video(edited(begin, seconds), mode=None, speech=None)
    assert verdict.outcome is Outcome.PASSED, verdict.why
    assert verdict.numbers["video_seconds"] == pytest.approx(seconds, abs=0.2)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.97, 0.999])
def test_a_trimmed_video_that_breaks_off_fails_all_the_same(share: float) -> None:
    data = edited(0.0, 8.5)
    verdict = measure_video(data[: int(len(data) * share)], mode=None, speech=None)
    assert verdict.outcome is Outcome.FAILED
    assert "breaks off" in verdict.why or "cannot be decoded" in verdict.why


def test_a_file_that_ends_too_early_in_its_index_is_cut_off_too() -> None:
    tail = FILM[: FILM.index(b"mdat") - 100]
    assert is_cut_off(io.BytesIO(tail))
    assert not is_cut_off(io.BytesIO(FILM))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x1aE\xdf\xa3 a WebM file",
        FILM + b"something that was appended",
        b"\0\0\0\x08ftyp\0\0\0\0mdat and media up to the end",
        b"\0\0\0\x08ftyp\0\0\0\x01mdat\0\0\0\0\0\0\0\x1212",
    ],
    ids=["nothing", "no MP4", "with a tail", "without a length", "with a long length"],
)
def test_what_is_no_cut_off_mp4_is_left_alone(data: bytes) -> None:
    assert not is_cut_off(io.BytesIO(data))


def test_a_box_of_eight_bytes_of_length_is_read() -> None:
    assert is_cut_off(io.BytesIO(b"\0\0\0\x08ftyp\0\0\0\x01mdat\0\0\0\0\0\0\0\x1312"))


@given(
    st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=6), st.sampled_from([2, 4])
)
def test_a_packet_is_filled_by_its_units_until_bytes_are_lost(
    units: list[bytes], size: int
) -> None:
    packet = b"".join(len(unit).to_bytes(size, "big") + unit for unit in units)
    assert is_filled(packet, size)
    assert not is_filled(packet[:-1], size)
    assert not is_filled(bytes(len(packet)), size)
    assert not is_filled(packet + b"\0", size)


@pytest.mark.parametrize(
    ("codec", "extradata", "size"),
    [
        ("h264", b"\x01\x64\x00\x1f\xff\xe1", 4),
        ("h264", b"\0\0\0\x01\x67\x64", None),
        ("hevc", b"\x01" + bytes(20) + b"\x01\x00", 2),
        ("vp9", b"\x01\x64\x00\x1f\xff\xe1", None),
        ("h264", None, None),
    ],
    ids=["H.264", "H.264 without lengths", "H.265", "VP9", "nothing said"],
)
def test_only_some_codecs_say_how_long_a_unit_is(
    codec: str, extradata: bytes | None, size: int | None
) -> None:
    assert unit_length_size(codec, extradata) == size
