"""Long videos: looked at from beginning to end, though not every frame is decoded."""

from __future__ import annotations

from functools import cache

import pytest

from tests.quality.films import film
from topview_pipeline.quality import Outcome, Verdict, sampling
from topview_pipeline.quality.videos import measure_video

_SIZE = (240, 426)
_FRAME = 240 * 426


@pytest.fixture(autouse=True)
def small_allowance(monkeypatch: pytest.MonkeyPatch) -> None:
    """For 24 of 144 frames that change much, and as many quiet ones."""
    monkeypatch.setattr(sampling, "MOST_PIXELS", 24 * _FRAME)
    monkeypatch.setattr(sampling, "MOST_QUIET_PIXELS", 24 * _FRAME)
    monkeypatch.setattr(sampling, "_QUIET", 0.0)  # so small a film changes next to nothing


@cache
def long(black_from: float | None = None) -> bytes:
    return film(size=_SIZE, seconds=12.0, key_frames=24, black_from=black_from)


def verdict(data: bytes) -> Verdict:
    return measure_video(data, mode=None, speech=None)


def test_a_long_video_is_looked_at_to_its_end_though_not_every_frame_is_decoded() -> None:
    """Otherwise the checks of a long video would take many seconds of CPU."""
    found = verdict(long())
    assert found.outcome is Outcome.PASSED
    assert found.numbers["frames"] == 144
    assert 20 <= found.numbers["frames_decoded"] <= 36
    assert found.numbers["video_seconds"] == pytest.approx(12.0, abs=0.2)
    assert found.numbers["unseen_seconds"] > 6.0


def test_what_was_not_decoded_is_left_open() -> None:
    said = verdict(long()).not_measured[-1]
    assert "black or frozen in" in said
    assert "of 12 s" in said


def test_the_end_of_a_long_video_is_not_taken_for_its_beginning() -> None:
    found = verdict(long(black_from=4.0))
    assert found.outcome is Outcome.FAILED
    assert "black" in found.why


def test_what_stands_still_is_decoded_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that changes nothing costs next to nothing, and is the one to look at."""
    monkeypatch.setattr(sampling, "_QUIET", 1 / 2000)
    monkeypatch.setattr(sampling, "MOST_QUIET_PIXELS", 144 * _FRAME)
    found = verdict(film(size=_SIZE, seconds=12.0, holds_from=1.0))
    assert found.outcome is Outcome.FAILED
    assert "frozen" in found.why
    assert found.numbers["frames_decoded"] == 144


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_a_hole_in_what_is_not_decoded_fails(place: float) -> None:
    holed = bytearray(long())
    begin = int(len(holed) * place)
    holed[begin : begin + 3000] = bytes(3000)
    assert verdict(bytes(holed)).outcome is Outcome.FAILED


def test_without_any_key_frame_but_the_first_the_beginning_is_what_is_seen() -> None:
    found = verdict(film(size=_SIZE, seconds=12.0))
    assert found.outcome is Outcome.PASSED
    assert found.numbers["unseen_seconds"] > 8.0
