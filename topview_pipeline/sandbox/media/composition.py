"""A cut-out put into a template: image_replace's work, and the place where the product goes.

A quad is four points in pixels of the template, in the order top left, top right, bottom right,
bottom left.
"""

import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import cv2
import numpy as np
import numpy.typing as npt

from .engine import MediaError, Scene, SceneInputs
from .faces import Face, find_face, replace_face
from .pictures import Pixels, Plane, decode, on_white, png, to_lab, with_alpha

Quad = npt.NDArray[np.float64]

_COVERED = 0.35
"""Share of a face behind the product from which it is no face any more."""

_CLOSEST = 0.72
"""Share of the template's frame that a further scene shows at least."""

_WORKING_WIDTH = 270
_SKIN_REACH = 11.0
"""CIE76, colour counted more than lightness: the most that a hand differs from the face."""

_TALLEST, _WIDEST = 3.3, 2.75
"""Of a product in two hands, in distances between the person's eyes."""

_WORDS = {
    "tiny": 0.65, "small": 0.8, "smaller": 0.8, "little": 0.8,
    "big": 1.2, "bigger": 1.2, "large": 1.2, "larger": 1.2, "huge": 1.4,
}  # fmt: skip
"""Words of an image edit prompt for the product's size, and the scale that each means."""


def make_scenes(given: SceneInputs) -> list[Scene]:
    """`MediaEngine.scenes`. A face is ignored if the template shows none."""
    product = with_alpha(decode(given.cutout, "The product image"))
    if not bool((product[..., 3] > 0).any()):
        raise MediaError("The product image without background is transparent everywhere.")
    person = on_white(decode(given.template, "The template image"))
    found = find_face(person)
    if given.face is not None:
        portrait = on_white(decode(given.face, "The face image"))
        person = replace_face(person, found, portrait) if found else person
    return [_scene(given, product, person, found, index) for index in range(given.count)]


def _scene(
    given: SceneInputs, product: Pixels, person: Pixels, face: Face | None, index: int
) -> Scene:
    seed = f"{given.seed}:{given.prompt}:{index}"
    rows, columns = person.shape[:2]
    take = _Take.drawn(random.Random(seed), is_first=index == 0)  # noqa: S311 -- variety
    if given.location is not None:
        quad = _quad_at(given.location, (columns, rows))
    else:
        ratio = product.shape[1] / product.shape[0]
        quad = _offered_quad(person, face, ratio, given.prompt, take)
    layer = _warped(product, quad, (columns, rows))
    picture = _laid_over(person, layer, take)
    if index > 0:
        picture = _closer(picture, layer, face)
    return Scene(png(picture), face is not None and _face_share(face, layer) < _COVERED)


@dataclass(frozen=True)
class _Take:
    """Difference of one scene from the others: in the product's place, and in the light.

    The product is turned by `degrees` and moved `aside` by eye distances; its shadow falls `cast`
    of its size to the right; `gains` are those of red, green and blue.
    """

    scale: float
    degrees: float
    aside: float
    cast: float
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @classmethod
    def drawn(cls, draw: random.Random, *, is_first: bool) -> "_Take":
        """The first shows the template's light and frame."""
        scale, cast = draw.uniform(0.94, 1.06), draw.choice((-1, 1)) * draw.uniform(0.01, 0.03)
        if is_first:
            return cls(scale, draw.uniform(-1.2, 1.2), 0.0, cast)
        scale *= draw.choice((0.9, 1.1))
        degrees = draw.choice((-1, 1)) * draw.uniform(2, 5)
        gain, warmth = draw.choice((0.93, 1.06)), draw.choice((-1, 1)) * draw.uniform(0.015, 0.03)
        gains = (gain * (1 + warmth), gain, gain * (1 - warmth))
        return cls(scale, degrees, draw.uniform(-0.25, 0.25), cast, gains)


