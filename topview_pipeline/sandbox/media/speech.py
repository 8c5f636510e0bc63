"""The words of a script, their times, which captions and voice follow, and the sound of a clip.

The sound is an audio file, decoded, or a voice that murmurs the script: a sandbox has no speech
model. The murmur has the syllables, vowels and pauses of the words, but no language: it says that
there is sound, where each word is, and if it fits the captions.
"""

import random
import re
import unicodedata
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TypeAlias

import av
import numpy as np
import numpy.typing as npt

from .engine import MediaError

_WORDS_PER_SECOND = 2.5
_FASTEST = 4.0
"""Words per second that a listener still follows; a script that needs more is cut."""

_LEAD, _TAIL = 0.15, 0.35
"""Seconds of quiet before and after the script."""

_SHORTEST = 2.0
"""Seconds of the shortest clip."""

# Scripts without spaces between words.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_UNSPACED}][^\w\s]*|[^\s{_UNSPACED}]+")

_BREAK = re.compile(r"""<break\s+time\s*=\s*["'](\d+(?:\.\d+)?)(m?s)["']\s*/?>""", re.IGNORECASE)
"""A pause as Topview writes it: `<break time="1.0s"/>`."""
_LONGEST_BREAK = 10.0

_VOWELS = re.compile(r"[aeiouyæœøаеёиоуыэюяαεηιουω]+", re.IGNORECASE)
_PAUSES = dict.fromkeys(".!?…。！？", 1.1) | dict.fromkeys(";:", 0.7) | dict.fromkeys(",，、", 0.5)


@dataclass(frozen=True)
class Word:
    """A word and the seconds in which it is spoken.

    `spaced`: a space separates it from the word before. `vowels`: one per syllable. `quiet`:
    seconds of silence before it, which the script asks for.
    """

    text: str
    spaced: bool
    vowels: str
    quiet: float = 0.0
    start: float = 0.0
    end: float = 0.0

    @property
    def ends_phrase(self) -> bool:
        """True if the voice pauses after it."""
        return self.text[-1] in _PAUSES

    @property
    def ends_sentence(self) -> bool:
        """True if a sentence is over."""
        return _PAUSES.get(self.text[-1], 0.0) > 1.0


def words_of(text: str) -> list[Word]:
    """The words of a script, not timed yet. Emoji and control characters are left out."""
    words: list[Word] = []
    quiet, at = 0.0, 0
    for pause in [*_BREAK.finditer(text), None]:
        some = _spoken(text[at : pause.start() if pause else len(text)])
        if some:
            words += [replace(some[0], quiet=quiet), *some[1:]]
            quiet = 0.0
        if pause:
            seconds = float(pause[1]) / (1000.0 if pause[2].lower() == "ms" else 1.0)
            quiet, at = quiet + min(seconds, _LONGEST_BREAK), pause.end()
    return words


def _spoken(text: str) -> list[Word]:
    clean = "".join(" " if _silent(c) else c for c in text)
    return [
        Word(found[0], clean[: found.start()][-1:].isspace(), _vowels(found[0]))
        for found in _TOKEN.finditer(clean)
    ]


def _silent(character: str) -> bool:
    """True if a voice skips it, and a caption font has no picture for it."""
    category = unicodedata.category(character)
    if category in {"So", "Sk"}:
        return character >= "\u2190"  # arrows, symbols, emoji; but not a degree or trade mark sign
    return category[0] == "C" or category in {"Zl", "Zp"} or "\ufe00" <= character <= "\ufe0f"


def _vowels(word: str) -> str:
    plain = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    return "".join(group[0].lower() for group in _VOWELS.findall(plain)) or "a"


def natural_seconds(words: list[Word]) -> float:
    """Seconds that a voice needs for the words."""
    return max(_SHORTEST, sum(map(_weight, words)) / _WORDS_PER_SECOND + _quiet(words))


def _quiet(words: list[Word]) -> float:
    return sum(word.quiet for word in words)


def _weight(word: Word) -> float:
    """The length of a word in words: a character of a script without spaces is half a word."""
    return 0.5 if re.match(rf"[{_UNSPACED}]", word.text) else 1.0


def timed(words: list[Word], seconds: float) -> list[Word]:
    """The words spread over a clip of `seconds`; the end is cut if it does not fit.

    A script that is short for its clip is spoken at the normal pace and followed by quiet.
    """
    room = seconds - _LEAD - _TAIL
    kept = _fitting(words, max(room - _quiet(words), 0.5) * _FASTEST)
    room = max(room - _quiet(kept), 0.5)
    spoken = min(room, sum(map(_weight, kept)) / _WORDS_PER_SECOND)
    effort = [len(w.vowels) + 0.6 + 1.5 * _PAUSES.get(w.text[-1], 0.0) for w in kept]
    unit = spoken / sum(effort) if effort else 0.0
    result, at = [], _LEAD
    for word, share in zip(kept, effort, strict=True):
        at += word.quiet
        voiced = (len(word.vowels) + 0.6) * unit
        result.append(replace(word, start=at, end=at + voiced))
        at += share * unit
    return result


def _fitting(words: list[Word], most: float) -> list[Word]:
    """The words up to `most`, the last one with an ellipsis if others had to go."""
    total = 0.0
    kept: list[Word] = []
    for word in words:
        total += _weight(word)
        if total > most:
            last = kept[-1]
            kept[-1] = replace(last, text=last.text.rstrip(".,;:!?") + "…")
            break
        kept.append(word)
    return kept


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
