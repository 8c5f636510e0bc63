"""What the sensor takes up, as a table, and how its patience grows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from topview_pipeline.defs.pending import Patience, TakeUp, take_up
from topview_pipeline.ledger import HeldReason

NOW = 1000.0


def order(product: str, **changes: Any) -> Any:
    plain = {
        "owner": None,
        "held_reason": None,
        "held_until": None,
        "held_credits": None,
        "updated_at": NOW - 10,
        "stage": "finishedVideo",
    }
    return SimpleNamespace(product_id=product, **{**plain, **changes})


def task(row: int, owner: str | None = None) -> Any:
    return SimpleNamespace(id=row, owner=owner)


def found(orders: list[Any], tasks: list[Any], **options: Any) -> TakeUp:
    return take_up(orders, tasks, now=NOW, is_alive=lambda owner: owner == "living", **options)


@pytest.mark.parametrize(
    ("changes", "is_due"),
    [
        ({}, True),
        ({"owner": "dead"}, True),
        ({"owner": "living"}, False),
        ({"held_reason": HeldReason.RETRY, "held_until": NOW + 1}, False),
        ({"held_reason": HeldReason.RETRY, "held_until": NOW}, True),
        ({"held_reason": HeldReason.UNKNOWN, "held_until": None}, False),
        ({"held_reason": HeldReason.PAUSE, "held_until": NOW - 1}, True),
        ({"held_reason": HeldReason.PAUSE, "held_until": NOW - 1, "owner": "living"}, False),
        # Held before the clock was set back by an hour.
        (
            {
                "held_reason": HeldReason.RETRY,
                "updated_at": NOW + 3600,
                "held_until": NOW + 3630,
            },
            True,
        ),
        # A time without a reason is left over from a hold that ended.
        ({"held_until": NOW + 1}, True),
    ],
)
def test_only_what_is_due_and_nobody_works_on_is_taken_up(
    changes: dict[str, Any], is_due: bool
) -> None:
    assert found([order("mug", **changes)], []).orders == (
        (("mug", "finishedVideo"),) if is_due else ()
    )


def test_tasks_that_nobody_watches_are_taken_up_without_an_order() -> None:
    result = found([], [task(1), task(2, "dead"), task(3, "living")])
    assert result.strays == (1, 2)
    assert result.worked_on == 1
    assert not result.is_empty


def test_nothing_due_is_nothing_to_take_up_and_says_the_numbers() -> None:
    held = order("bag", held_reason=HeldReason.STALLED, held_until=NOW + 9)
    result = found([order("mug", owner="living"), held], [task(1, "living")])
    assert result.is_empty
    assert str(result) == (
        "0 open orders due, 0 tasks that nobody watches, 1 held (1 stalled), 2 in work"
    )


def test_a_run_config_has_a_limit_and_the_rest_comes_later() -> None:
    result = found([order(str(n)) for n in range(5000)], [])
    assert (len(result.orders), len(result.for_one_run)) == (5000, 2000)


def test_a_products_stages_are_not_parted_between_two_runs() -> None:
    stages = ("replacedImages", "bgRemovedImage", "finishedVideo")
    result = found([order(str(n), stage=stage) for stage in stages for n in range(1000)], [])
    assert len(result.for_one_run) == 1998
    assert len(result.orders) == 3000


@pytest.mark.parametrize(
    ("held_credits", "left", "is_due"),
    [
        (5.0, 4.0, False),
        (5.0, 5.0, True),  # tasks failed or cost less: there is room again
        (5.0, None, True),  # the limit was taken away
        (None, 99.0, False),  # nobody knows the price
        (None, None, True),
    ],
)
def test_what_was_over_the_budget_goes_on_as_soon_as_there_is_room(
    held_credits: float | None, left: float | None, is_due: bool
) -> None:
    over = order(
        "mug", held_reason=HeldReason.BUDGET, held_until=NOW + 9, held_credits=held_credits
    )
    assert bool(found([over], [], room=lambda _: left).orders) is is_due


@pytest.mark.parametrize(("left", "is_due"), [(0.5, False), (1.0, True)])
def test_over_the_runs_own_limit_it_goes_on_only_when_that_has_room(
    left: float, is_due: bool
) -> None:
    over = order("mug", held_reason=HeldReason.RUN_LIMIT, held_credits=1.0)
    assert bool(found([over], [], room=lambda _: left).orders) is is_due


@pytest.mark.parametrize(
    "before",
    [{"held_reason": HeldReason.RETRY, "held_until": NOW + 1}, {"owner": "living"}],
)
def test_a_video_is_not_made_from_the_photo_that_was_replaced(before: dict[str, Any]) -> None:
    """A kill between two holds, or a row that a person settled, leaves the later order free."""
    cutout = order("mug", stage="bgRemovedImage", **before)
    later = [order("mug", stage=stage) for stage in ("replacedImages", "finishedVideo")]
    assert found([cutout, *later], []).orders == ()
    assert found([*later, cutout], []).orders == ()


@pytest.mark.parametrize(
    ("before", "is_due"),
    [
        ({"held_reason": HeldReason.RETRY, "held_until": NOW}, True),
        ({"held_reason": HeldReason.RETRY, "held_until": NOW + 1}, False),
        ({"owner": "living"}, False),
        ({}, True),
    ],
)
def test_a_later_stage_goes_with_the_stage_it_waits_for(
    before: dict[str, Any], is_due: bool
) -> None:
    scene = order("mug", stage="replacedImages", **before)
    video = order("mug", held_reason=HeldReason.UPSTREAM, held_until=NOW + 9)
    other = order("bag", held_reason=HeldReason.UNKNOWN)
    taken = found([scene, video, other], []).orders
    assert (("mug", "finishedVideo") in taken) is is_due


def test_a_later_stage_whose_stage_before_is_ordered_no_more_is_not_forgotten() -> None:
    video = order("mug", held_reason=HeldReason.UPSTREAM)
    assert found([video], []).orders == (("mug", "finishedVideo"),)


def test_the_same_work_again_waits_twice_as_long_each_time_up_to_an_hour() -> None:
    work = found([order("mug")], [])
    memory: Patience | None = None
    waits = []
    now = NOW
    for _ in range(9):
        memory = Patience.after(memory, work, now=now)
        waits.append(memory.until(work, now=now) - now)
        now = memory.until(work, now=now)
    assert waits == [120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]


def test_other_work_is_taken_up_at_once() -> None:
    memory = Patience.after(None, found([order("mug")], []), now=NOW)
    memory = Patience.after(memory, found([order("mug")], []), now=NOW)
    other = found([order("bag")], [])
    assert memory.until(other, now=NOW) <= NOW
    assert Patience.after(memory, other, now=NOW).times == 1


@pytest.mark.parametrize("cursor", [None, "", "nonsense", "[]", "{}", '{"work": 1, "times": "x"}'])
def test_a_cursor_that_cannot_be_read_is_no_memory(cursor: str | None) -> None:
    assert Patience.from_cursor(cursor) is None


def test_a_memory_of_the_future_keeps_nothing_waiting() -> None:
    """The clock jumped forward for a moment: what is paid must still come home."""
    work = found([order("mug")], [])
    memory = Patience.after(None, work, now=NOW + 31_536_000)
    assert memory.until(work, now=NOW) <= NOW


def test_the_memory_survives_the_cursor() -> None:
    memory = Patience("abc", 3, 12.5)
    assert Patience.from_cursor(memory.to_cursor()) == memory
