"""The verdict of a check, and its form in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any, Final

VERSION: Final = 6
"""Raised when a rule changes; results with a verdict of another version are measured again."""
MAKE_AGAIN: Final = "remake it with force; if the result is the same, report it to Topview"


class Outcome(str, Enum):
    """Only what failed is not exported; a person should look at what is doubtful."""

    PASSED = "passed"
    DOUBTFUL = "doubtful"
    FAILED = "failed"
    UNMEASURED = "unmeasured"


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check."""

    outcome: Outcome
    why: str  # one or more sentences: what is wrong, or what was found
    fix: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)  # by a name with its unit
    not_measured: tuple[str, ...] = ()  # what could not be measured, and why
    images: tuple[Verdict, ...] = ()  # of each image of a scene, in Topview's order

    @property
    def is_refused(self) -> bool:
        """True if the result must not be exported."""
        return self.outcome is Outcome.FAILED

    def to_json(self) -> dict[str, Any]:
        """The verdict as JSON values."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any] | None) -> Verdict | None:
        """The verdict that `to_json` gave; None when there is none of this version."""
        if kept is None or kept.get("version") != VERSION:
            return None
        return cls._of(kept)

    @classmethod
    def _of(cls, kept: Mapping[str, Any]) -> Verdict:
        return cls(
            Outcome(kept["outcome"]),
            kept["why"],
            kept["fix"],
            kept["numbers"],
            tuple(kept["not_measured"]),
            tuple(map(cls._of, kept["images"])),
        )


class Findings:
    """The findings of one check, which make a verdict together."""

    def __init__(self, **numbers: float) -> None:
        self.numbers = numbers
        self._errors: list[tuple[str, str]] = []
        self._warnings: list[tuple[str, str]] = []
        self._not_measured: list[str] = []

    def error(self, what: str, fix: str) -> None:
        """Customers must not see this."""
        self._errors.append((what, fix))

    def warn(self, what: str, fix: str) -> None:
        """This may be intended; a person should look."""
        self._warnings.append((what, fix))

    def not_measured(self, what: str) -> None:
        """This could not be measured, which is not bad."""
        self._not_measured.append(what)

    def verdict(self, good: str) -> Verdict:
        """The verdict; `good` is its sentence when there is neither an error nor a warning."""
        found = self._errors or self._warnings
        outcome = Outcome.FAILED if self._errors else Outcome.DOUBTFUL
        return Verdict(
            outcome if found else Outcome.PASSED,
            " ".join(_sentence(what) for what, _ in found) or good,
            " ".join(dict.fromkeys(_sentence(fix) for _, fix in found)),
            {name: round(value, 4) for name, value in self.numbers.items()},
            tuple(self._not_measured),
        )


def is_refused(kept: Mapping[str, Any] | None) -> bool:
    """True if a kept verdict says that the result must not be exported.

    None, as while checks are off, refuses nothing. A verdict of another version stands until the
    result is measured again.
    """
    return kept is not None and kept.get("outcome") == Outcome.FAILED.value


def refused_images(kept: Mapping[str, Any] | None) -> frozenset[int]:
    """The numbers, from 1, of the images that a kept verdict of a scene refuses."""
    images = (kept or {}).get("images") or ()
    return frozenset(number for number, image in enumerate(images, 1) if is_refused(image))


def is_faceless(kept: Mapping[str, Any] | None) -> bool:
    """True if Topview found no face in any image of a scene, as its kept verdict says."""
    numbers = (kept or {}).get("numbers") or {}
    return bool(numbers.get("images")) and numbers.get("images_without_face") == numbers["images"]


def unmeasured(why: str) -> Verdict:
    """The verdict when nothing could be measured."""
    return Verdict(Outcome.UNMEASURED, f"Could not measure: {why}.", not_measured=(why,))


STAND_IN: Final = unmeasured("the file says that it is only a stand-in, made to rehearse with")


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."
