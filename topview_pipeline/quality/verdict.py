"""What came of measuring a result, and how that is kept as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

VERSION: Final = 2
"""Raised when a rule changes: verdicts of older versions are then measured again."""


class Outcome(str, Enum):
    """`doubtful` and `unmeasured` are for people to look at; only `failed` is never exported."""

    PASSED = "passed"
    DOUBTFUL = "doubtful"
    FAILED = "failed"
    UNMEASURED = "unmeasured"


@dataclass(frozen=True)
class Verdict:
    """What came of measuring a result.

    Attributes:
        why: one sentence or several; what is wrong, or what was found.
        mend: what to do about it; empty when there is nothing to do.
        numbers: what was measured, by a name with its unit.
        not_measured: what could not be told, and why.
    """

    outcome: Outcome
    why: str
    mend: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    not_measured: tuple[str, ...] = ()

    @property
    def is_refused(self) -> bool:
        """Whether it must not be exported."""
        return self.outcome is Outcome.FAILED

    def to_json(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            "version": VERSION,
            "outcome": self.outcome.value,
            "why": self.why,
            "mend": self.mend,
            "numbers": dict(self.numbers),
            "not_measured": list(self.not_measured),
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any] | None) -> Verdict | None:
        """A verdict as it was kept; None when there is none by today's rules."""
        if kept is None or kept.get("version") != VERSION:
            return None
        return cls(
            Outcome(kept["outcome"]),
            str(kept["why"]),
            str(kept["mend"]),
            {str(name): float(value) for name, value in kept["numbers"].items()},
            tuple(str(one) for one in kept["not_measured"]),
        )


@dataclass
class Findings:
    """Collects what the parts of a measurement say, until they make a verdict together."""

    numbers: dict[str, float] = field(default_factory=dict)
    _wrong: list[tuple[str, str]] = field(default_factory=list)
    _doubts: list[tuple[str, str]] = field(default_factory=list)
    _not_measured: list[str] = field(default_factory=list)

    def wrong(self, what: str, mend: str) -> None:
        """This must not be shown to customers."""
        self._wrong.append((what, mend))

    def doubt(self, what: str, mend: str) -> None:
        """This may be meant; somebody should look."""
        self._doubts.append((what, mend))

    def not_measured(self, what: str) -> None:
        """This could not be told, which is not bad."""
        self._not_measured.append(what)

    def verdict(self, good: str) -> Verdict:
        """All of it together; `good` is said when nothing speaks against it."""
        numbers = {name: round(value, 4) for name, value in self.numbers.items()}
        left_open = tuple(self._not_measured)
        for outcome, said in ((Outcome.FAILED, self._wrong), (Outcome.DOUBTFUL, self._doubts)):
            if said:
                why = " ".join(f"{what[0].upper()}{what[1:]}." for what, _ in said)
                mend = " ".join(dict.fromkeys(f"{how[0].upper()}{how[1:]}." for _, how in said))
                return Verdict(outcome, why, mend, numbers, left_open)
        return Verdict(Outcome.PASSED, good, "", numbers, left_open)


def is_refused(kept: Mapping[str, Any] | None) -> bool:
    """Whether a kept verdict says that this must not be exported.

    Nothing kept, as while checks are off, refuses nothing; a verdict by older rules stands until
    it is measured again.
    """
    return kept is not None and kept.get("outcome") == Outcome.FAILED.value


def unmeasured(why: str) -> Verdict:
    """Nothing could be told."""
    return Verdict(Outcome.UNMEASURED, f"Could not measure: {why}.", not_measured=(why,))
