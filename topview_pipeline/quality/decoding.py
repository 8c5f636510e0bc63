"""Reading a video as cheaply as that goes: every packet, the sound, and as many frames as needed.

Decoding all of a 1080p video takes 3 ms of CPU a frame, most of it spent on frames that no other
one needs. So only frames that others are made from are decoded, without the last polish, up to a
number of pixels; after that only key frames, which cost little and are spread to the end.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from topview_pipeline.probes import Media, opened_video, reading

if TYPE_CHECKING:
    from av.container import InputContainer

MOST_PIXELS: Final = 110_000_000
"""Decoded before only key frames are, in 0.2 s of CPU: four seconds of 1080p, nine of 720p."""
SAMPLE_SECONDS: Final = 0.4
"""Between two frames that are looked at."""
MOST_SAMPLES: Final = 32
_SAMPLE_WIDTH: Final = 64
_FAST: Final = {"skip_loop_filter": "all"}
_SOUND_RATE: Final = 4000
"""Hertz: what is over half of it carries little of a voice's loudness."""
_FULL_SCALE: Final = 32768.0


@dataclass
class Heard:
    """The loudness of a sound track, as it adds up."""

    samples: int = 0
    squares: float = 0.0
    seconds: float = 0.0

    def add(self, data: bytes) -> None:
        """Signed 16 bit values, in this machine's order."""
        values = array("h", data)
        self.samples += len(values)
        self.squares += sum(value * value for value in values)
        self.seconds = self.samples / _SOUND_RATE

    @property
    def decibels(self) -> float:
        """Mean loudness against full scale: 0 is the loudest there is, digital silence -120."""
        if not self.samples or not self.squares:
            return -120.0
        return max(20 * math.log10(math.sqrt(self.squares / self.samples) / _FULL_SCALE), -120.0)


@dataclass(frozen=True)
class Watched:
    """What was read of a video.

    Attributes:
        said: the file's own texts.
        seconds: the length that the header tells; 0 when it tells none.
        last_second: where the last picture that is really there ends.
        pictures: how many are there.
        pictures_said: how many the header counts; 0 when it does not.
        decoded: how many were decoded.
        frames: samples, small and grey, in order.
        sound: None without a sound track.
    """

    said: dict[str, str]
    width: int
    height: int
    seconds: float
    last_second: float
    pictures: int
    pictures_said: int
    decoded: int
    frames: tuple[Image.Image, ...]
    sound: Heard | None


@dataclass
class _Samples:
    """Frames picked at a distance in time from each other."""

    taken: list[Image.Image] = field(default_factory=list)
    _next: float = 0.0

    def offer(self, frame: Any) -> None:
        second = frame.time or 0.0
        if second >= self._next and len(self.taken) < MOST_SAMPLES:
            self._next = second + SAMPLE_SECONDS
            self.taken.append(_grey(frame))


def watch(media: Media) -> Watched:
    """Read a video to its end.

    Raises:
        MediaProbeError: it is none, or what was tried of it cannot be decoded.
    """
    with opened_video(media) as container, reading(media):
        return _watched(container)


def _watched(container: InputContainer) -> Watched:
    from av.audio.resampler import AudioResampler
    from av.audio.stream import AudioStream
    from av.video.stream import VideoStream

    video = container.streams.video[0]
    sound = container.streams.audio[0] if container.streams.audio else None
    context = video.codec_context
    context.options = dict(_FAST)
    context.skip_frame = "NONREF"
    voice = AudioResampler("s16", "mono", _SOUND_RATE)
    heard = None if sound is None else Heard()
    samples = _Samples()
    pictures = decoded = 0
    last_second = 0.0
    size = context.width * context.height
    for packet in container.demux([one for one in (video, sound) if one is not None]):
        if isinstance(packet.stream, AudioStream):
            for part in packet.stream.decode(packet):
                _listen(heard, voice.resample(part))
            continue
        if packet.size and packet.pts is not None and isinstance(packet.stream, VideoStream):
            pictures += 1
            end = packet.pts + (packet.duration or 0)
            last_second = max(last_second, float(end * packet.time_base))
        for frame in packet.decode():
            decoded += 1
            samples.offer(frame)
            if decoded * size > MOST_PIXELS:
                context.skip_frame = "NONKEY"
    if heard is not None:
        _listen(heard, voice.resample(None))
    return Watched(
        said={str(name): str(text) for name, text in container.metadata.items()},
        width=context.width,
        height=context.height,
        seconds=(container.duration or 0) / 1_000_000,  # FFmpeg counts microseconds
        last_second=last_second,
        pictures=pictures,
        pictures_said=video.frames,
        decoded=decoded,
        frames=tuple(samples.taken),
        sound=heard,
    )


def _listen(heard: Heard | None, parts: Iterable[Any]) -> None:
    for part in parts:
        if heard is not None:
            # The plane may be longer than what is in it.
            heard.add(bytes(part.planes[0])[: part.samples * 2])


def _grey(frame: Any) -> Image.Image:
    height = max(round(frame.height * _SAMPLE_WIDTH / frame.width), 2)
    small = frame.reformat(width=_SAMPLE_WIDTH, height=height, format="gray")
    plane = small.planes[0]
    size = (small.width, small.height)
    return Image.frombuffer("L", size, bytes(plane), "raw", "L", plane.line_size, 1)
