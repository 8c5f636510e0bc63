"""The price list of TOPVIEW_PRICES, the estimate of a task's credits, and what a mode can speak.

Topview publishes no prices of these endpoints. Not here: credits that were charged (`ledger`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

FIXED_SECONDS: Final[Mapping[str, float]] = {"lite": 5.0, "pro": 10.0}
"""The length of these modes, whatever is said (docs: pa2_image2video_submit_task); the others are
as long as the speech."""
LONGEST_SECONDS: Final[Mapping[str, float]] = {
    **FIXED_SECONDS,
    "avatar2": 28.0,
    "avatar4": 120.0,
    "avatar4Fast": 120.0,
}
"""The longest speech by mode, smallest first (same page)."""
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "image_replace": ("auto", "manual"),
    "image2video": tuple(LONGEST_SECONDS),
}
"""Kinds of task that cost something, with their modes."""
_KIND_OF: Final = {"replacedimages": "image_replace", "finishedvideo": "image2video"}
"""Kinds by the asset that they make, in small letters."""
_ENTRY: Final = re.compile(
    r"(?P<kind>\w+)\s*(/\s*(?P<mode>\w+)\s*)?=\s*(?P<credits>\d{1,9}(\.\d{1,9})?)"
    r"(?P<a_second>\s*/\s*s)?",
    re.ASCII,
)
_HOW_TO_WRITE: Final = (
    "Write kind=credits or kind/mode=credits, with /s for each second of speech, and commas "
    "between: image_replace/manual=2, image2video/lite=0.5. Kinds, with their modes: "
    + "; ".join(f"{kind} ({', '.join(modes)})" for kind, modes in KINDS.items())
    + "."
)


@dataclass(frozen=True)
class Price:
    """Credits of one task, or of each started second of its video; `source` says who says so."""

    credits: float
    a_second: bool
    source: str


@dataclass(frozen=True)
class PriceList:
    """Prices by kind of task, or kind/mode."""

    prices: Mapping[str, Price]

    @classmethod
    def parse(cls, text: str, source: str, *, over: Mapping[str, Price] | None = None) -> PriceList:
        """Read `image_replace=1, image2video/avatar2=0.4/s`; the asset's key serves as kind, too.

        A ValueError's arguments are what is wrong, and how to fix it.

        Args:
            over: Prices that go on where the text says nothing else. A price for a kind takes the
                place of those for all of its modes.
        """
        given = {}
        for entry in filter(None, (part.strip() for part in text.split(","))):
            match = _ENTRY.fullmatch(entry)
            if match is None:
                raise ValueError(f"{entry!r} cannot be read as a price", _HOW_TO_WRITE)
            name = _name(entry, match["kind"].lower(), match["mode"])
            given[name] = Price(float(match["credits"]), match["a_second"] is not None, source)
        kept = {
            name: price
            for name, price in (over or {}).items()
            if name.partition("/")[0] not in given
        }
        return cls(kept | given)

    def __str__(self) -> str:
        """Text that `parse` reads as the same prices."""
        return ", ".join(
            f"{name}={price.credits:g}{'/s' if price.a_second else ''}"
            for name, price in self.prices.items()
        )

    def find(self, kind: str, mode: str | None) -> Price | None:
        """Return the price of the kind's mode, else of the kind."""
        return self.prices.get(f"{kind}/{mode}", self.prices.get(kind))

    def of(self, kind: str, mode: str | None, seconds: float | None) -> float | None:
        """Return the credits of a task; None when the list has no price for it.

        Without `seconds` a price by the second counts the longest speech that the mode takes.
        """
        price = self.find(kind, mode)
        if price is None or not price.a_second:
            return None if price is None else price.credits
        started = _started_seconds(mode, seconds)
        return None if started is None else _rounded(price.credits * started)


