"""Sound that ends long before what is said does."""

from __future__ import annotations

import math
from array import array

import pytest

from tests.quality.films import film
from topview_pipeline.quality import Outcome
from topview_pipeline.quality.expectations import Speech
from topview_pipeline.quality.hearing import RATE, Heard
from topview_pipeline.quality.videos import measure_video


@pytest.mark.parametrize(
    ("mode", "speech", "heard", "outcome"),
    [
        ("avatar2", None, 10.0, Outcome.PASSED),
        ("avatar2", Speech(10.0, is_recorded=True), 8.0, Outcome.PASSED),
        ("avatar2", None, 5.0, Outcome.DOUBTFUL),
        ("avatar2", None, 0.5, Outcome.FAILED),
        ("pro", Speech(10.0, is_recorded=False), 0.5, Outcome.FAILED),
        ("pro", Speech(3.0, is_recorded=True), 2.5, Outcome.PASSED),
        ("pro", None, 4.0, Outcome.PASSED),
        ("pro", None, 0.5, Outcome.DOUBTFUL),
        (None, None, 0.5, Outcome.DOUBTFUL),
    ],
    ids=[
        "all of it",
        "a pause at the end",
        "half of it",
        "next to nothing",
        "next to nothing of a script",
        "a short recording in a long video",
        "a short script in a long video",
        "next to nothing, and nobody knows of what",
        "of no known mode",
    ],
)
def test_sound_has_to_last_as_long_as_what_is_said(
    mode: str | None,
    speech: Speech | None,
    heard: float,
    outcome: Outcome,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("topview_pipeline.quality.videos.SIZE_TOLERANCE", 1.0)
    short = film(size=(240, 426), seconds=10.0, sound_seconds=heard)
    verdict = measure_video(short, mode=mode, speech=speech)
    assert verdict.outcome is outcome, verdict.why
    assert verdict.numbers["heard_seconds"] == pytest.approx(heard, abs=0.3)
    assert ("something is heard" in verdict.why.lower()) is (outcome is not Outcome.PASSED)


def test_a_long_track_of_which_little_is_heard_is_no_long_sound() -> None:
    """Its mean loudness is that of a voice."""
    heard = Heard()
    heard.add(array("h", [9000, -9000] * (RATE // 4)).tobytes())
    heard.add(bytes(2 * RATE * 9))
    heard.end()
    assert heard.seconds == 9.5
    assert heard.heard_seconds == pytest.approx(0.5)
    assert heard.decibels > -30


def test_it_does_not_matter_in_which_parts_sound_comes() -> None:
    values = array("h", (round(5000 * math.sin(index / 7)) for index in range(3 * RATE)))
    whole, parts = Heard(), Heard()
    whole.add(values.tobytes())
    for begin in range(0, len(values), 333):
        parts.add(values[begin : begin + 333].tobytes())
    for one in (whole, parts):
        one.end()
    assert (whole.seconds, whole.heard_seconds, whole.decibels) == (
        parts.seconds,
        parts.heard_seconds,
        parts.decibels,
    )


def test_nothing_is_silence() -> None:
    heard = Heard()
    heard.end()
    assert (heard.seconds, heard.heard_seconds, heard.decibels) == (0, 0, -120)
