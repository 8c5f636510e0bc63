"""The sound of a clip: an audio file, decoded, or a voice that murmurs a script.

A sandbox has no speech model. The murmur has the syllables, vowels and pauses of the words, but no
language: it says that there is sound, where each word is, and if it fits the captions.
"""

import random
from io import BytesIO
from typing import TypeAlias

import av
import numpy as np
import numpy.typing as npt

from .engine import MediaError
from .script import Word

RATE = 44_100

Stereo: TypeAlias = npt.NDArray[np.float32]
"""Two rows, -1..1, at `RATE`."""

_HARMONICS = 20
_RESONANCES = {
    "a": (750.0, 1250.0),
    "e": (480.0, 1850.0),
    "i": (310.0, 2200.0),
    "o": (480.0, 900.0),
    "u": (330.0, 800.0),
    "y": (320.0, 1800.0),
}
"""Of the throat in Hz, by vowel."""
_NEUTRAL = (500.0, 1450.0)
_LOUDNESS = 0.13
"""Root mean square of a syllable."""
_HUM = 0.004
"""Of a tone beneath: a room is never silent."""


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
    draw = random.Random(f"voice:{seed}")  # noqa: S311 -- variety, not secrecy
    base = draw.choice((112.0, 124.0, 188.0, 204.0))
    times = np.arange(round(seconds * RATE)) / RATE
    voice = _HUM * np.sin(2 * np.pi * base * times)
    for word in words:
        length = (word.end - word.start) / len(word.vowels)
        for index, vowel in enumerate(word.vowels):
            start = word.start + index * length
            span = slice(round(start * RATE), round((start + length) * RATE))
            pitch = base * (1.1 - 0.04 * index + draw.uniform(-0.04, 0.04))
            voice[span] += _syllable(pitch, vowel, times[span] - start)
    return np.stack([voice, voice]).astype(np.float32)


def _syllable(pitch: float, vowel: str, times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Harmonics of the pitch, each as strong as the vowel's resonances make it; it swells."""
    resonances = _RESONANCES.get(vowel, _NEUTRAL)
    tone = np.zeros(len(times))
    power = 0.0
    for harmonic in range(1, _HARMONICS + 1):
        away = [(harmonic * pitch - one) / 130 for one in resonances]
        strength = (0.06 + sum(1 / (1 + one**2) for one in away)) / harmonic
        tone += strength * np.sin(2 * np.pi * harmonic * pitch * times)
        power += strength**2 / 2
    swell = np.sin(np.linspace(0, np.pi, len(times))) ** 0.6
    return np.asarray(tone * swell * (_LOUDNESS / np.sqrt(power)))