def _closer(picture: Pixels, layer: Plane, face: Face | None) -> Pixels:
    """The picture framed closer on product and face, which stay whole, at the same size."""
    rows, columns = picture.shape[:2]
    ys, xs = np.nonzero(layer[..., 3])
    if ys.size == 0:
        return picture
    left, right, top, bottom = (float(v) for v in (xs.min(), xs.max(), ys.min(), ys.max()))
    if face is not None:
        left, right = min(left, face.x - 2 * face.eyes), max(right, face.x + 2 * face.eyes)
        # Under the product there may be hands.
        top, bottom = min(top, face.y - 2 * face.eyes), max(bottom + face.eyes, face.chin)
    wanted = max((right - left) / columns, (bottom - top) / rows) + 0.06
    share = min(1.0, max(_CLOSEST, wanted))
    width, height = share * columns, share * rows
    x0 = min(max(0.0, (left + right - width) / 2), columns - width)
    y0 = min(max(0.0, (top + bottom - height) / 2), rows - height)
    scale = 1 / share
    move = np.array([[scale, 0, -x0 * scale], [0, scale, -y0 * scale]], np.float32)
    return np.asarray(
        cv2.warpAffine(picture, move, (columns, rows), flags=cv2.INTER_CUBIC), np.uint8
    )


def _warped(product: Pixels, quad: Quad, size: tuple[int, int]) -> Plane:
    """The cut-out in perspective on an empty picture of `size`: premultiplied RGBA, 0..1.

    It is first shrunk to about the quad's size and then drawn at twice the resolution, so that
    neither fine print nor edges alias.
    """
    premultiplied = product.astype(np.float32) / 255
    premultiplied[..., :3] *= premultiplied[..., 3:]
    top, right, bottom, left = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    wide = min(product.shape[1], max(2, round(2 * max(top, bottom))))
    high = min(product.shape[0], max(2, round(2 * max(left, right))))
    source = cv2.resize(premultiplied, (wide, high), interpolation=cv2.INTER_AREA)
    layer = np.zeros((size[1], size[0], 4), np.float32)
    x0, y0 = np.maximum(np.floor(quad.min(axis=0)).astype(int) - 1, 0)
    x1, y1 = np.minimum(np.ceil(quad.max(axis=0)).astype(int) + 1, size)
    if x1 <= x0 or y1 <= y0:
        raise MediaError("location lies outside the template.")
    corners = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float32) - 0.5
    target = ((quad - (x0, y0)) * 2 - 0.5).astype(np.float32)
    move = cv2.getPerspectiveTransform(corners, target)
    fine = cv2.warpPerspective(
        source, move, (int(x1 - x0) * 2, int(y1 - y0) * 2), flags=cv2.INTER_LINEAR
    )
    layer[y0:y1, x0:x1] = cv2.resize(
        fine, (int(x1 - x0), int(y1 - y0)), interpolation=cv2.INTER_AREA
    )
    return layer


def _laid_over(person: Pixels, layer: Plane, take: _Take) -> Pixels:
    """Template, shadow and product, in the light of the take."""
    alpha = layer[..., 3]
    ys, xs = np.flatnonzero(alpha.max(axis=1) > 0), np.flatnonzero(alpha.max(axis=0) > 0)
    picture = np.asarray(person / np.float32(255), np.float32)
    if ys.size and xs.size:
        extent = float(max(ys[-1] - ys[0], xs[-1] - xs[0]) + 1)
        shade = _shadow(alpha, extent, take.cast)[..., None]
        picture = picture * (1 - shade) * (1 - alpha[..., None]) + layer[..., :3]
    return np.asarray(np.rint(np.clip(picture * np.array(take.gains), 0, 1) * 255), np.uint8)


def _shadow(alpha: Plane, extent: float, aside: float) -> Plane:
    """The share of light that the product takes: a wide soft shadow and a narrow dark one."""

    def fallen(right: float, down: float, blur: float) -> Plane:
        move = np.array([[1, 0, right * extent], [0, 1, down * extent]], np.float32)
        moved = cv2.warpAffine(alpha, move, alpha.shape[::-1])
        return np.asarray(cv2.GaussianBlur(moved, (0, 0), max(0.8, blur * extent)), np.float32)

    return 0.3 * fallen(aside, 0.03, 0.04) + 0.4 * fallen(0.0, 0.012, 0.012)


def _face_share(face: Face, layer: Plane) -> float:
    """The share of the face that the product hides."""
    return float(layer[..., 3][face.oval(layer.shape[0], layer.shape[1]) > 0].mean())


def _quad_at(location: Sequence[Sequence[float]], size: tuple[int, int]) -> Quad:
    """The request's `location` in pixels of a template of `size` (width, height).

    Raises:
        MediaError: they do not span a convex quadrilateral.
    """
    quad = np.array(location, np.float64) * np.array(size)
    sides = np.roll(quad, -1, axis=0) - quad
    after = np.roll(sides, -1, axis=0)
    turns = sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0]
    if not (bool((turns > 4).all()) or bool((turns < -4).all())):
        raise MediaError(
            "location must be the corners of a convex shape, in the order "
            "top left, top right, bottom right, bottom left."
        )
    return np.asarray(quad, np.float64)


