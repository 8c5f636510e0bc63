"""A cut-out put into a template: image_replace's work, and the place where the product goes.

A quad is four points in pixels of the template, in the order top left, top right, bottom right,
bottom left.
"""

import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .engine import MediaError, Scene
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


def make_scenes(
    *,
    cutout: bytes,
    template: bytes,
    location: Sequence[Sequence[float]] | None,
    prompt: str,
    face: bytes | None,
    count: int,
    seed: int,
) -> list[Scene]:
    """`MediaEngine.scenes`. A face is ignored if the template shows none."""
    product = with_alpha(decode(cutout, "The product image"))
    if not bool((product[..., 3] > 0).any()):
        raise MediaError("The product image without background is transparent everywhere.")
    person = on_white(decode(template, "The template image"))
    found = find_face(person)
    if face is not None:
        portrait = on_white(decode(face, "The face image"))
        person = replace_face(person, found, portrait) if found else person
    return [
        _scene(product, person, found, location, prompt, f"{seed}:{prompt}:{index}", index)
        for index in range(count)
    ]


def _scene(
    product: Pixels,
    person: Pixels,
    face: Face | None,
    location: Sequence[Sequence[float]] | None,
    prompt: str,
    seed: str,
    index: int,
) -> Scene:
    draw = random.Random(seed)  # noqa: S311 -- variety, not secrecy
    rows, columns = person.shape[:2]
    variation = _Variation(
        scale=draw.uniform(0.94, 1.06) * (1.0 if index == 0 else draw.choice((0.9, 1.1))),
        degrees=draw.uniform(-1.2, 1.2)
        if index == 0
        else draw.choice((-1, 1)) * draw.uniform(2, 5),
        aside=0.0 if index == 0 else draw.uniform(-0.25, 0.25),
    )
    if location is not None:
        quad = _quad_at(location, (columns, rows))
    else:
        ratio = product.shape[1] / product.shape[0]
        quad = _offered_quad(person, face, ratio, prompt, variation)
    layer = _warped(product, quad, (columns, rows))
    # The first scene shows the template's light and frame; each further one is another take.
    light = _Light.drawn(draw, plain=index == 0)
    picture = _lit(_laid_over(person, layer, light), light)
    if index > 0:
        picture = _closer(picture, layer, face)
    return Scene(png(picture), face is not None and _face_share(face, layer) < _COVERED)


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


