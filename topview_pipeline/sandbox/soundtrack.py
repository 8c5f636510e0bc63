"""What is heard in a clip: an audio file, decoded, or a murmured script."""

from io import BytesIO

import av
import numpy as np
import numpy.typing as npt

from .media import MediaError
from .script import Word
from .speech import murmur

RATE = 44_100

Stereo = npt.NDArray[np.float32]
"""Two rows, -1..1, at `RATE`."""


def decoded(audio: bytes, longest: float) -> Stereo:
    """An audio file in any format that FFmpeg knows, at most `longest` seconds of it.

    Raises:
        MediaError: it has no sound or cannot be decoded.
    """
    pieces: list[Stereo] = []
    known = 0
    try:
        with av.open(BytesIO(audio), "r") as container:
            if not container.streams.audio:
                raise MediaError("The audio file contains no sound.")
            resampler = av.AudioResampler(format="fltp", layout="stereo", rate=RATE)
            for frame in container.decode(container.streams.audio[0]):
                for part in resampler.resample(frame):
                    pieces.append(np.asarray(part.to_ndarray(), np.float32))
                    known += part.samples
                if known >= longest * RATE:
                    break
            else:
                pieces += [
                    np.asarray(part.to_ndarray(), np.float32) for part in resampler.resample(None)
                ]
    except (av.FFmpegError, ValueError) as error:
        raise MediaError("The audio file cannot be decoded.") from error
    if not pieces or not any(piece.shape[1] for piece in pieces):
        raise MediaError("The audio file contains no sound.")
    return np.concatenate(pieces, axis=1)[:, : round(longest * RATE)]


def fitted(sound: Stereo, seconds: float) -> Stereo:
    """Cut with a short fade, or followed by silence, to exactly `seconds`."""
    samples = round(seconds * RATE)
    if sound.shape[1] <= samples:
        return np.pad(sound, ((0, 0), (0, samples - sound.shape[1])))
    cut = sound[:, :samples].copy()
    fade = min(samples, RATE // 12)
    cut[:, samples - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return cut


def spoken(words: list[Word], seconds: float, seed: int) -> Stereo:
    """The script as murmur, in the middle between both ears."""
    voice = murmur(words, seconds, seed, RATE)
    return np.stack([voice, voice])
