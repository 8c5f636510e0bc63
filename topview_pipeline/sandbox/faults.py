"""Faults by name and probability, and the dice that throw them. What they do is in interference.py.

Each throw belongs to a subject, usually a piece of work and how often it was tried, so a seed gives
the same faults whatever the order and timing of requests.
"""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from .draws import unit

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
        "garbage": "any call answers HTML; half of such submits were accepted",
    }
)


def check_probabilities(probabilities: Mapping[str, float]) -> None:
    """Raise ValueError for a name that is no fault or a number that is no probability."""
    for name, probability in probabilities.items():
        if name not in FAULTS:
            raise ValueError(f"no fault is called {name!r}; there are {', '.join(FAULTS)}")
        if not 0.0 <= probability <= 1.0:
            raise ValueError(f"fault {name}: probability {probability} is not between 0 and 1")


class Faults:
    """The current probabilities, and how often each fault has struck."""

    def __init__(self, probabilities: Mapping[str, float], seed: int) -> None:
        self._seed = seed
        self._probabilities: dict[str, float] = {}
        self._throws: Counter[tuple[str, str]] = Counter()
        self.struck: Counter[str] = Counter()
        self.set(probabilities)

    @property
    def probabilities(self) -> dict[str, float]:
        """The faults that are on."""
        return dict(self._probabilities)

    @property
    def active(self) -> bool:
        """Whether any fault is on."""
        return bool(self._probabilities)

    def set(self, probabilities: Mapping[str, float]) -> None:
        """Replace all probabilities; a fault that is left out is off."""
        check_probabilities(probabilities)
        self._probabilities = {name: float(p) for name, p in probabilities.items() if p > 0}

    def strikes(self, name: str, subject: str) -> bool:
        """Throw for this fault and the next try of this subject."""
        if name not in self._probabilities:
            return False
        self._throws[name, subject] += 1
        return self._hit(name, subject, self._throws[name, subject])

    def dooms(self, name: str, subject: str) -> bool:
        """Throw once and for all for this subject: the answer never changes."""
        return name in self._probabilities and self._hit(name, subject, 0)

    def side(self, name: str, subject: str) -> bool:
        """A fair coin for a fault that has two forms, of the subject's current try."""
        return unit(self._seed, "side", name, subject, self._throws[name, subject]) < 0.5

    def _hit(self, name: str, subject: str, nth: int) -> bool:
        hit = unit(self._seed, name, subject, nth) < self._probabilities[name]
        if hit:
            self.struck[name] += 1
        return hit
