"""Videos that show something only at first, and those that are quiet without being frozen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.quality.films import film
from topview_pipeline.quality import Outcome, Verdict
from topview_pipeline.quality.picture import Sample, shown
from topview_pipeline.quality.videos import measure_video

PICTURES = tuple(Image.new("L", (8, 8), grey) for grey in (0, 90, 130, 170))


def verdict(**changes: object) -> Verdict:
    """Of ten seconds, small and of no known mode."""
    made = film(size=(240, 426), seconds=10.0, **changes)  # type: ignore[arg-type]  # the film's own
    return measure_video(made, mode=None, speech=None)


@pytest.mark.parametrize(
    ("what", "outcome", "said"),
    [
        ({"black_from": 2.2}, Outcome.FAILED, "black for 7.9 of 10.0 s"),
        ({"black_from": 5.2}, Outcome.FAILED, "black for 4.9 of 10.0 s"),
        ({"black_from": 8.2}, Outcome.DOUBTFUL, "black for 1.9 of 10.0 s"),
        ({"black_from": 9.5}, Outcome.PASSED, "whole"),
        ({"holds_from": 0.6}, Outcome.FAILED, "frozen for 9.4 of 10.0 s"),
        ({"holds_from": 7.0}, Outcome.DOUBTFUL, "stands still for 3.0 of 10.0 s"),
        ({"holds_from": 8.5}, Outcome.PASSED, "whole"),
    ],
    ids=str,
)
@pytest.mark.parametrize("key_frames", [12, 250])
def test_what_is_shown_is_weighed_by_its_time(
    what: dict[str, float], outcome: Outcome, said: str, key_frames: int
) -> None:
    found = verdict(key_frames=key_frames, **what)
    assert found.outcome is outcome
    tenth = said.split(" for ")
    assert tenth[0] in found.why
    if len(tenth) > 1:
        wanted = float(tenth[1].split()[0]) / 10
        shares = (found.numbers["black_share"], found.numbers["still_share"])
        assert max(shares) == pytest.approx(wanted, abs=0.04)
        assert "of 10.0 s" in found.why


def test_a_person_of_whom_only_the_mouth_moves_never_stands_still() -> None:
    found = verdict(picture="speaking")
    assert found.outcome is Outcome.PASSED
    assert found.numbers["still_share"] == 0


@pytest.mark.parametrize("seconds", [5, 28, 120])
def test_a_slow_camera_is_no_frozen_picture(seconds: int) -> None:
    """From one sample to the next it changes no more than encoding changes a still picture."""
    still = Image.effect_mandelbrot((640, 1138), (-2, -1.6, 1, 1.6), 60)
    samples = []
    for index in range(64):
        margin = 28 * index / 64
        box = (margin, margin * 16 / 9, 640 - margin, 1138 - margin * 16 / 9)
        image = still.resize((64, 114), Image.Resampling.BOX, box=box)
        samples.append(Sample(index * seconds / 64, image))
    assert shown(samples, seconds).still == 0


def test_a_gap_between_other_pictures_is_left_open_and_not_good() -> None:
    samples = [
        Sample(0.0, PICTURES[1]),
        Sample(1.0, PICTURES[2], is_followed=False),
        Sample(9.0, PICTURES[0]),
    ]
    time = shown(samples, 10.0)
    assert (time.unknown, time.known, time.black) == (8.0, 2.0, 1.0)


def test_what_comes_after_the_last_frame_that_was_decoded_is_left_open() -> None:
    samples = [Sample(0.0, PICTURES[1]), Sample(1.0, PICTURES[0], is_followed=False)]
    time = shown(samples, 10.0)
    assert (time.unknown, time.black, time.still) == (9.0, 0.5, 0.0)


def test_the_same_picture_on_both_sides_of_a_gap_stood_there() -> None:
    samples = [Sample(0.0, PICTURES[1], is_followed=False), Sample(9.0, PICTURES[1])]
    time = shown(samples, 10.0)
    assert (time.unknown, time.still) == (0.0, 10.0)


@given(
    st.lists(
        st.tuples(st.floats(0.01, 5.0), st.integers(0, 3), st.booleans()), min_size=1, max_size=30
    ),
    st.floats(0.0, 3.0),
)
def test_no_second_is_counted_twice(steps: list[tuple[float, int, bool]], after: float) -> None:
    second, samples = 0.0, []
    for step, picture, is_followed in steps:
        samples.append(Sample(second, PICTURES[picture], is_followed))
        second += step
    time = shown(samples, samples[-1].second + after)
    assert min(time.black, time.still, time.unknown) >= 0
    assert time.black + time.still + time.unknown <= time.seconds + 1e-6
