"""Which frames of a video are decoded, and which of those are kept as samples.

Decoding takes 1 ns of CPU a pixel, and a quarter of that where nothing moves. What costs too much
is decoded up to an allowance for each group of frames, which begins with a key frame: so the whole
length is looked at and not only its beginning, and what stands still is seen for longer than what
moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from topview_pipeline.quality.picture import Sample
from topview_pipeline.quality.structure import is_filled, unit_length_size

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext

MOST_PIXELS: Final = 800_000_000
"""Decoded of frames that change much, in 0.8 s of CPU: 16 s of 1080p where each frame is needed by
another one, 28 s where every other is."""
MOST_QUIET_PIXELS: Final = 1_200_000_000
"""Decoded of frames that change next to nothing, in half as much CPU."""
LEAST_SAMPLE_SECONDS: Final = 0.2
MOST_SAMPLES: Final = 64
"""Spread over the length of a video; each place where decoding breaks off adds one."""
_QUIET: Final = 1 / 2000
"""Bytes a pixel below which a frame changes next to nothing."""
_HOLD_SECONDS: Final = 0.5
"""From a frame to the next: for so long its picture stands, and there is nothing to sample."""
_SIDE: Final = 64
"""Pixels of a sample's shorter side, or up to half as many again."""
_GREY_FIRST: Final = ("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "nv12", "gray")
"""Formats whose first plane is a grey picture of 8 bits."""


class HoleError(ValueError):
    """A packet that is not decoded does not hold what it says."""


class Samples:
    """Frames picked at a distance in time from each other."""

    def __init__(self, seconds: float) -> None:
        """Of a video of that length."""
        self.taken: list[Sample] = []
        self.decoded = 0
        self._step = max(seconds / MOST_SAMPLES, LEAST_SAMPLE_SECONDS)
        self._last: Any = None

    def offer(self, frame: Any) -> None:
        """The next frame that was decoded."""
        self.decoded += 1
        now = frame.time or 0.0
        if self.taken and self.taken[-1].is_followed and now - self._second > _HOLD_SECONDS:
            self.taken.append(Sample(now, _grey(self._last)))
            self._take(frame)
        elif not self.taken or now >= self.taken[-1].second + self._step:
            self._take(frame)
        self._last = frame

    def break_off(self) -> None:
        """What comes next is not decoded."""
        if self._last is None:
            return
        if self._second > self.taken[-1].second:
            self._take(self._last)
        self.taken[-1] = Sample(self.taken[-1].second, self.taken[-1].image, is_followed=False)

    @property
    def _second(self) -> float:
        """Of the last frame."""
        return self._last.time or 0.0

    def _take(self, frame: Any) -> None:
        self.taken.append(Sample(frame.time or 0.0, _grey(frame)))


def sampled(context: VideoCodecContext, packets: Sequence[Packet[Any]]) -> Samples:
    """Decode as much as is allowed, and prove of the rest that its bytes are there.

    Args:
        packets: all of a video's, in the order of decoding.

    Raises:
        HoleError: a packet's bytes were lost.
    """
    end = max(map(second_after, packets), default=0.0)
    groups = list(_groups(packets))
    begins = [second_of(group[0]) for group in groups]
    length = end - begins[0] if groups else 0.0
    samples = Samples(length)
    allowance = _Allowance(context.width * context.height)
    unit_length = unit_length_size(context.name, context.extradata)
    for group, until in zip(groups, [*begins[1:], end], strict=True):
        allowance.grow((until - begins[0]) / length if length > 0 else 1.0)
        count = 0
        for packet in group:
            if not allowance.covers(packet):
                break
            count += 1
            for frame in context.decode(packet):
                allowance.spend(packet)
                samples.offer(frame)
        if count < len(group):
            _drain(context, samples)
            context.flush_buffers()
            samples.break_off()
            if unit_length is not None:
                _prove(group[count:], unit_length)
    _drain(context, samples)
    return samples


def second_of(packet: Packet[Any]) -> float:
    """When the picture of a packet comes."""
    return float((packet.pts or 0) * packet.time_base) if packet.time_base else 0.0


def second_after(packet: Packet[Any]) -> float:
    """When the picture of a packet ends."""
    ticks = (packet.pts or 0) + (packet.duration or 0)
    return float(ticks * packet.time_base) if packet.time_base else 0.0


class _Allowance:
    """How many pixels may be decoded, which grows with the time that was looked at."""

    def __init__(self, pixels: int) -> None:
        """Of frames of that size."""
        self._pixels = pixels
        self._left = [0.0, 0.0]
        self._share = 0.0

    def grow(self, share: float) -> None:
        """Up to that share of the video's time."""
        for index, most in enumerate((MOST_PIXELS, MOST_QUIET_PIXELS)):
            self._left[index] += most * (share - self._share)
        self._share = share

    def covers(self, packet: Packet[Any]) -> bool:
        return self._left[self._is_quiet(packet)] >= 0

    def spend(self, packet: Packet[Any]) -> None:
        self._left[self._is_quiet(packet)] -= self._pixels

    def _is_quiet(self, packet: Packet[Any]) -> bool:
        return packet.size < self._pixels * _QUIET


def _groups(packets: Sequence[Packet[Any]]) -> Iterator[list[Packet[Any]]]:
    """Packets from a key frame to the next."""
    group: list[Packet[Any]] = []
    for packet in packets:
        if packet.is_keyframe and group:
            yield group
            group = []
        group.append(packet)
    if group:
        yield group


def _drain(context: VideoCodecContext, samples: Samples) -> None:
    """Frames that the decoder holds back, as later ones may be shown before them."""
    for frame in context.decode(None):
        samples.offer(frame)


def _prove(packets: Sequence[Packet[Any]], unit_length: int) -> None:
    for packet in packets:
        if not is_filled(bytes(packet), unit_length):
            raise HoleError(f"a hole at {second_of(packet):.1f} s")


def _grey(frame: Any) -> Image.Image:
    """A frame as a small grey picture; averaged over whole pixels, as noise is then gone."""
    grey = frame if frame.format.name in _GREY_FIRST else frame.reformat(format="gray")
    plane = grey.planes[0]
    size = (frame.width, frame.height)
    image = Image.frombuffer("L", size, plane, "raw", "L", plane.line_size, 1)
    return image.reduce(max(min(size) // _SIDE, 1))