@dataclass(frozen=True)
class Probed:
    """The findings of `topview-pipeline probe`: prices, and the seconds of a task by its kind."""

    path: str
    prices: Mapping[str, Price]
    seconds: Mapping[str, float]

    @classmethod
    def read(cls, path: str) -> Probed:
        """Read a contract.json. A ValueError's arguments are what is wrong, and how to fix it."""
        fix = "Name a contract.json that `topview-pipeline probe` wrote."
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
            listed = ", ".join(f"{name}={text}" for name, text in found["prices"].items())
            seconds = {str(key): float(took) for key, took in found["seconds"].items()}
            return cls(path, PriceList.parse(listed, path).prices, seconds)
        except OSError as error:
            raise ValueError(f"{path} cannot be read ({error.strerror})", fix) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is no contract ({type(error).__name__})", fix) from None


def _name(entry: str, kind: str, mode: str | None) -> str:
    """Return the name of a price, in the spelling of KINDS."""
    kind = _KIND_OF.get(kind, kind)
    if kind not in KINDS:
        raise ValueError(f"{entry!r} names no kind of task that costs something", _HOW_TO_WRITE)
    if mode is None:
        return kind
    known = next((one for one in KINDS[kind] if one.lower() == mode.lower()), None)
    if known is None:
        raise ValueError(f"{entry!r} names no mode of {kind}", _HOW_TO_WRITE)
    return f"{kind}/{known}"


def _started_seconds(mode: str | None, seconds: float | None) -> float | None:
    """Return the seconds of a video that are paid; None when they are unknown."""
    longest = LONGEST_SECONDS.get(mode or "")
    if seconds is None or mode in FIXED_SECONDS:
        return longest
    return min(math.ceil(seconds), longest or math.inf)


def _rounded(amount: float) -> float:
    return round(amount, 6)  # 0.06 times 15 is a bit more than 0.9, and seconds are rounded up


@dataclass(frozen=True)
class CostSeen:
    """The highest credits of a task, and of a started second of its speech, of one mode.

    Attributes:
        average: credits of a task; `average_a_second` of a started second of its speech.
    """

    a_task: float | None = None
    a_second: float | None = None
    average: float | None = None
    average_a_second: float | None = None

    def of(self, mode: str | None, seconds: float | None) -> float | None:
        """The credits for so many seconds of speech; where they do not count, for a whole task."""
        return _booked(self.a_task, self.a_second, mode, seconds)

    def average_of(self, mode: str | None, seconds: float | None) -> float | None:
        """The same by the averages."""
        return _booked(self.average, self.average_a_second, mode, seconds)

    def and_of(self, credits: float, seconds: float | None) -> CostSeen:  # noqa: A002
        """The same with one more task; the averages stay."""
        a_second = credits / math.ceil(seconds) if seconds else 0.0
        return replace(
            self,
            a_task=max(self.a_task or 0.0, credits),
            a_second=max(self.a_second or 0.0, a_second) or None,
        )


def _booked(
    a_task: float | None, a_second: float | None, mode: str | None, seconds: float | None
) -> float | None:
    started = _started_seconds(mode, seconds)
    if seconds is None or mode in FIXED_SECONDS or a_second is None or started is None:
        return a_task
    return _rounded(a_second * started)


@dataclass(frozen=True)
class Estimate:
    """The most that a task may cost, as far as is known; `credits` is None when nothing is.

    `likely` is what it will probably cost: plans add it up, limits count `credits`.
    """

    credits: float | None
    source: str
    likely: float | None = None


