"""One table of everything measured, as Markdown: the README's is pasted from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_HEAD: Final = ("measured", "ours", "against", "ratio", "target", "")


@dataclass(frozen=True)
class Goal:
    """The aim for a number: at least so much, at most so much, or both."""

    least: float | None = None
    most: float | None = None

    def is_met(self, value: float) -> bool:
        """The number is as it should be."""
        return (self.least is None or value >= self.least) and (
            self.most is None or value <= self.most
        )

    def text(self, shown: str) -> str:
        """The goal in the number's format."""
        if self.least is not None and self.most is not None:
            return f"{shown.format(self.least)} to {shown.format(self.most)}"
        sign, value = ("<=", self.most) if self.least is None else (">=", self.least)
        return f"{sign} {shown.format(value)}"


@dataclass(frozen=True)
class Row:
    """One number, with what it is compared with in the same run.

    Attributes:
        cells: what was measured, ours, against, ratio, target, verdict; as the table shows them.
        met: None when there is no target.
    """

    cells: tuple[str, ...]
    met: bool | None


def compared(
    what: str,
    ours: float,
    against: float,
    shown: str,
    *,
    ratio: Goal | None = None,
    times_less: bool = False,
    itself: Goal | None = None,
) -> Row:
    """A number beside its baseline.

    Args:
        shown: the numbers' format, as in "{:.2f} s".
        ratio: the goal of ours / against.
        times_less: the ratio is against / ours instead.
        itself: the goal of ours.
    """
    quotient, ratio_shown = ours / against, "{:.1%}"
    if times_less:
        quotient, ratio_shown = against / ours, "{:.0f} times less"
    target, met = "", None
    if ratio is not None:
        target, met = ratio.text(ratio_shown), ratio.is_met(quotient)
    elif itself is not None:
        target, met = itself.text(shown), itself.is_met(ours)
    numbers = shown.format(ours), shown.format(against), ratio_shown.format(quotient)
    verdict = {None: "", True: "met", False: "MISSED"}[met]
    return Row((what, *numbers, target, verdict), met)


def show(rows: Sequence[Row], notes: Sequence[str]) -> None:
    """Print the table, and below it what it does not say by itself."""
    lines = [_HEAD, *(row.cells for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    lines.insert(1, tuple("-" * width for width in widths))
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print(f"| {' | '.join(cells)} |")
    for note in notes:
        print(f"\n{note}")
