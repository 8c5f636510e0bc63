"""The trial of a plan: whom a failure leaves paying, and what a limit holds. Pure."""

from __future__ import annotations

from typing import Any

import pytest

from topview_pipeline.plan import PlannedStage
from topview_pipeline.plan.trial import Limits, Proved, as_proved, within_limits
from topview_pipeline.prices import Estimate
from topview_pipeline.stages import PreconditionError

PRICES = {"bgRemovedImage": 0.0, "replacedImages": 1.0, "finishedVideo": 0.5}
NO_VOICE = PreconditionError("there is no such voice", fix="Name another.")


def chain(product_id: str, *, made_with: str | None = None, **changes: Any) -> list[PlannedStage]:
    """A new product; its first two tasks may be another's."""
    return [
        PlannedStage(
            product_id,
            stage,
            "new",
            0.0 if made_with and stage != "finishedVideo" else price,
            submits=not (made_with and stage != "finishedVideo"),
            made_with=made_with if stage != "finishedVideo" else None,
            **changes,
        )
        for stage, price in PRICES.items()
    ]


def fates(planned: list[PlannedStage], product_id: str) -> list[tuple[str | None, float | None]]:
    return [(one.outcome, one.credits) for one in planned if one.product_id == product_id]


def test_the_next_product_that_shares_a_task_pays_for_it() -> None:
    planned = [*chain("mug"), *chain("twin", made_with="mug"), *chain("third", made_with="mug")]
    proved = Proved({("mug", "replacedImages"): NO_VOICE}, {}, ())
    found = as_proved(planned, proved, lambda *_: Estimate(7.0, "a list", 6.0))
    assert fates(found, "mug") == [(None, 0.0), ("failed", 0.0), ("failed", 0.0)]
    assert fates(found, "twin") == [(None, 0.0), (None, 1.0), (None, 0.5)]
    assert fates(found, "third") == [(None, 0.0), (None, 0.0), (None, 0.5)]
    assert [one.made_with for one in found[3:]] == ["mug", None, None, "mug", "twin", None]
    assert found[1].reason == "there is no such voice"
    measured = Proved({}, {("mug", "finishedVideo"): 9.0}, ())
    priced = as_proved(chain("mug"), measured, lambda *_: Estimate(7.0, "a list", 6.0))
    assert [(one.credits, one.reserved) for one in priced[1:]] == [(1.0, 1.0), (6.0, 7.0)]
    assert found[2].reason == "the scene cannot be made"


def limited(planned: list[PlannedStage], **changes: Any) -> list[PlannedStage]:
    values: dict[str, Any] = {"a_day": None, "of_run": None, "spent": 0.0, "now": 0.0, "slots": 2}
    return within_limits(planned, Limits(**values | changes), lambda *_: Estimate(None, "a list"))


@pytest.mark.parametrize(
    ("limits", "made"),
    [
        ({}, 3),
        ({"of_run": 4.5}, 3),
        ({"of_run": 3.0}, 2),  # two at a time: both are finished before the third begins
        ({"of_run": 2.4}, 0),
        ({"a_day": 4.5, "spent": 1.5}, 2),
        ({"a_day": 1.0, "spent": 5.0}, 0),
    ],
)
def test_what_does_not_fit_under_a_limit_is_held(limits: dict[str, float], made: int) -> None:
    found = limited([*chain("a"), *chain("b"), *chain("c")], **limits)
    videos = [one for one in found if one.stage == "finishedVideo"]
    assert [one.outcome for one in videos] == [None] * made + ["held"] * (3 - made)
    assert all(one.moves for one in found if one.stage == "bgRemovedImage"), "it is free"
    words = " ".join(one.reason for one in found if not one.moves)
    assert ("are spent or on their way" in words) == (made < 3)


def test_no_scene_is_paid_for_when_nothing_says_what_its_video_costs() -> None:
    first, scene, _ = chain("a")
    unpriced = PlannedStage("a", "finishedVideo", "new", None, submits=True, mode="lite")
    found = limited([first, scene, unpriced], of_run=50.0)
    assert [one.outcome for one in found] == [None, "held", "held"]
    assert found[1].fix == "add the price, or run without a limit"
    assert [one.moves for one in limited([first, scene, unpriced])] == [True] * 3
