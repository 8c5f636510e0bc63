"""Faults by name and probability, and the seeded draws that decide when one strikes.

Each draw belongs to a subject, usually a piece of work and the number of the try, so a seed gives
the same faults whatever the order and timing of requests. calls.py turns faults into answers.
"""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from topview_pipeline.sandbox.draws import unit
from topview_pipeline.sandbox.kinds import Kind

FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "drop_submit": "a submit is accepted and the connection closed without an answer",
        "busy": "a submit is refused with code 5003 or 4007; nothing is created",
        "http429": "any call answers HTTP 429 with Retry-After; nothing is created",
        "err500": "any call answers HTTP 500 or code 5000; half of such submits were accepted",
        "slow_query": "a query is answered late",
        "fail": "an accepted task ends in `fail`",
        "moderation": "a submit is refused with code 6001, each time for the same content",
        "unknown_status": "a query answers with a status word of no document",
        "nourl": "the first successful answers of a task carry no URLs",
        "cut_download": "a download ends before its Content-Length",
        "notfound_grace": "a task answers 4004 for a while after it was accepted",
        "empty_cutout": "nothing is visible in a cut-out",
        "no_product": "the first image of a scene is the template without the product",
        "no_face": "no image of a scene has a face",
        "garbage": "any call answers HTML; half of such submits were accepted",
    }
)


RUINS: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {Kind.REMOVE_BACKGROUND: ("empty_cutout",), Kind.IMAGE_REPLACE: ("no_product", "no_face")}
)
"""The faults of finished pictures. A task that is done again may come out well."""


def check_probabilities(probabilities: Mapping[str, float]) -> None:
    """Raise ValueError for a name that is no fault or a number that is no probability."""
    for name, probability in probabilities.items():
        if name not in FAULTS:
            raise ValueError(f"no fault is called {name!r}; there are {', '.join(FAULTS)}")
        if not 0.0 <= probability <= 1.0:
            raise ValueError(f"fault {name}: probability {probability} is not between 0 and 1")


class Faults:
    """The current probabilities, and the number of times that each fault has struck."""

    def __init__(self, probabilities: Mapping[str, float], seed: int) -> None:
        self._seed = seed
        self.probabilities: dict[str, float] = {}
        self._tries: Counter[tuple[str, str]] = Counter()
        self.struck: Counter[str] = Counter()
        self.set(probabilities)

    def set(self, probabilities: Mapping[str, float]) -> None:
        """Replace all probabilities; a fault that is left out is off."""
        check_probabilities(probabilities)
        self.probabilities = {name: float(p) for name, p in probabilities.items() if p > 0}

    def strikes(self, name: str, subject: str) -> bool:
        """Draw for this fault and the next try of this subject."""
        if name not in self.probabilities:
            return False
        self._tries[name, subject] += 1
        return self._hits(name, subject, self._tries[name, subject])

    def strikes_always(self, name: str, subject: str) -> bool:
        """Draw once for all tries of this subject: the answer never changes."""
        return name in self.probabilities and self._hits(name, subject, 0)

    def coin(self, name: str, subject: str) -> bool:
        """A fair coin for a fault that has two forms, for the subject's current try."""
        return unit(self._seed, "side", name, subject, self._tries[name, subject]) < 0.5

    def _hits(self, name: str, subject: str, nth: int) -> bool:
        hit = unit(self._seed, name, subject, nth) < self.probabilities[name]
        if hit:
            self.struck[name] += 1
        return hit
