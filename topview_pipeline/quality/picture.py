"""For how much of its time a video is black, or stands still, told from samples of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from PIL import Image, ImageChops, ImageStat

BLACK: Final = 24
"""A frame whose brightest pixel (0 to 255) is not over this shows nothing."""
STILL_SECONDS: Final = 1.0
"""A picture that stands for less is a pause, as in a slow breath."""
_STILL_SHARE: Final = 0.05
"""Of the time, for the same reason: in two minutes a slow camera needs seconds to be noticed."""
_MOVED: Final = 6
"""Grey values by which a pixel has to change: encoding a still picture anew changes up to 4."""
_LEAST_MOVED: Final = 0.0002
"""Of a sample, or two of its pixels: the lips of a person who is seen whole."""
_DRIFTED: Final = 2
_LEAST_DRIFTED: Final = 0.03
"""Of a sample: a slow camera changes all edges a little; encoding, 2.3 % of the pixels at most."""


@dataclass(frozen=True)
class Sample:
    """What is seen at a moment.

    Attributes:
        image: small and grey.
        is_followed: whether what comes between this and the next sample was decoded.
    """

    second: float
    image: Image.Image
    is_followed: bool = True

    @property
    def is_black(self) -> bool:
        """Whether nothing is to be seen."""
        return int(ImageStat.Stat(self.image).extrema[0][1]) <= BLACK


@dataclass(frozen=True)
class Shown:
    """How the time of a video is spent.

    Attributes:
        seconds: all of it.
        black: seconds in which nothing is to be seen.
        still: seconds in which the same picture stands, black not counted.
        unknown: seconds of which nothing was decoded, with other pictures before and after.
        moved: the largest share of a picture that differs from the sample before it.
    """

    seconds: float
    black: float
    still: float
    unknown: float
    moved: float

    @property
    def known(self) -> float:
        """Seconds of which something can be said."""
        return self.seconds - self.unknown


def shown(samples: Sequence[Sample], end: float) -> Shown:
    """Weigh samples by the time that they stand for.

    Args:
        samples: at least one, in order of time.
        end: when the last of them ends, in seconds.
    """
    pairs = list(pairwise(samples))
    end = max(end, samples[-1].second)
    known_end = end if samples[-1].is_followed else samples[-1].second
    gaps = sum(
        other.second - one.second
        for one, other in pairs
        if not one.is_followed and _differ(one, other)
    )
    return Shown(
        seconds=end - samples[0].second,
        black=sum(_black_seconds(samples, known_end)),
        still=sum(_still_seconds(samples, known_end)),
        unknown=gaps + end - known_end,
        moved=max((_changed(one, other, _MOVED) for one, other in pairs), default=0.0),
    )


def _differ(one: Sample, other: Sample) -> bool:
    return (
        _changed(one, other, _MOVED) >= _LEAST_MOVED
        or _changed(one, other, _DRIFTED) >= _LEAST_DRIFTED
    )


def _changed(one: Sample, other: Sample, by: int) -> float:
    """The share of pixels that differ by more than so many grey values."""
    counts = ImageChops.difference(one.image, other.image).histogram()
    return sum(counts[by + 1 :]) / sum(counts)


def _black_seconds(samples: Sequence[Sample], end: float) -> Iterator[float]:
    """A moment between two samples looks like the nearer one, where frames between were decoded."""
    black = [sample.is_black for sample in samples]
    for index, (one, other) in enumerate(pairwise(samples)):
        count = black[index] + black[index + 1]
        if one.is_followed or count == 2:
            yield (other.second - one.second) * count / 2
    if black[-1]:
        yield end - samples[-1].second


def _still_seconds(samples: Sequence[Sample], end: float) -> Iterator[float]:
    """The length of each stretch in which no sample differs from the stretch's first.

    From its first and not only from the one before: a slow camera moves too little from one sample
    to the next.
    """
    seconds = end - samples[0].second
    least = min(max(STILL_SECONDS, seconds * _STILL_SHARE), seconds / 2)
    first = last = samples[0]
    for sample in samples[1:]:
        if _differ(first, sample):
            if last.second - first.second >= least and not first.is_black:
                yield last.second - first.second
            first = sample
        last = sample
    if end - first.second >= least and not first.is_black:
        yield end - first.second
