"""One trouble of many is said once, and many troubles do not flood a log."""

from __future__ import annotations

from topview_pipeline.grouping import FirstOfEach, in_few_lines


def lines(texts: list[str]) -> list[str]:
    return in_few_lines(texts, str, one=str, many=lambda group: f"{len(group)} of {group[0]}")


def test_few_alike_are_said_each_and_many_as_one() -> None:
    assert lines([f"row {number} is bad" for number in range(5)]) == [
        f"row {number} is bad" for number in range(5)
    ]
    assert lines([*(f"row {number} is bad" for number in range(20_000)), "x"]) == [
        "20000 of row 0 is bad",
        "x",
    ]


def test_thousands_that_are_not_alike_are_twenty_lines() -> None:
    said = lines([f"{'x' * number} is bad" for number in range(300)])
    assert len(said) == 21
    assert said[-1] == "... and 280 more"


def test_of_a_stream_the_first_of_each_kind_are_said_and_a_hundred_in_all() -> None:
    few = FirstOfEach()
    assert [few.is_said(f"row {number}") for number in range(7)] == [True] * 5 + [False] * 2
    assert few.is_said("another")
    assert sum(few.is_said("y" * number) for number in range(1, 300)) == 94
