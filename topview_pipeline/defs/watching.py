"""What the catalogue_sensor remembers between ticks, and when it looks again. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

LOOK_AGAIN_SECONDS: Final = 600.0
"""A photo may change while the catalogue does not, and not every source has a version."""
MOST_OBSERVATIONS: Final = 500
"""In one tick: Dagster stores an event in 17 ms, and other sensors wait meanwhile."""


@dataclass(frozen=True)
class Memory:
    """The last look at the catalogue, kept in the cursor.

    Attributes:
        version: of the source; None when it has none.
        at: when, in seconds since the epoch.
        is_more: something was left over for the next tick, be it a whole look.
        place: where that goes on. Not every file's hash can be remembered: from the start, ticks
            that are too short for all files would never come to the last.
        trouble: why it was not obeyed.
    """

    version: str | None
    at: float
    is_more: bool
    place: int = 0
    trouble: str | None = None

    def interrupted(self, trouble: str) -> Memory:
        """The memory after a look that failed before it knew the version: the next looks again."""
        return replace(self, is_more=True, place=self.place if self.is_more else 0, trouble=trouble)

    @classmethod
    def from_cursor(cls, cursor: str | None) -> Memory | None:
        """The memory in a cursor; None when there is none that can be read."""
        try:
            values = json.loads(cursor or "")
            version = values["version"]
            return cls(
                None if version is None else str(version),
                float(values["at"]),
                bool(values["is_more"]),
                int(values.get("place", 0)),
                values.get("trouble"),
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            return None

    def to_cursor(self) -> str:
        """As it is kept."""
        return json.dumps(asdict(self))

    def place_in(self, version: str | None) -> int:
        """Where a look at this version goes on."""
        return self.place if self.is_more and version == self.version else 0

    def is_enough(self, version: str | None, *, now: float) -> bool:
        """Whether nothing can have changed since, as far as one sees without reading.

        Args:
            version: of the source now.
            now: seconds since the epoch; a clock that was set back ends the wait.
        """
        return (
            not self.is_more
            and version == self.version
            and 0.0 <= now - self.at < LOOK_AGAIN_SECONDS
        )


def portion(
    changed: Sequence[tuple[str, str, str]],
) -> tuple[Sequence[tuple[str, str, str]], bool]:
    """What one tick observes, and whether something is left for the next."""
    return changed[:MOST_OBSERVATIONS], len(changed) > MOST_OBSERVATIONS
