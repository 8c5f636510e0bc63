"""What a task may cost before it is sent: real charges first, then the price list, else nothing."""

from __future__ import annotations

import pytest

from tests.producer.world import product
from topview_pipeline.ledger import CostSeen
from topview_pipeline.prices import PriceList
from topview_pipeline.stages import BG_REMOVED_IMAGE, FINISHED_VIDEO, REPLACED_IMAGES
from topview_pipeline.stages.estimates import estimate_of, speech_seconds

PRICES = PriceList.parse("image_replace=1", "a list")


def test_what_is_free_is_estimated_as_free_whatever_the_list_says() -> None:
    prices = PriceList.parse("remove_background=7", "a list")
    found = estimate_of(BG_REMOVED_IMAGE, None, None, seen=9.0, prices=prices)
    assert found.credits == 0.0


def test_what_such_tasks_cost_goes_over_the_list() -> None:
    found = estimate_of(REPLACED_IMAGES, "auto", None, seen=4.0, prices=PRICES)
    assert (found.credits, found.source) == (4.0, "the most that such tasks cost so far")
    listed = estimate_of(REPLACED_IMAGES, "auto", None, seen=None, prices=PRICES)
    assert (listed.credits, listed.source) == (1.0, "a list")


def test_where_nothing_says_the_price_it_is_not_guessed() -> None:
    assert estimate_of(FINISHED_VIDEO, "pro", 5.0, seen=None, prices=PRICES).credits is None


def test_a_long_video_is_not_estimated_by_a_short_one() -> None:
    seen = CostSeen().and_of(2.0, seconds=5.0).and_of(3.0, seconds=10.0)
    assert seen.of(20.0) == pytest.approx(8.0)  # the dearest second
    assert seen.of(None) == 3.0


def test_tasks_without_seconds_are_compared_as_wholes() -> None:
    seen = CostSeen().and_of(2.0, seconds=None)
    assert seen.of(100.0) == 2.0


@pytest.mark.parametrize(
    ("script", "seconds"),
    [("a" * 120, 10.0), ("字" * 40, 10.0), ("", 1.0), ("字" * 4 + "a" * 12, 2)],
)
def test_a_script_takes_as_long_as_it_is_written(script: str, seconds: float) -> None:
    assert speech_seconds(FINISHED_VIDEO, product("mug", script=script)) == seconds


def test_only_a_script_of_a_video_has_a_length() -> None:
    assert speech_seconds(REPLACED_IMAGES, product("mug")) is None
    recorded = product("mug", script=None, audio="speech.mp3")
    assert speech_seconds(FINISHED_VIDEO, recorded) is None
