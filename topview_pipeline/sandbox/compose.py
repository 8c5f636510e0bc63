"""A cut-out put into a template: image_replace's work. Where it goes is decided in placement.py."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .backdrop import to_lab
from .faces import Face, find_face, replace_face
from .media import MediaError, Scene
from .pictures import Pixels, Plane, decode, on_white, png, with_alpha
from .placement import Quad, Variation, offered_quad, quad_at

_COVERED = 0.35
"""Share of a face behind the product from which it is no face any more."""


def make_scenes(
    cutout: bytes,
    template: bytes,
    location: Sequence[Sequence[float]] | None,
    prompt: str,
    face: bytes | None,
    count: int,
    seed: int,
) -> list[Scene]:
    """`count` pictures of the template with the product; see `MediaEngine.scenes`."""
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
    variation = Variation(
        scale=draw.uniform(0.94, 1.06) * (1.0 if index == 0 else draw.choice((0.9, 1.1))),
        degrees=draw.uniform(-1.2, 1.2)
        if index == 0
        else draw.choice((-1, 1)) * draw.uniform(2, 5),
        aside=0.0 if index == 0 else draw.uniform(-0.25, 0.25),
    )
    if location is not None:
        quad = quad_at(location, (columns, rows))
    else:
        ratio = product.shape[1] / product.shape[0]
        quad = offered_quad(person, face, ratio, prompt, variation)
    layer = _warped(product, quad, (columns, rows))
    # The first scene shows the light as it is; each further one is a visibly different take.
    light = _Light.drawn(draw, plain=index == 0)
    picture = _lit(_laid_over(person, layer, light), light)
    return Scene(png(picture), face is not None and _face_share(face, layer) < _COVERED)


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
    """How much light the product takes: a wide soft shadow behind, a narrow dark one beneath it."""
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
    """How much of the face the product hides."""
    (x, y), (half_width, half_height) = face.oval()
    oval = np.zeros(layer.shape[:2], np.uint8)
    axes = (max(1, round(half_width)), max(1, round(half_height)))
    cv2.ellipse(oval, (round(x), round(y)), axes, 0, 0, 360, 1, -1)
    return float(layer[..., 3][oval > 0].mean())
