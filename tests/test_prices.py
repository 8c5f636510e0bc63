"""The price list: what can be written in TOPVIEW_PRICES, and what it says of a task."""

from __future__ import annotations

import pytest

from topview_pipeline.environment import SettingsError
from topview_pipeline.prices import PriceList
from topview_pipeline.settings import Settings

LIST = PriceList.parse("image_replace=1, image2video/avatar2=0.4/s, image2video/lite=3", "a list")


@pytest.mark.parametrize(
    ("kind", "mode", "seconds", "credits_"),
    [
        ("image_replace", "manual", None, 1.0),  # the kind's price is every mode's
        ("image2video", "lite", 12.0, 3.0),
        ("image2video", "avatar2", 9.2, 4.0),  # each started second is paid
        ("image2video", "avatar2", None, 0.4 * 28),  # the longest recording that the mode takes
        ("image2video", "pro", 5.0, None),
        ("remove_background", None, None, None),
    ],
)
def test_a_task_costs_what_the_list_says_of_its_kind_and_mode(
    kind: str, mode: str | None, seconds: float | None, credits_: float | None
) -> None:
    assert LIST.of(kind, mode, seconds) == (None if credits_ is None else pytest.approx(credits_))


def test_a_price_by_the_second_without_any_length_is_no_price() -> None:
    prices = PriceList.parse("image2video/pro=1/s", "a list")
    assert prices.of("image2video", "pro", None) is None


@pytest.mark.parametrize("wrong", ["image_replace", "image_replace=-1", "a=1/min", "x=1 y=2", "=3"])
def test_an_entry_that_cannot_be_read_is_named(wrong: str) -> None:
    with pytest.raises(SettingsError, match=r"TOPVIEW_PRICES: .* is no price") as caught:
        Settings.from_environment({"TOPVIEW_PRICES": f"image2video=2, {wrong}"})
    assert wrong in str(caught.value)


def test_the_default_list_is_said_to_be_one() -> None:
    default = Settings.from_environment({}).prices
    assert default.of("image_replace", "auto", None) == 1.0
    assert default.source == "the default price list"
    own = Settings.from_environment({"TOPVIEW_PRICES": "image_replace=0.5"}).prices
    assert own.source == "the price list in TOPVIEW_PRICES"


@pytest.mark.parametrize("wrong", ["-1", "much", "inf"])
def test_a_credit_limit_that_is_no_amount_is_refused(wrong: str) -> None:
    with pytest.raises(SettingsError, match="TOPVIEW_CREDIT_LIMIT"):
        Settings.from_environment({"TOPVIEW_CREDIT_LIMIT": wrong})


def test_no_credit_limit_and_one_of_nothing_are_not_the_same() -> None:
    assert Settings.from_environment({}).credit_limit is None
    assert Settings.from_environment({"TOPVIEW_CREDIT_LIMIT": "0"}).credit_limit == 0.0