def _offered_quad(
    template: Pixels, face: Face | None, ratio: float, prompt: str, take: _Take
) -> Quad:
    """A place for a product of width to height `ratio`, standing where the hands are.

    Without hands it stands where they would be under the face, without a face a little under the
    middle of the picture.
    """
    rows, columns = template.shape[:2]
    eyes = face.eyes if face else 0.118 * min(columns, rows * 0.6)
    x, base = _stand(template, face)
    height = min(_TALLEST * eyes, _WIDEST * eyes / ratio)
    if face:
        # The product may hide a collar, never the chin.
        height = min(height, max(1.5 * eyes, base - face.chin - 0.4 * eyes))
    height *= take.scale * _wanted_scale(prompt)
    width = height * ratio
    shrink = min(1.0, 0.96 * columns / width, 0.9 * base / height)
    width, height = width * shrink, height * shrink
    corners = np.array([[-0.5, -1], [0.5, -1], [0.5, 0], [-0.5, 0]]) * (width, height)
    angle = math.radians(take.degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    foot = np.array([x + take.aside * eyes, base])
    return np.asarray(corners @ turn + foot, np.float64)


def _wanted_scale(prompt: str) -> float:
    """The size that the prompt's words ask for; 1 if they ask for none."""
    found = [_WORDS[word] for word in re.findall(r"[a-z]+", prompt.lower()) if word in _WORDS]
    return found[0] if found else 1.0


def _stand(template: Pixels, face: Face | None) -> tuple[float, float]:
    """The point on which the product stands."""
    rows, columns = template.shape[:2]
    if face is None:
        return columns * 0.5, rows * 0.74
    hands = _hands(template, face)
    if len(hands) == 0:
        return face.x, min(rows * 0.86, face.y + 5.4 * face.eyes)
    if len(hands) == 1:
        # One open hand: on the palm.
        return float(hands[0, 0]), float(hands[0, 1])
    return float(hands[:, 0].mean()), float(hands[:, 1].mean()) + 0.15 * face.eyes


def _hands(template: Pixels, face: Face) -> npt.NDArray[np.float64]:
    """Middles of the hands that hold one thing, or of the largest part in the face's colour.

    Such hands are alike in size, equally high, and at both sides of the face.
    """
    scale = _WORKING_WIDTH / template.shape[1]
    size = (_WORKING_WIDTH, max(8, round(template.shape[0] * scale)))
    lab = to_lab(np.asarray(cv2.resize(template, size, interpolation=cv2.INTER_AREA), np.uint8))
    away = np.linalg.norm((lab - np.array(face.skin)) * (0.4, 1.5, 1.5), axis=-1)
    skin = (away < _SKIN_REACH).astype(np.uint8)
    skin[: round((face.chin + 1.6 * face.eyes) * scale)] = 0
    reach = 3.2 * face.eyes * scale
    across = np.abs(np.arange(size[0]) - face.x * scale)
    skin[:, across > reach] = 0
    skin = np.asarray(cv2.morphologyEx(skin, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.uint8)
    eyes = face.eyes * scale
    count, _, stats, centres = cv2.connectedComponentsWithStats(skin)
    found = [
        np.array([*centres[part], stats[part, cv2.CC_STAT_AREA]])
        for part in range(1, count)
        if 0.12 * eyes**2 < stats[part, cv2.CC_STAT_AREA] < 4.5 * eyes**2
        and max(stats[part, cv2.CC_STAT_WIDTH], stats[part, cv2.CC_STAT_HEIGHT]) < 3 * eyes
    ]
    found.sort(key=lambda hand: -float(hand[2]))
    for left, right in permutations(found, 2):
        across = left[0] < face.x * scale < right[0]
        middle = abs((left[0] + right[0]) / 2 - face.x * scale)
        is_level = max(middle, abs(left[1] - right[1])) < 1.2 * eyes
        if across and is_level and 0.25 < left[2] / right[2] < 4:
            return np.asarray(np.array([left[:2], right[:2]]) / scale, np.float64)
    return np.array([hand[:2] / scale for hand in found[:1]]).reshape(-1, 2)