@dataclass(frozen=True)
class _Light:
    """The light of one take: overall gain, warmth, and where shadows fall, in product sizes."""

    gain: float
    warmth: float
    aside: float

    @classmethod
    def drawn(cls, draw: random.Random, *, plain: bool) -> "_Light":
        aside = draw.choice((-1, 1)) * draw.uniform(0.01, 0.03)
        if plain:
            return cls(1.0, 0.0, aside)
        return cls(
            draw.choice((0.93, 1.06)), draw.choice((-1, 1)) * draw.uniform(0.015, 0.03), aside
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


def _laid_over(person: Pixels, layer: Plane, light: _Light) -> Plane:
    """Template, shadow and product: RGB 0..1."""
    alpha = layer[..., 3]
    ys, xs = np.flatnonzero(alpha.max(axis=1) > 0), np.flatnonzero(alpha.max(axis=0) > 0)
    base = np.asarray(person / np.float32(255), np.float32)
    if ys.size == 0 or xs.size == 0:
        return base
    extent = float(max(ys[-1] - ys[0], xs[-1] - xs[0]) + 1)
    margin = round(0.25 * extent) + 4
    rows, columns = alpha.shape
    cut = (
        slice(max(0, int(ys[0]) - margin), min(rows, int(ys[-1]) + margin)),
        slice(max(0, int(xs[0]) - margin), min(columns, int(xs[-1]) + margin)),
    )
    ground, top = base[cut], layer[cut]
    shaded = ground * (1 - _shadow(top[..., 3], extent, light))[..., None]
    base[cut] = shaded * (1 - top[..., 3:]) + _matched(top, ground)
    return base


def _shadow(alpha: Plane, extent: float, light: _Light) -> Plane:
    """The share of light that the product takes: a wide soft shadow and a narrow dark one."""
    wide = _offset(alpha, light.aside * extent, 0.03 * extent)
    wide = np.asarray(cv2.GaussianBlur(wide, (0, 0), max(1.0, 0.04 * extent)), np.float32)
    near = _offset(alpha, 0.0, 0.008 * extent)
    near = np.asarray(cv2.GaussianBlur(near, (0, 0), max(0.8, 0.009 * extent)), np.float32)
    foot = np.zeros_like(alpha)
    below = np.flatnonzero(alpha.max(axis=1) > 0.5)
    if below.size:
        lowest = int(below[-1])
        strip = alpha[max(0, lowest - max(3, round(0.05 * extent))) : lowest + 1].max(axis=0)
        foot[lowest : lowest + max(1, round(0.012 * extent))] = strip
        blur = (max(1.0, 0.03 * extent), max(0.8, 0.010 * extent))
        foot = np.asarray(cv2.GaussianBlur(foot, (0, 0), blur[0], sigmaY=blur[1]), np.float32)
    return np.asarray(np.clip(0.24 * wide + 0.20 * near + 0.45 * foot, 0, 0.7), np.float32)


def _offset(alpha: Plane, right: float, down: float) -> Plane:
    move = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return np.asarray(cv2.warpAffine(alpha, move, alpha.shape[::-1]), np.float32)


def _matched(layer: Plane, ground: Plane) -> Plane:
    """The product a little in the light of its surroundings: premultiplied RGB.

    A sixth of the way: more would change the product's own colours, which a buyer compares.
    """
    alpha = layer[..., 3:]
    weight = float(alpha.sum())
    own = layer[..., :3].sum(axis=(0, 1)) / max(weight, 1e-6)
    around = ground.reshape(-1, 3).mean(axis=0)
    own_lab, around_lab = (
        to_lab(np.rint(np.clip(colour, 0, 1) * 255).astype(np.uint8).reshape(1, 1, 3))[0, 0]
        for colour in (own, around)
    )
    lighter = 1 + 0.16 * float(np.clip((around_lab[0] - own_lab[0]) / 100, -0.6, 0.6))
    tone = around / max(float(around.mean()), 1e-6)
    return np.asarray(
        np.minimum(layer[..., :3] * lighter * (1 + 0.06 * (tone - 1)), alpha), np.float32
    )


def _lit(picture: Plane, light: _Light) -> Pixels:
    gains = np.array([1 + light.warmth, 1.0, 1 - light.warmth], np.float32) * light.gain
    return np.asarray(np.rint(np.clip(picture * gains, 0, 1) * 255), np.uint8)


def _face_share(face: Face, layer: Plane) -> float:
    """The share of the face that the product hides."""
    return float(layer[..., 3][face.oval(layer.shape[0], layer.shape[1]) > 0].mean())


def _quad_at(location: Sequence[Sequence[float]], size: tuple[int, int]) -> Quad:
    """The request's `location` in pixels of a template of `size` (width, height).

    Raises:
        MediaError: not four finite points, or they do not span a convex quadrilateral.
    """
    try:
        quad = np.array(location, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise MediaError("location must be four points [x, y].") from error
    if quad.shape != (4, 2) or not bool(np.isfinite(quad).all()):
        raise MediaError("location must be four points [x, y].")
    quad = quad * np.array(size)
    sides = np.roll(quad, -1, axis=0) - quad
    after = np.roll(sides, -1, axis=0)
    turns = sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0]
    if not (bool((turns > 4).all()) or bool((turns < -4).all())):
        raise MediaError(
            "location must be the corners of a convex shape, in the order "
            "top left, top right, bottom right, bottom left."
        )
    return np.asarray(quad, np.float64)


@dataclass(frozen=True)
class _Variation:
    """Difference of one scene from the others: scale, degrees, and eye distances aside."""

    scale: float
    degrees: float
    aside: float


def _offered_quad(
    template: Pixels, face: Face | None, ratio: float, prompt: str, variation: _Variation
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
    height *= variation.scale * _wanted_scale(prompt)
    width = height * ratio
    shrink = min(1.0, 0.96 * columns / width, 0.9 * base / height)
    width, height = width * shrink, height * shrink
    corners = np.array([[-0.5, -1], [0.5, -1], [0.5, 0], [-0.5, 0]]) * (width, height)
    angle = math.radians(variation.degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    foot = np.array([x + variation.aside * eyes, base])
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
    """Middles of the one or two largest parts below the shoulders with the colour of the face."""
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
    pairs = [
        (_unlike(one, other, face.x * scale, eyes), one, other)
        for one in found
        for other in found
        if one[0] < face.x * scale < other[0]
    ]
    best = min(pairs, key=lambda pair: pair[0], default=None)
    if best is not None and best[0] < 1:
        return np.asarray(np.array([best[1][:2], best[2][:2]]) / scale, np.float64)
    largest = max(found, key=lambda hand: float(hand[2]), default=None)
    return np.empty((0, 2)) if largest is None else largest[None, :2] / scale


def _unlike(
    left: npt.NDArray[np.float64], right: npt.NDArray[np.float64], axis: float, eyes: float
) -> float:
    """The difference of two parts (x, y, area) from a person's hands that hold one thing.

    Those are alike in size, equally high, and at both sides of the face; 1 is the most.
    """
    sizes = abs(math.log(float(left[2] / right[2]))) / math.log(4)
    heights = abs(float(left[1] - right[1])) / (1.2 * eyes)
    middle = abs(float(left[0] + right[0]) / 2 - axis) / (1.2 * eyes)
    return max(sizes, heights, middle)
