"""Putting together what differs by numbers only, so that one trouble of many is said once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

T = TypeVar("T")

TOLD_ONE_BY_ONE: Final = 5
"""A larger group is told as one."""
_NUMBER: Final = re.compile(r"\d+(\.\d+)?")


def alike(items: Iterable[T], text_of: Callable[[T], str]) -> list[list[T]]:
    """The items in groups of the same text but for its numbers, the largest group first."""
    groups: dict[str, list[T]] = {}
    for item in items:
        groups.setdefault(_NUMBER.sub("0", text_of(item)), []).append(item)
    return sorted(groups.values(), key=len, reverse=True)
