"""Putting together what differs by numbers only, so that one trouble of many is said once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

TOLD_ONE_BY_ONE: Final = 5
"""A larger group is told as one."""
_MOST_LINES: Final = 20
_MOST_SAID: Final = 100
_NUMBER: Final = re.compile(r"\d+(\.\d+)?")


def alike(items: Iterable[T], text_of: Callable[[T], str]) -> list[list[T]]:
    """The items in groups of the same text but for its numbers, the largest group first."""
    groups: dict[str, list[T]] = {}
    for item in items:
        groups.setdefault(_kind_of(text_of(item)), []).append(item)
    return sorted(groups.values(), key=len, reverse=True)


def in_few_lines(
    items: Iterable[T],
    text_of: Callable[[T], str],
    *,
    one: Callable[[T], str],
    many: Callable[[Sequence[T]], str],
) -> list[str]:
    """A line for each of few alike, one for all of many, and at most 20 lines.

    Args:
        text_of: what is alike or not.
        one: the line of an item.
        many: the line of more than 5 alike.
    """
    groups = alike(items, text_of)
    lines = [
        line
        for group in groups
        for line in ([many(group)] if len(group) > TOLD_ONE_BY_ONE else map(one, group))
    ]
    left_out = len(lines) - _MOST_LINES
    if left_out > 0:
        lines[_MOST_LINES:] = [f"... and {left_out} more"]
    return lines


class FirstOfEach:
    """Which texts of a stream are said: the first 5 of each kind, and at most 100 in all."""

    def __init__(self) -> None:
        self._said: Counter[str] = Counter()

    def is_said(self, text: str) -> bool:
        """Whether to say this one; a table at the end has all."""
        kind = _kind_of(text)
        is_one_more = self._said[kind] < TOLD_ONE_BY_ONE and self._said.total() < _MOST_SAID
        self._said[kind] += is_one_more
        return is_one_more


def _kind_of(text: str) -> str:
    return _NUMBER.sub("0", text)
