"""The price list, and the estimate of a task: real charges first, then the list, else nothing."""

from __future__ import annotations

import pytest

from topview_pipeline.prices import Estimate, PriceList, estimate

PRICES = PriceList.parse(
    "image_replace=1, image2video/avatar2=0.4/s, image2video/pro=3/s", "a list"
)


@pytest.mark.parametrize(
    ("kind", "mode", "seconds", "credits_"),
    [
        ("image_replace", "manual", None, 1.0),  # the kind's price is every mode's
        ("image2video", "avatar2", 9.2, 4.0),  # each started second is paid
        ("image2video", "avatar2", None, 0.4 * 28),  # the longest recording that the mode takes
        ("image2video", "pro", 5.0, 15.0),
        ("image2video", "pro", None, None),  # the mode has no documented limit
        ("image2video", "lite", 5.0, None),
    ],
)
def test_a_task_costs_what_the_list_says_of_its_kind_and_mode(
    kind: str, mode: str | None, seconds: float | None, credits_: float | None
) -> None:
    assert PRICES.of(kind, mode, seconds) == (None if credits_ is None else pytest.approx(credits_))


@pytest.mark.parametrize(
    "wrong",
    ["image_replace", "image_replace=-1", "image_replace=nan", "a=1/min", "x=1 y=2", "=3", "a/=1"],
)
def test_an_entry_that_cannot_be_read_is_named(wrong: str) -> None:
    with pytest.raises(ValueError) as caught:
        PriceList.parse(f"image2video=2, {wrong}", "a list")
    what, fix = caught.value.args
    assert what == f"{wrong!r} is no price"
    assert fix.startswith("Use ")


def test_a_list_is_written_as_it_is_read() -> None:
    assert PriceList.parse(str(PRICES), "a list") == PRICES
    assert PriceList.parse(" ,a=1 ,, b/c=0.060/s,", "a list").prices.keys() == {"a", "b/c"}


@pytest.mark.parametrize(
    ("kind", "mode", "free", "seen", "expected"),
    [
        ("image_replace", "auto", True, 9.0, Estimate(0.0, "it is free")),
        (
            "image_replace",
            "auto",
            False,
            4.0,
            Estimate(4.0, "the most that such tasks cost so far"),
        ),
        (
            "image_replace",
            "auto",
            False,
            0.0,
            Estimate(0.0, "the most that such tasks cost so far"),
        ),
        ("image_replace", "auto", False, None, Estimate(1.0, "a list")),
        ("image2video", "lite", False, None, Estimate(None, "no price is known")),
    ],
)
def test_an_estimate_goes_by_what_is_known_best_and_is_never_guessed(
    kind: str, mode: str, free: bool, seen: float | None, expected: Estimate
) -> None:
    assert estimate(kind, mode, 5.0, free=free, seen=seen, prices=PRICES) == expected
