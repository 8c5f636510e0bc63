"""FFmpeg's `blackdetect`, `freezedetect` and `silencedetect`, run over a whole video.

Not here: which of their numbers are good (`quality`).
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from topview_pipeline.media.probe import Media, MediaUnreadError, opened_video, seconds_of

if TYPE_CHECKING:
    from av import AudioFrame, VideoFrame
    from av.filter import Graph
    from av.packet import Packet
    from av.video.stream import VideoStream

STILL_SECONDS: Final = 1.0  # a picture that stands for less is a pause of the person
STILL_NOISE: Final = 0.00007
"""Mean change of a pixel, of full scale, up to which a picture stands still. Measured: of eight
encodings of a still picture one never stood still at 0.00004; at 0.00008 moving lips did."""
_BLACK: Final = 0.05  # brightness, of full scale, up to which a pixel is black
_LOOKS_A_SECOND: Final = 5
_SIDE: Final = 64
"""Pixels of the shorter side at which pictures are compared: averages, in which noise is gone."""
_LONGEST_SECONDS: Final = 3600.0
"""Topview makes up to 120 s. A broken time of years would be filled with a picture that stands."""
_SILENCE: Final = "-60dB"  # below this peak, a voice is not heard over a quiet room
_PAUSE_SECONDS: Final = 0.25  # shorter silence is a breath between two sentences

Span = tuple[float, float]
"""Begin and end in seconds."""


@dataclass(frozen=True)
class Watched:
    """The findings in a video."""

    texts: dict[str, str]  # the file's own, by name
    width: int
    height: int
    header_seconds: float  # the length that the header says; 0 when it says none
    seconds: float  # the length of the pictures that are there
    is_cut_off: bool  # the file ends inside a packet
    frames: int  # that a player shows; an edit list may leave some out
    frames_decoded: int  # fewer, as frames that no other one needs are skipped
    black_seconds: float
    still_seconds: float  # in which one picture stands, black not counted
    sound_seconds: float | None  # None without a sound track
    heard_seconds: float  # in which it is louder than silence


def watch(media: Media) -> Watched:
    """Read a video to its end: some 3 s of CPU for two minutes of 1080p.

    Raises MediaError, of its kinds MediaUnreadError also if the machine's FFmpeg lacks a filter.
    """
    with opened_video(media) as container:
        video = container.streams.video[0]
        sound = container.streams.audio[0] if container.streams.audio else None
        tick = float(video.time_base or 0)
        eyes, ears = _VideoReader(video, tick), _SoundReader()
        is_cut_off = False
        for packet in container.demux([stream for stream in (video, sound) if stream is not None]):
            is_cut_off = is_cut_off or packet.is_corrupt
            if packet.stream.type == "audio":
                ears.listen(packet)
            elif packet.size and packet.pts is not None:
                eyes.look(packet)
        black, still = eyes.close()
        return Watched(
            texts=dict(container.metadata),
            width=video.codec_context.width,
            height=video.codec_context.height,
            header_seconds=(video.duration or 0) * tick or seconds_of(container),
            seconds=(eyes.end - (eyes.begin or 0)) * tick,
            is_cut_off=is_cut_off,
            frames=eyes.frames,
            frames_decoded=eyes.decoded,
            black_seconds=_length(black),
            still_seconds=_length(still) - _overlap(black, still),
            sound_seconds=None if sound is None else ears.seconds,
            heard_seconds=max(ears.seconds - _length(ears.silent()), 0.0),
        )


class _VideoReader:
    """Decodes a video and shows it to the detectors.

    Attributes:
        begin, end: Of what a player shows, in ticks of the video's time base (`tick`).
    """

    def __init__(self, video: VideoStream, tick: float) -> None:
        self._tick = tick
        self._context = video.codec_context
        self._context.options = {"skip_loop_filter": "all"}
        self._context.skip_frame = "NONREF"
        width, height = self._context.width, self._context.height
        self._last: VideoFrame | None = None
        self.begin: int | None = None
        self.end = self.frames = self.decoded = 0
        shrink = max(min(width, height) // _SIDE, 1)
        self._detectors = _Detectors(
            ("fps", str(_LOOKS_A_SECOND)),
            ("scale", f"{max(width // shrink, 1)}:{max(height // shrink, 1)}:flags=area"),
            ("format", "gray"),
            ("blackdetect", f"d=0:pix_th={_BLACK}"),
            ("freezedetect", f"n={STILL_NOISE}:d={STILL_SECONDS}"),
        )

    def look(self, packet: Packet[Any]) -> None:
        """Take the next packet of pictures."""
        begin = packet.pts or 0
        end = begin + (packet.duration or 0)
        if end * self._tick > _LONGEST_SECONDS:
            raise ValueError(f"a picture at {end * self._tick:.0f} s")
        if not packet.is_discard:
            self.frames += 1
            self.begin = begin if self.begin is None else min(self.begin, begin)
            self.end = max(self.end, end)
        self._show(self._context.decode(packet))

    def close(self) -> tuple[list[Span], list[Span]]:
        """The spans in which the video is black, and in which it stands still."""
        self._show(self._context.decode(None))
        if self._last is None:
            return [], []
        self._last.pts = self.end  # its picture stands until then
        self._detectors.push(self._last)
        black, still = "lavfi.black", "lavfi.freezedetect.freeze"
        end = self.end * self._tick
        return self._detectors.spans(black, end), self._detectors.spans(still, end)

    def _show(self, frames: Sequence[VideoFrame]) -> None:
        self.decoded += len(frames)
        for frame in frames:
            if frame.pts is not None:
                self._detectors.push(frame)
                self._last = frame


class _SoundReader:
    """Decodes a sound track and plays it to the detector of silence."""

    def __init__(self) -> None:
        self._begin: float | None = None
        self.seconds = 0.0
        self._detectors = _Detectors(("silencedetect", f"n={_SILENCE}:d={_PAUSE_SECONDS}"))

    def listen(self, packet: Packet[Any]) -> None:
        """Take the next packet of sound."""
        frames: list[Any] = packet.decode()
        for frame in frames:
            self._begin = (frame.time or 0.0) if self._begin is None else self._begin
            self.seconds += frame.samples / frame.sample_rate
            self._detectors.push(frame)

    def silent(self) -> list[Span]:
        """The spans in which nothing is heard."""
        end = (self._begin or 0.0) + self.seconds
        return self._detectors.spans("lavfi.silence", end)


class _Detectors:
    """A chain of FFmpeg filters, and the seconds that they found.

    They write these on frames, where PyAV before 18.1 cannot read them: FFmpeg's own `metadata`
    filter prints them into a file.
    """

    def __init__(self, *filters: tuple[str, str]) -> None:
        self._filters = filters
        self._printed = tempfile.NamedTemporaryFile()  # noqa: SIM115 - closed with this object
        self._graph: Graph | None = None

    def push(self, frame: AudioFrame | VideoFrame) -> None:
        """Take the next frame."""
        if self._graph is None:
            try:
                self._graph = self._built(frame)
            except Exception as error:  # PyAV raises no common class of a filter that is missing
                raise MediaUnreadError(f"cannot be checked here ({error})", "FFmpeg") from error
        self._graph.push(frame)
        with contextlib.suppress(BlockingIOError, EOFError):
            while True:
                self._graph.pull()

    def spans(self, mark: str, end: float) -> list[Span]:
        """The spans that a filter found; one that has not ended ends at `end`."""
        printed = Path(self._printed.name).read_text()
        begins, ends = (
            [float(one) for one in re.findall(rf"^{re.escape(mark)}_{edge}=(.+)$", printed, re.M)]
            for edge in ("start", "end")
        )
        return list(zip(begins, [*ends, end], strict=False))

    def _built(self, frame: Any) -> Graph:
        from av import AudioFrame
        from av.filter import Graph

        graph, a = Graph(), ""
        if isinstance(frame, AudioFrame):
            a = "a"  # FFmpeg's prefix of filters for sound
            source = graph.add_abuffer(
                sample_rate=frame.sample_rate,
                format=frame.format.name,
                layout=frame.layout.name,
                time_base=frame.time_base,
            )
        else:
            source = graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=frame.time_base,
            )
        printer = graph.add(f"{a}metadata", mode="print", file=self._printed.name, direct="1")
        chain = [graph.add(*one) for one in self._filters]
        graph.link_nodes(source, *chain, printer, graph.add(f"{a}buffersink"))
        graph.configure()
        return graph


def _length(spans: Iterable[Span]) -> float:
    return sum(end - begin for begin, end in spans)


def _overlap(some: Iterable[Span], others: Sequence[Span]) -> float:
    """The time that is in both."""
    return sum(
        max(min(one[1], other[1]) - max(one[0], other[0]), 0.0) for one in some for other in others
    )
