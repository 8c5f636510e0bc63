"""Reading a video as cheaply as that goes: every packet, the sound, and as many frames as needed.

Frames that no other one needs are left out, and so is the last polish. How many of the others are
decoded is in `sampling`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from topview_pipeline.probes import Media, opened, opened_video, reading, seconds_of
from topview_pipeline.quality.hearing import RATE, Heard
from topview_pipeline.quality.picture import Sample
from topview_pipeline.quality.sampling import sampled, second_after, second_of
from topview_pipeline.quality.structure import is_cut_off

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet

_FAST: Final = {"skip_loop_filter": "all"}


@dataclass(frozen=True)
class Watched:
    """What was read of a video.

    Attributes:
        said: the file's own texts.
        seconds: the length of the pictures that the header tells; 0 when it tells none.
        pictures_seconds: the length of the pictures that are really there.
        is_cut_off: the file ends before what it says is in it.
        pictures: how many are there to be seen: an edit list may leave some out.
        decoded: how many were decoded.
        samples: in order of time.
        last_second: when the last picture ends, on the clock of the samples.
        sound: None without a sound track.
    """

    said: dict[str, str]
    width: int
    height: int
    seconds: float
    pictures_seconds: float
    is_cut_off: bool
    pictures: int
    decoded: int
    samples: tuple[Sample, ...]
    last_second: float
    sound: Heard | None


def watch(media: Media) -> Watched:
    """Read a video to its end.

    Raises:
        MediaProbeError: it is none, or what was tried of it cannot be decoded.
        MediaUnreadError: the machine did not give its bytes.
    """
    with reading(media), opened(media) as file:
        cut_off = is_cut_off(file)
    with opened_video(media) as container:
        return _watched(container, cut_off)


def _watched(container: InputContainer, cut_off: bool) -> Watched:
    video = container.streams.video[0]
    context = video.codec_context
    context.options = dict(_FAST)
    context.skip_frame = "NONREF"
    packets, heard = _read(container)
    samples = sampled(context, packets)
    seen = [packet for packet in packets if not packet.is_discard]
    begin = min(map(second_of, seen), default=0.0)
    end = max(map(second_after, seen), default=0.0)
    told = float(video.duration * video.time_base) if video.duration and video.time_base else 0.0
    return Watched(
        said={str(name): str(text) for name, text in container.metadata.items()},
        width=context.width,
        height=context.height,
        seconds=told or seconds_of(container),
        pictures_seconds=end - begin,
        is_cut_off=cut_off,
        pictures=len(seen),
        decoded=samples.decoded,
        samples=tuple(samples.taken),
        last_second=end,
        sound=heard,
    )


def _read(container: InputContainer) -> tuple[list[Packet[Any]], Heard | None]:
    """The packets of the pictures, in the order of decoding, and what the sound is like."""
    from av.audio.resampler import AudioResampler
    from av.audio.stream import AudioStream

    video = container.streams.video[0]
    sound = container.streams.audio[0] if container.streams.audio else None
    voice = AudioResampler("s16", "mono", RATE)
    heard = None if sound is None else Heard()
    packets: list[Packet[Any]] = []
    for packet in container.demux([one for one in (video, sound) if one is not None]):
        if not isinstance(packet.stream, AudioStream):
            if packet.size and packet.pts is not None:
                packets.append(packet)
        elif heard is not None:
            for part in packet.stream.decode(packet):
                _listen(heard, voice.resample(part))
    if heard is not None:
        _listen(heard, voice.resample(None))
        heard.end()
    return packets, heard


def _listen(heard: Heard, parts: Iterable[Any]) -> None:
    for part in parts:
        # The plane may be longer than what is in it.
        heard.add(bytes(part.planes[0])[: part.samples * 2])
