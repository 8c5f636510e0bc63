"""The sound of a clip: an audio file, decoded, or a voice that murmurs a script.

A sandbox has no speech model. The murmur has the syllables, vowels and pauses of the words, but no
language: it says that there is sound, where each word is, and if it fits the captions. A source of
harmonics with the pitch of a voice is shaped by the resonances of each syllable's vowel;
consonants are short breaths; a quiet chord lies beneath.
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

_Track: TypeAlias = npt.NDArray[np.float64]
"""A value per step or per sample."""

_RATE = 22_050
"""Samples per second at which the murmur is made."""
_STEP = 220
"""Samples per step of pitch and resonances: about 10 ms."""

_HARMONICS = 26
_FORMANTS = {
    "a": (750.0, 1250.0, 2600.0),
    "e": (480.0, 1850.0, 2550.0),
    "i": (310.0, 2200.0, 2950.0),
    "o": (480.0, 900.0, 2500.0),
    "u": (330.0, 800.0, 2350.0),
    "y": (320.0, 1800.0, 2400.0),
}
_NEUTRAL = (500.0, 1450.0, 2500.0)
_BREATHY = frozenset("sfhzcxtkpß")


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
    voice = _murmur(words, seconds, seed)
    return np.stack([voice, voice])


def _murmur(words: list[Word], seconds: float, seed: int) -> npt.NDArray[np.float32]:
    """The words as murmur of `seconds`: one channel, -1..1, at `RATE`."""
    draw = random.Random(f"voice:{seed}")  # noqa: S311 -- variety, not secrecy
    steps = int(seconds * _RATE / _STEP) + 2
    pitch, loud, formants = _tracks(words, steps, draw)
    samples = round(seconds * _RATE)
    voice = _voiced(pitch, loud, formants, samples) + _breaths(
        words, samples, draw.randrange(2**31)
    )
    voice = _in_a_room(voice)
    level = float(np.sqrt(np.mean(voice[np.abs(voice) > 1e-4] ** 2))) if voice.any() else 1.0
    mixed = np.tanh(voice * (0.13 / max(level, 1e-6))) + _chord(samples, draw)
    at = np.arange(round(seconds * RATE)) * (_RATE / RATE)
    return np.asarray(np.interp(at, np.arange(samples), mixed), np.float32)


def _tracks(words: list[Word], steps: int, draw: random.Random) -> tuple[_Track, _Track, _Track]:
    """Pitch (Hz), loudness and three resonances (Hz), step by step."""
    per_second = _RATE / _STEP
    base = draw.choice((112.0, 124.0, 188.0, 204.0))
    pitch, loud = np.full(steps, base), np.zeros(steps)
    formants = np.tile(np.array(_NEUTRAL), (steps, 1))
    reach = 1.0 if base < 150 else 1.12  # a shorter throat resonates higher
    since_pause = 0.0
    for word in words:
        length = (word.end - word.start) / len(word.vowels)
        for index, vowel in enumerate(word.vowels):
            start = word.start + index * length
            first, last = int(start * per_second), int((start + length) * per_second)
            last = min(max(last, first + 2), steps)
            shape = np.linspace(0, 1, last - first) if last > first else np.empty(0)
            stress = 1.0 if index == 0 else 0.75
            loud[first:last] = stress * np.sin(np.pi * np.clip(shape * 0.93 + 0.05, 0, 1)) ** 0.6
            formants[first:last] = np.array(_FORMANTS.get(vowel, _NEUTRAL)) * reach
            lift = 1.10 - 0.035 * since_pause + draw.uniform(-0.04, 0.04) + 0.05 * stress
            pitch[first:last] = base * max(0.86, lift) * (1 + 0.02 * np.sin(np.pi * shape))
            since_pause += 1
        if word.text.endswith("?"):
            pitch[int(word.start * per_second) : last] *= np.linspace(
                1.0, 1.22, len(pitch[int(word.start * per_second) : last])
            )
        since_pause = 0.0 if word.ends_phrase else since_pause
    track = [_smooth(formants[:, i], 7) for i in range(3)]
    return _smooth(pitch, 9), _smooth(loud, 3), np.stack(track, axis=1)


def _smooth(track: _Track, width: int) -> _Track:
    window = np.hanning(width + 2)[1:-1]
    padded = np.pad(track, width // 2, mode="edge")
    return np.convolve(padded, window / window.sum(), mode="valid")


def _voiced(
    pitch: _Track,
    loud: _Track,
    formants: _Track,
    samples: int,
) -> _Track:
    """Harmonics of the pitch, each as strong as the resonances make it."""
    at = np.arange(samples) / _STEP
    grid = np.arange(len(pitch))
    phase = 2 * np.pi * np.cumsum(np.interp(at, grid, pitch)) / _RATE
    # sin((k+1)p) = 2 cos(p) sin(kp) - sin((k-1)p): one multiplication per harmonic, not one sine.
    twice_cos, before, wave = 2 * np.cos(phase), np.zeros(samples), np.sin(phase)
    result = np.zeros(samples)
    for k in range(1, _HARMONICS + 1):
        strength = _resonance(k * pitch, formants) * loud / k**0.9
        result += wave * np.interp(at, grid, strength)
        before, wave = wave, twice_cos * wave - before
    return result


def _resonance(frequency: _Track, formants: _Track) -> _Track:
    widths, gains = (110.0, 150.0, 220.0), (1.0, 0.55, 0.22)
    peaks = [
        gain / (1 + ((frequency - formants[:, i]) / width) ** 2)
        for i, (width, gain) in enumerate(zip(widths, gains, strict=True))
    ]
    fade = np.clip((5000 - frequency) / 1500, 0, 1)
    return np.asarray((0.06 + np.sum(peaks, axis=0)) * fade)


def _breaths(words: list[Word], samples: int, seed: int) -> _Track:
    """Soft noise where a word begins with a consonant that is mostly air."""
    result = np.zeros(samples)
    noise = np.random.default_rng(seed).standard_normal(1200)
    hiss = np.convolve(np.diff(noise), np.hanning(7) / 3.5, mode="valid")
    for word in words:
        if word.text[0].lower() in _BREATHY:
            start = max(0, int((word.start - 0.02) * _RATE))
            part = hiss[: max(0, min(len(hiss), samples - start))]
            result[start : start + len(part)] += 0.05 * part * np.hanning(len(part) + 2)[1:-1]
    return result


def _in_a_room(voice: _Track) -> _Track:
    """Three early reflections take the dryness away."""
    result = voice.copy()
    for seconds, share in ((0.019, 0.22), (0.031, 0.16), (0.047, 0.11)):
        delay = int(seconds * _RATE)
        if delay < len(voice):
            result[delay:] += share * voice[:-delay]
    return result


def _chord(samples: int, draw: random.Random) -> _Track:
    """A quiet major chord that swells in and out."""
    at = np.arange(samples) / _RATE
    root = draw.choice((130.8, 146.8, 164.8))
    tones = [
        np.sin(2 * np.pi * root * ratio * at) * (0.75 + 0.25 * np.sin(2 * np.pi * beat * at))
        for ratio, beat in ((1.0, 0.11), (1.25, 0.17), (1.5, 0.13), (2.0, 0.07))
    ]
    edge = np.clip(np.minimum(at / 0.6, (samples / _RATE - at) / 0.8), 0, 1)
    return np.asarray(0.006 * np.sum(tones, axis=0) * edge)
