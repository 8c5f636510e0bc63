"""The words of a script and their times. Captions and voice both follow these times."""

import re
import unicodedata
from dataclasses import dataclass, replace

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
