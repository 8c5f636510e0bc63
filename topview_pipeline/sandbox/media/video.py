"""A scene becomes a clip: camera move, captions and sound, encoded as H.264 and AAC in an MP4."""

import random
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import av
import cv2
import numpy as np

from topview_pipeline.sandbox.kinds import MODES

from .captions import Caption, captions_for
from .engine import MediaError, Video, VideoInputs
from .pictures import Pixels, decode, jpeg, on_white
from .speech import RATE, Stereo, decoded, fitted, natural_seconds, spoken, timed, words_of

_FPS = 24

_FADE_FRAMES = 3
"""Frames in which a caption appears; it gives way to the next at once."""

_LONGEST_ASPECT = 3.0
"""A longer still is cut in the middle: no player shows a ribbon, and few decode one."""

_X264: Mapping[str, str] = MappingProxyType(
    {"preset": "veryfast", "crf": "26", "x264-params": "mbtree=0"}
)
"""Without its macroblock tree, which reads memory that nobody wrote (measured with glibc's
MALLOC_PERTURB_): with it a long-lived process encoded the same frames to other bytes. 26 gives
about the size without it that 23 gave with it."""

_BT601, _BT709, _LIMITED_RANGE = 6, 1, 1
"""FFmpeg's numbers of what OpenCV converts to. Without them, players guess by the size."""

_MARGIN = 1.14
"""Size of the still in relation to the frame; a little over the strongest zoom, to stay sharp."""

_NEAR, _FAR = 1.12, 1.025


def make_video(given: VideoInputs) -> Video:
    """`MediaEngine.video`: captions show `text`; `audio` is heard, or a murmur of the text.

    Raises:
        MediaError: the scene is no image, the audio cannot be decoded, or there is neither text
            nor audio.
    """
    text, mode = given.text or "", MODES[given.mode]
    if given.audio is None and not text.strip():
        raise MediaError("There is neither a script nor an audio file to speak.")
    still = on_white(decode(given.scene, "The scene"))
    words = words_of(text)
    longest = mode.longest_seconds
    heard = None if given.audio is None else decoded(given.audio, longest)
    natural = natural_seconds(words) if heard is None else heard.shape[1] / RATE
    wanted = longest if mode.fixed else min(natural, longest)
    count = max(1, round(wanted * _FPS))
    seconds = count / _FPS

    script = timed(words, seconds)
    sound = spoken(script, seconds, given.seed) if heard is None else fitted(heard, seconds)
    size = _frame_size(still, mode.short_side)
    camera = _Camera(still, size, given.seed)
    frames = _frames(camera, captions_for(script, given.caption_id, size), count)
    return Video(_encoded(frames, size, sound), jpeg(camera.frame(0.0)), seconds)


def _frame_size(still: Pixels, short_side: int) -> tuple[int, int]:
    """Width and height in the still's proportions, up to 1:3; 4:2:0 needs them even."""
    rows, columns = still.shape[:2]
    aspect = min(max(rows, columns) / min(rows, columns), _LONGEST_ASPECT)
    long_side = round(short_side * aspect / 2) * 2
    return (long_side, short_side) if columns > rows else (short_side, long_side)


class _Camera:
    """Looks at a still through a frame of `size` (width, height), nearer or farther over time.

    It moves in or out, around the middle so that neither head nor product leaves the frame, eased
    so that neither start nor end jerks. Whole-pixel positions would tremble; these are fractions.
    """

    def __init__(self, still: Pixels, size: tuple[int, int], seed: int) -> None:
        draw = random.Random(f"camera:{seed}")  # noqa: S311 -- variety, not secrecy
        self._size = size
        self._still = _covering(still, size)
        self._inwards = draw.random() < 0.7
        self._target = np.array([draw.uniform(0.42, 0.58), draw.uniform(0.46, 0.6)])

    def frame(self, progress: float) -> Pixels:
        """The picture at a point between 0, the start, and 1, the end."""
        eased = 0.5 * progress + 0.5 * progress**2 * (3 - 2 * progress)
        zoom = _FAR * (_NEAR / _FAR) ** (eased if self._inwards else 1 - eased)
        whole = np.array([self._still.shape[1], self._still.shape[0]], np.float64)
        frame = np.array(self._size, np.float64)
        step = whole / frame / zoom
        centre = whole * (0.5 + (self._target - 0.5) * (zoom - 1))
        corner = centre - step * frame / 2 + step / 2 - 0.5
        view = np.array([[step[0], 0, corner[0]], [0, step[1], corner[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(self._still, view, self._size, flags=flags), np.uint8)


def _covering(still: Pixels, size: tuple[int, int]) -> Pixels:
    """The middle of a still in the frame's proportions, a little larger than the frame."""
    rows, columns = still.shape[:2]
    ratio = size[0] / size[1]
    wide, high = min(columns, round(rows * ratio)), min(rows, round(columns / ratio))
    left, top = (columns - wide) // 2, (rows - high) // 2
    part = still[top : top + high, left : left + wide]
    target = (round(size[0] * _MARGIN), round(size[1] * _MARGIN))
    method = cv2.INTER_AREA if target[0] < wide else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, target, interpolation=method), np.uint8)


def _frames(camera: _Camera, captions: list[Caption], count: int) -> Iterator[Pixels]:
    for index in range(count):
        frame = camera.frame(index / max(1, count - 1))
        second = index / _FPS
        for caption in captions:
            if caption.start <= second < caption.end:
                shown_frames = 1 + (second - caption.start) * _FPS
                _write(frame, caption, min(1.0, shown_frames / _FADE_FRAMES))
        yield frame


def _write(frame: Pixels, caption: Caption, opacity: float) -> None:
    """Blend a caption into the frame, higher up where it would stick out at the foot."""
    rows, columns = caption.rgba.shape[:2]
    top = min(caption.top, len(frame) - rows)
    box = frame[top : top + rows, caption.left : caption.left + columns]
    cover = caption.rgba[..., 3:] * np.float32(opacity / 255)
    box[...] = np.rint(box * (1 - cover) + caption.rgba[..., :3] * cover)


def _encoded(frames: Iterable[Pixels], size: tuple[int, int], sound: Stereo) -> bytes:
    """The MP4, its index first so that a browser can start before the file is whole."""
    with tempfile.TemporaryDirectory() as folder:
        # A file, because FFmpeg opens it a second time to move the index.
        path = Path(folder) / "clip.mp4"
        with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
            _fill(container, frames, size, sound)
        return path.read_bytes()


def _fill(
    container: av.container.OutputContainer,
    frames: Iterable[Pixels],
    size: tuple[int, int],
    sound: Stereo,
) -> None:
    """Picture and sound in turns, so that neither waits in memory for the other."""
    video = container.add_stream("libx264", rate=_FPS, options=dict(_X264))
    video.width, video.height, video.pix_fmt = *size, "yuv420p"
    context = video.codec_context
    context.thread_count = 1  # the same bytes on any number of cores
    context.colorspace, context.color_primaries, context.color_trc = _BT601, _BT709, _BT709
    context.color_range = _LIMITED_RANGE
    voice = container.add_stream("aac", rate=RATE, layout="stereo")

    for index, frame in enumerate(frames):
        # OpenCV converts several times as fast as FFmpeg's scaler.
        planes = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420), np.uint8)
        picture = av.VideoFrame.from_ndarray(planes, format="yuv420p")
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
