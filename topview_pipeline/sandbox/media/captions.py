"""The script as captions: phrases, wrapped, on a rounded box, ready to blend into a frame.

The letters are OpenCV's own: its wheel carries a bold sans serif for Latin, Greek and Cyrillic and
a second font for Chinese and Japanese, so captions look the same on every machine.
"""

from dataclasses import dataclass
from hashlib import sha256

import cv2
import numpy as np

from .pictures import Pixels, Plane
from .speech import Word

_MOST_LETTERS = 34
"""In a phrase: two short lines, which are read at a glance."""

_FEWEST_WORDS = 3
"""A comma ends a phrase only after so many words."""

_LINE_WIDTH = 0.8
"""Of the frame's width."""

_LETTER_SIZE = 0.062
"""Of the frame's shorter side."""

_MIDDLE = 0.91
"""Of the frame's height: below the product, above the controls of a player."""

_WEIGHT = 700


@dataclass(frozen=True)
class _Style:
    box: tuple[int, int, int]
    opacity: float
    letters: tuple[int, int, int]


_STYLES = (
    _Style((18, 18, 22), 0.72, (255, 255, 255)),
    _Style((255, 255, 255), 0.90, (24, 24, 30)),
    _Style((18, 18, 22), 0.72, (255, 214, 74)),
    _Style((38, 64, 160), 0.86, (255, 255, 255)),
)


@dataclass(frozen=True)
class Caption:
    """A phrase as a picture: RGBA with even size, its even top left corner, its seconds."""

    rgba: Pixels
    left: int
    top: int
    start: float
    end: float


def captions_for(words: list[Word], caption_id: str, size: tuple[int, int]) -> list[Caption]:
    """Captions for a frame of `size` (width, height), in the style that belongs to the id.

    Each stays until the next one comes, the last a little longer than it is spoken.
    """
    style = _STYLES[sha256(caption_id.encode()).digest()[0] % len(_STYLES)]
    phrases = _phrases(words)
    following = [*(phrase[0].start for phrase in phrases[1:]), float("inf")]
    return [
        _drawn(phrase, style, size, min(after, phrase[-1].end + 0.9))
        for phrase, after in zip(phrases, following, strict=False)
    ]


def _phrases(words: list[Word]) -> list[list[Word]]:
    """Groups of words that are read together: a clause, or equal parts of one that is too long."""
    clauses: list[list[Word]] = [[]]
    for word in words:
        clauses[-1].append(word)
        if word.ends_sentence or (word.ends_phrase and len(clauses[-1]) >= _FEWEST_WORDS):
            clauses.append([])
    return [part for clause in clauses if clause for part in _even_parts(clause)]


def _even_parts(clause: list[Word]) -> list[list[Word]]:
    count = -(-len(_joined(clause)) // _MOST_LETTERS)
    length = len(_joined(clause)) / count
    parts: list[list[Word]] = [[]]
    for index, word in enumerate(clause):
        middle = len(_joined(clause[: index + 1])) - len(word.text) / 2
        if parts[-1] and middle > length * len(parts):
            parts.append([])
        parts[-1].append(word)
    return parts


def _joined(words: list[Word]) -> str:
    return "".join((" " if word.spaced else "") + word.text for word in words).strip()


def _drawn(phrase: list[Word], style: _Style, size: tuple[int, int], end: float) -> Caption:
    width, height = size
    letter = max(10, round(_LETTER_SIZE * min(width, height)))
    font = cv2.FontFace("sans")
    lines, letter = _wrapped(phrase, font, letter, _LINE_WIDTH * width)
    spacing, pad_x, pad_y = round(1.28 * letter), round(0.6 * letter), round(0.42 * letter)
    widths = [_width(line, font, letter) for line in lines]
    box = (_even(max(widths) + 2 * pad_x), _even(spacing * len(lines) + 2 * pad_y))
    coverage = np.zeros((box[1], box[0], 3), np.uint8)
    for row, (line, line_width) in enumerate(zip(lines, widths, strict=True)):
        at = ((box[0] - line_width) // 2, pad_y + row * spacing + round(0.98 * letter))
        cv2.putText(coverage, line, at, (255, 255, 255), font, letter, _WEIGHT)
    ink = coverage[..., :1].astype(np.float32) / 255
    ground = _rounded(box, round(0.45 * letter))[..., None] * style.opacity
    alpha = ink + ground * (1 - ink)
    colour = (
        np.array(style.letters) * ink + np.array(style.box) * ground * (1 - ink)
    ) / np.maximum(alpha, 1e-6)
    rgba = np.rint(np.concatenate([colour, alpha * 255], axis=-1)).astype(np.uint8)
    left = (width - box[0]) // 2 // 2 * 2
    top = max(0, round(_MIDDLE * height - box[1] / 2) // 2 * 2)
    return Caption(rgba, left, top, phrase[0].start, end)


def _wrapped(
    phrase: list[Word], font: cv2.FontFace, letter: int, most: float
) -> tuple[list[str], int]:
    """One line or two even ones; the letters shrink only for a word longer than a line."""
    splits = [[_joined(phrase)]]
    if _width(splits[0][0], font, letter) > most:
        splits += [[_joined(phrase[:cut]), _joined(phrase[cut:])] for cut in range(1, len(phrase))]
    lines = min(splits, key=lambda lines: max(_width(line, font, letter) for line in lines))
    while letter > 1 and max(_width(line, font, letter) for line in lines) > most:
        letter -= 1
    return lines, letter


def _width(line: str, font: cv2.FontFace, letter: int) -> int:
    _, _, width, _ = cv2.getTextSize((0, 0), line, (0, 0), font, letter, _WEIGHT)
    return int(width)


def _even(length: int) -> int:
    return length + length % 2


def _rounded(box: tuple[int, int], radius: int) -> Plane:
    """Coverage of a rectangle with round corners, by the distance to its inner rectangle."""
    y, x = np.mgrid[0 : box[1], 0 : box[0]].astype(np.float32) + 0.5
    out_x = np.maximum(np.abs(x - box[0] / 2) - (box[0] / 2 - radius), 0)
    out_y = np.maximum(np.abs(y - box[1] / 2) - (box[1] / 2 - radius), 0)
    return np.asarray(np.clip(radius - np.hypot(out_x, out_y) + 0.5, 0, 1), np.float32)
