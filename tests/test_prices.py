"""The price list, the estimate of a task, and speech that no video of its mode can hold."""

import pytest

from topview_pipeline.prices import (
    KINDS,
    CostSeen,
    Estimate,
    PriceList,
    estimate,
    spoken_seconds,
    too_long,
)
from topview_pipeline.settings import DEFAULT_PRICES, MODES
from topview_pipeline.stages import STAGES, VIDEO

PRICES = PriceList.parse(
    "image_replace=1, image2video/avatar2=0.4/s, image2video/pro=3/s", "a list"
)


@pytest.mark.parametrize(
    ("kind", "mode", "seconds", "credits_"),
    [
        ("image_replace", "manual", None, 1.0),  # the kind's price is every mode's
        ("image2video", "avatar2", 9.2, 4.0),  # each started second is paid
        ("image2video", "avatar2", 9.0, 3.6),
        ("image2video", "avatar2", 99.0, 0.4 * 28),  # no video of the mode is longer
        ("image2video", "avatar2", None, 0.4 * 28),  # the longest recording that the mode takes
        ("image2video", "pro", 2.0, 30.0),  # its video has ten seconds, whatever is said
        ("image2video", "pro", None, 30.0),
        ("image2video", "lite", 5.0, None),
    ],
)
def test_a_task_costs_what_the_list_says_of_its_kind_and_mode(
    kind: str, mode: str | None, seconds: float | None, credits_: float | None
) -> None:
    assert PRICES.of(kind, mode, seconds) == (None if credits_ is None else pytest.approx(credits_))


@pytest.mark.parametrize(
    ("written", "name", "credits_"),
    [
        ("image2video/lite=0.5", "image2video/lite", 0.5),
        ("image2Video / LITE = 0.5", "image2video/lite", 0.5),  # Topview's spelling
        ("finishedVideo/avatar4fast=0.5/s", "image2video/avatar4Fast", 0.5),  # the asset's
        ("REPLACEDIMAGES/Auto=3", "image_replace/auto", 3.0),
    ],
)
def test_a_price_may_be_written_as_topview_or_the_asset_is(
    written: str, name: str, credits_: float
) -> None:
    ((found, price),) = PriceList.parse(written, "a list").prices.items()
    assert (found, price.credits) == (name, credits_)


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        *((one, "cannot be read") for one in ("image_replace", "image_replace=-1", "x=1 y=2")),
        *((one, "cannot be read") for one in ("image_replace=nan", "image_replace=inf", "=3")),
        *((one, "cannot be read") for one in ("image2video=1/min", "image2video/=1", "x=1e5")),
        (f"image_replace={'9' * 400}", "cannot be read"),
        ("image2vidoe=1", "names no kind of task that costs something"),
        ("remove_background=1", "names no kind of task that costs something"),
        ("image2video/avatar3=1", "names no mode of image2video"),
        ("image_replace/lite=1", "names no mode of image_replace"),
    ],
)
def test_a_wrong_entry_is_named_with_the_kinds_and_modes_that_there_are(
    wrong: str, what: str
) -> None:
    with pytest.raises(ValueError) as caught:
        PriceList.parse(f"image2video=2, {wrong}", "a list")
    said, fix = caught.value.args
    assert said.startswith(f"{wrong!r} {what}")
    assert "image2video/lite=0.5. Kinds" in fix
    assert "image_replace (auto, manual); image2video (lite, pro, avatar2, avatar4, " in fix


def test_kinds_and_modes_are_those_of_the_stages_and_the_catalogue() -> None:
    assert KINDS.keys() == {stage.kind for stage in STAGES if not stage.free}
    assert KINDS[VIDEO.kind] == MODES


def test_a_list_is_written_as_it_is_read() -> None:
    assert PriceList.parse(str(PRICES), "a list") == PRICES
    parsed = PriceList.parse(" ,image_replace=1 ,, image2video/pro=0.060/s,", "a list")
    assert parsed.prices.keys() == {"image_replace", "image2video/pro"}


def test_one_price_of_ones_own_leaves_the_others_as_they_were() -> None:
    """A price for lite must not make the scene's price unknown."""
    defaults = DEFAULT_PRICES.prices
    mine = PriceList.parse("image2video/lite=0.5", "mine", over=defaults)
    assert mine.prices.items() > defaults.items()
    assert mine.of("image2video", "lite", None) == 0.5
    whole = PriceList.parse("image2video=7", "mine", over=defaults)
    assert {whole.of("image2video", mode, 9.0) for mode in MODES} == {7.0}
    assert whole.of("image_replace", "manual", None) == 2.0, "a location makes two images"


SEEN = "the most that such tasks cost so far"
NOTHING = CostSeen()