def estimate(
    kind: str,
    mode: str | None,
    seconds: float | None,
    *,
    free: bool,
    seen: CostSeen,
    prices: PriceList,
    usual: float | None = None,
) -> Estimate:
    """Estimate a task: free, else the most that such tasks cost so far, else the price list.

    Where speech counts it is at least what the list says: the seconds of a script are an estimate
    too, and one that was short for its text must not make the others cheap.

    Args:
        seconds: Length of the speech; None when unknown or when there is none.
        usual: The same at the usual pace; None: there is only one.
    """
    if free:
        return Estimate(0.0, "it is free", 0.0)
    price, listed = prices.find(kind, mode), prices.of(kind, mode, seconds)
    # 0 says nothing of what is paid: Topview also answers it before it has booked.
    likely = seen.average_of(mode, seconds) or None
    if likely is None:
        likely = prices.of(kind, mode, seconds if usual is None else usual)
    cost = seen.of(mode, seconds) or None
    is_by_speech = seconds is not None and mode not in FIXED_SECONDS
    if cost is not None and (listed is None or cost >= listed or not is_by_speech):
        likely = cost if likely is None else likely
        return Estimate(cost, "the most that such tasks cost so far", likely)
    if price is not None and listed is not None:
        return Estimate(listed, price.source, likely)
    name, in_mode = (kind, "") if mode is None else (f"{kind}/{mode}", f" in mode {mode}")
    unknown = f"nothing says what {kind}{in_mode} costs"
    return Estimate(None, f"{unknown}: add it to TOPVIEW_PRICES, for example {name}=0.5")


# Speech.

_LETTERS_A_SECOND: Final = 14.4
_WORDS_A_SECOND: Final = 2.5
_IDEOGRAPHS_A_SECOND: Final = 4.8
"""The usual pace: 150 English words a minute."""
_SLOW: Final = 1.2
"""Times as long takes a slow voice, so that an estimate is rather too high."""
_SHORTEST_SPEECH: Final = 2.0
"""Seconds: a single word has a pause before and after it."""
_IDEOGRAPH: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_BREAK: Final = re.compile(
    r"""<break\s+time\s*=\s*["'](?P<time>\d{1,6}(\.\d{1,6})?)\s*(?P<unit>m?s)["']\s*/?>(\s*</break>)?""",
    re.ASCII | re.IGNORECASE,
)
_SILENCE_SECONDS: Final = 0.5
"""A recording ends with as much, which a mode of fixed length may cut off."""


def spoken_seconds(script: str, *, slowly: bool = True) -> float:
    """About how long a reader takes for a script; `<break time="1.0s"/>` counts as its seconds."""
    pauses = sum(
        float(one["time"]) / (1000.0 if one["unit"].lower() == "ms" else 1.0)
        for one in _BREAK.finditer(script)
    )
    others, ideographs = _IDEOGRAPH.subn(" ", _BREAK.sub(" ", script).strip())
    letters, words = len(others) - ideographs, len(others.split())
    seconds = max(letters / _LETTERS_A_SECOND, words / _WORDS_A_SECOND)
    seconds += ideographs / _IDEOGRAPHS_A_SECOND
    return _rounded(max(seconds * (_SLOW if slowly else 1.0), _SHORTEST_SPEECH) + pauses)


@dataclass(frozen=True)
class TooLong:
    """Speech that does not fit into a video; `is_refused`: its video is not made."""

    what: str
    fix: str
    is_refused: bool


def too_long(seconds: float, mode: str | None, *, is_recorded: bool) -> TooLong | None:
    """Compare speech with its mode; None: it fits. A script is cut off where the length is fixed.

    Args:
        seconds: Of a recording, or of a script at the usual pace.
    """
    longest = LONGEST_SECONDS.get(mode or "")
    if longest is None:
        return None
    is_fixed = mode in FIXED_SECONDS
    if seconds <= longest + (_SILENCE_SECONDS if is_fixed and is_recorded else 0.0):
        return None
    takes = f"the script takes about {seconds:.0f} s to speak"
    if is_recorded:
        takes = f"the audio lasts {seconds:.1f} s"
    at_most = "" if is_fixed else "at most "
    what = f"{takes}, and a video in mode {mode} lasts {at_most}{longest:g} s"
    if is_fixed and not is_recorded:
        what += ": the end will be cut off"
    is_longest = longest == max(LONGEST_SECONDS.values())
    fix = "Shorten it." if is_longest else "Shorten it, or use mode avatar4 (at most 120 s)."
    return TooLong(what, fix, is_recorded or not is_fixed)
