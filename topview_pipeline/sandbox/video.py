"""A scene becomes a clip: camera move, captions and sound, encoded as H.264 and AAC in an MP4.

Here they meet and are encoded. The move is in camera.py, the words in script.py, what is read in
captions.py, what is heard in soundtrack.py.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import av
import cv2
import numpy as np

from .camera import Camera, Frame, to_yuv
from .captions import Caption, captions_for
from .kinds import MAX_AUDIO_SECONDS
from .media import MediaError, Video
from .pictures import Pixels, Plane, decode, jpeg, on_white
from .script import natural_seconds, timed, words_of
from .soundtrack import RATE, Stereo, decoded, fitted, spoken

_FPS = 24

_FADE_FRAMES = 3
"""In which a caption appears; it gives way to the next at once."""

_SHORT_SIDES: Mapping[str, int] = MappingProxyType(
    {"lite": 480, "pro": 720, "avatar2": 1080, "avatar4": 1080, "avatar4Fast": 1080}
)
_FIXED_SECONDS: Mapping[str, float] = MappingProxyType({"lite": 5.0, "pro": 10.0})
"""By mode (docs.topview.ai/reference/pa2_image2video_submit_task); the others follow the speech."""

_LONGEST_ASPECT = 3.0
"""A longer still is cut in the middle: no player shows a ribbon, and few decode one."""

_X264: Mapping[str, str] = MappingProxyType(
    {"preset": "veryfast", "crf": "26", "x264-params": "mbtree=0"}
)
"""Without its macroblock tree, which reads memory that nobody wrote (measured with glibc's
MALLOC_PERTURB_): with it a long-lived process encoded the same frames to other bytes. 26 gives
about the size without it that 23 gave with it."""

_BT709, _LIMITED_RANGE = 1, 1
"""FFmpeg's numbers. Without them, players guess the colours by the size."""


def make_video(
    scene: bytes, mode: str, text: str | None, audio: bytes | None, caption_id: str, seed: int
) -> Video:
    """Animate a scene, as `MediaEngine.video` says; `text` is captioned, `audio` is heard.

    Raises:
        MediaError: the mode is unknown, the scene is no image, the audio cannot be decoded, or
            there is neither text nor audio.
    """
    if mode not in _SHORT_SIDES:
        raise MediaError(f"Unknown mode {mode!r}; the modes are {', '.join(_SHORT_SIDES)}.")
    if audio is None and not (text or "").strip():
        raise MediaError("There is neither a script nor an audio file to speak.")
    still = on_white(decode(scene, "The scene"))
    words = words_of(text or "")
    longest = _FIXED_SECONDS.get(mode) or MAX_AUDIO_SECONDS[mode]
    heard = None if audio is None else decoded(audio, longest)
    natural = natural_seconds(words) if heard is None else heard.shape[1] / RATE
    count = max(1, round(_FIXED_SECONDS.get(mode, min(natural, longest)) * _FPS))
    seconds = count / _FPS

    said = timed(words, seconds)
    sound = spoken(said, seconds, seed) if heard is None else fitted(heard, seconds)
    size = _frame_size(still, _SHORT_SIDES[mode])
    camera = Camera(still, size, seed)
    frames = _frames(camera, captions_for(said, caption_id, size), count)
    return Video(_encoded(frames, size, sound), jpeg(camera.still_frame(0.0)), seconds)


def _frame_size(still: Pixels, short_side: int) -> tuple[int, int]:
    """Width and height in the still's proportions, up to 1:3; 4:2:0 needs them even."""
    rows, columns = still.shape[:2]
    aspect = min(max(rows, columns) / min(rows, columns), _LONGEST_ASPECT)
    long_side = round(short_side * aspect / 2) * 2
    return (long_side, short_side) if columns > rows else (short_side, long_side)


@dataclass(frozen=True)
class _Overlay:
    """A caption as the planes of a frame: `frame * (1 - cover) + paint` in its box."""

    caption: Caption
    cover: tuple[Plane, Plane, Plane]
    paint: tuple[Plane, Plane, Plane]

    def onto(self, frame: Frame, opacity: float) -> None:
        """Blend the caption into the frame, higher up where it would stick out at the foot."""
        for index, plane in enumerate((frame.luma, *frame.chroma)):
            shrink = 2 if index else 1
            rows, columns = self.cover[index].shape
            top = min(self.caption.top // shrink, len(plane) - rows)
            left = self.caption.left // shrink
            box = plane[top : top + rows, left : left + columns]
            box[...] = np.rint(
                box * (1 - self.cover[index] * opacity) + self.paint[index] * opacity
            )


def _overlay(caption: Caption) -> _Overlay:
    alpha: Plane = caption.rgba[..., 3].astype(np.float32) / np.float32(255)
    painted: Plane = to_yuv(caption.rgba[..., :3]) * alpha[..., None]
    paint = (painted[..., 0], _halved(painted[..., 1]), _halved(painted[..., 2]))
    small = _halved(alpha)
    return _Overlay(caption, (alpha, small, small), paint)


def _halved(plane: Plane) -> Plane:
    size = (plane.shape[1] // 2, plane.shape[0] // 2)
    small = cv2.resize(np.ascontiguousarray(plane), size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def _frames(camera: Camera, captions: Iterable[Caption], count: int) -> Iterator[Frame]:
    overlays = [_overlay(caption) for caption in captions]
    for index in range(count):
        frame = camera.frame(index / max(1, count - 1))
        second = index / _FPS
        for overlay in overlays:
            if overlay.caption.start <= second < overlay.caption.end:
                shown_frames = 1 + (second - overlay.caption.start) * _FPS
                overlay.onto(frame, min(1.0, shown_frames / _FADE_FRAMES))
        yield frame


def _encoded(frames: Iterable[Frame], size: tuple[int, int], sound: Stereo) -> bytes:
    """The MP4, its index first so that a browser can start before the file is whole."""
    with tempfile.TemporaryDirectory() as folder:
        # A file, because FFmpeg opens it a second time to move the index.
        path = Path(folder) / "clip.mp4"
        with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
            _fill(container, frames, size, sound)
        return path.read_bytes()


def _fill(
    container: av.container.OutputContainer,
    frames: Iterable[Frame],
    size: tuple[int, int],
    sound: Stereo,
) -> None:
    """Picture and sound in turns, so that neither waits in memory for the other."""
    video = container.add_stream("libx264", rate=_FPS, options=dict(_X264))
    video.width, video.height, video.pix_fmt = *size, "yuv420p"
    context = video.codec_context
    context.thread_count = 1  # the same bytes on any number of cores
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED_RANGE
    voice = container.add_stream("aac", rate=RATE, layout="stereo")

    for index, frame in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(frame.stacked(), format="yuv420p")
        picture.pts, picture.time_base = index, Fraction(1, _FPS)
        container.mux(video.encode(picture))
        start, end = round(index * RATE / _FPS), round((index + 1) * RATE / _FPS)
        part = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(sound[:, start:end]), format="fltp", layout="stereo"
        )
        part.sample_rate, part.pts, part.time_base = RATE, start, Fraction(1, RATE)
        container.mux(voice.encode(part))
    container.mux(video.encode())
    container.mux(voice.encode())