@pytest.mark.parametrize(
    ("kind", "mode", "seconds", "seen", "expected"),
    [
        ("image_replace", "auto", None, CostSeen(4.0), Estimate(4.0, SEEN, 1.0)),
        ("image_replace", "auto", None, CostSeen(0.0, average=0.0), Estimate(1.0, "a list", 1.0)),
        ("image_replace", "auto", None, NOTHING, Estimate(1.0, "a list", 1.0)),
        ("image2video", "avatar2", 5.0, CostSeen(9.0, 0.8), Estimate(4.0, SEEN, 2.0)),  # at once
        ("image2video", "avatar2", 5.0, CostSeen(0.4, 0.1), Estimate(2.0, "a list", 2.0)),
        ("image2video", "lite", 2.5, CostSeen(0.5, 0.25, 0.4, 0.2), Estimate(0.5, SEEN, 0.4)),
        ("image2video", "avatar4", 2.5, CostSeen(0.3, 0.1, 0.2, 0.08), Estimate(0.3, SEEN, 0.24)),
        (
            "image2video",
            "lite",
            5.0,
            NOTHING,
            Estimate(
                None,
                "nothing says what image2video in mode lite costs: add it to TOPVIEW_PRICES, for "
                "example image2video/lite=0.5",
            ),
        ),
    ],
)
def test_an_estimate_goes_by_what_is_known_best_and_is_never_guessed(
    kind: str, mode: str, seconds: float | None, seen: CostSeen, expected: Estimate
) -> None:
    assert estimate(kind, mode, seconds, free=False, seen=seen, prices=PRICES) == expected
    free = estimate(kind, mode, seconds, free=True, seen=seen, prices=PRICES)
    assert free == Estimate(0.0, "it is free", 0.0)


def test_one_charge_above_its_estimate_makes_the_next_estimate_as_high() -> None:
    """A script was taken for two seconds and became a video of four."""
    seen = NOTHING.and_of(4 * 0.4, 2.0)
    again = estimate("image2video", "avatar2", 1.7, free=False, seen=seen, prices=PRICES)
    assert again.credits == 1.6
    longer = estimate("image2video", "avatar2", 4.2, free=False, seen=seen, prices=PRICES)
    assert longer.credits == 4.0
    assert seen.and_of(0.1, 3.0) == seen, "a cheap one does not make them cheaper"
    assert seen.and_of(9.0, None) == CostSeen(9.0, 0.8)
    assert NOTHING.and_of(0.8, 1.2) == CostSeen(0.8, 0.4), "by the started second"


@pytest.mark.parametrize(
    ("script", "seconds"),
    [
        *(("a" * 120, 10.0), ("字" * 40, 10.0), ("", 2.0), ("字" * 4 + "a" * 12, 2.0)),
        ("a b c d e f g h i j", 4.8),  # short words take time, too
        ("Hello", 2.0),  # no video is shorter than its pauses
    ],
)
def test_a_script_takes_as_long_as_a_slow_reader(script: str, seconds: float) -> None:
    assert spoken_seconds(script) == pytest.approx(seconds)


def test_a_plan_counts_the_usual_pace_and_a_limit_a_slow_voice() -> None:
    """A plan over the bill by the difference between voices is no plan, a limit under it none."""
    found = estimate(
        "image2video", "avatar2", 12.0, usual=10.0, free=False, seen=NOTHING, prices=PRICES
    )
    assert (found.credits, found.likely) == (4.8, 4.0)


@pytest.mark.parametrize(
    ("script", "seconds"),
    [
        ('One.<break time="10s"/>', 12.0),
        ("One. <break time='1.5s' /> Two. <BREAK time = \"500ms\"></BREAK>", 4.0),
        ('One.<break time="99.9s">', 101.9),
        ("a" * 144 + '<break time="2.0s"/>', 12.0),
    ],
)
def test_a_break_counts_as_its_seconds_and_its_letters_do_not(script: str, seconds: float) -> None:
    assert spoken_seconds(script, slowly=False) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("seconds", "mode", "is_recorded", "says", "refused"),
    [
        (28.0, "lite", False, "the script takes about 28 s to speak, and a video in mode lite", 0),
        (5.1, "lite", False, "mode lite lasts 5 s: the end will be cut off", False),
        (5.0, "lite", False, None, None),
        (21.0, "pro", False, "mode pro lasts 10 s: the end", False),
        (28.1, "avatar2", False, "mode avatar2 lasts at most 28 s", True),
        (28.0, "avatar2", False, None, None),
        (5.4, "lite", True, None, None),
        (5.6, "lite", True, "the audio lasts 5.6 s, and a video in mode lite lasts 5 s", True),
        (28.0, "avatar2", True, None, None),
        (28.1, "avatar2", True, "mode avatar2 lasts at most 28 s", True),
        (999.0, "cinema", True, None, None),
        (121.0, "avatar4", True, "mode avatar4 lasts at most 120 s", True),
    ],
)
def test_speech_that_no_video_of_the_mode_can_hold_is_said(
    seconds: float, mode: str, is_recorded: bool, says: str | None, refused: bool | None
) -> None:
    found = too_long(seconds, mode, is_recorded=is_recorded)
    if says is None:
        assert found is None
        return
    assert found is not None
    assert says in found.what
    assert found.is_refused == refused
    longer = "" if mode == "avatar4" else ", or use mode avatar4 (at most 120 s)"
    assert found.fix == f"Shorten it{longer}."
