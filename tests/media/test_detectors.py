"""Sound that is heard, and an FFmpeg that lacks a detector."""

from __future__ import annotations

import av
import pytest

from tests.media.films import film
from topview_pipeline.media.detectors import watch
from topview_pipeline.media.probe import MediaUnreadError


def test_sound_that_is_heard_and_sound_that_is_there() -> None:
    voice = watch(film(seconds=10.0, sound_seconds=8.0))
    assert voice.heard_seconds == voice.sound_seconds == pytest.approx(8.0, abs=0.1)
    silent = watch(film(sound="silence"))
    assert silent.heard_seconds == 0
    assert silent.sound_seconds == pytest.approx(5.0, abs=0.1)
    assert watch(film(sound=None)).sound_seconds is None


def test_an_ffmpeg_without_a_detector_leaves_a_video_unmeasured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It must not refuse every video that was paid for."""

    def without() -> None:
        raise ValueError("no filter freezedetect")

    monkeypatch.setattr(av.filter, "Graph", without)
    with pytest.raises(MediaUnreadError, match=r"cannot be checked here \(no filter freeze"):
        watch(film())
