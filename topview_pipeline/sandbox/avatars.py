"""Public avatars: people in front of a place for a product.

Their pictures are the package's sample templates where those are installed; without them each
avatar gets a drawn placeholder, so that a query always lists some. `placement.json` beside the
pictures says where a product goes: `{picture: {"square": [[x, y], ...]}}`, the largest square that
fits, as fractions of the picture.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import Image, ImageDraw

from .catalogues import VOICES, catalogue_file
from .draws import fingerprint
from .records import File

SAMPLE_TEMPLATES = Path(__file__).parent.parent / "sample" / "templates"
DEFAULT_MASK: Mapping[str, float] = MappingProxyType({"x": 0.31, "y": 0.5, "w": 0.38, "h": 0.32})
"""Where a product goes if nothing says so: fractions of width and height from the top left."""

SAMPLE_AVATAR_ID = "5f1d3c0e8b7a49d2a6c4e0b19f7d2c31"
"""The avatar that the sample catalogue names: the one in the kitchen."""

_PLACEHOLDERS = ("kitchen", "studio", "terrace")
_CATEGORIES = ("Beauty", "Food & Drink", "Home", "Fashion", "Electronics")
_ETHNICITIES = ("European", "African", "East Asian", "Latin American", "South Asian")


@dataclass(frozen=True)
class Avatar:
    """One public avatar; its picture is the file whose id is `avatar_id`."""

    avatar_id: str
    name: str
    gender: str
    voice_id: str
    category: str
    ethnicity: str
    mask: Mapping[str, float]

    @property
    def key(self) -> str:
        """Where its picture is stored."""
        return f"avatar/public/{self.avatar_id}.jpg"


def load_avatars(templates: Path = SAMPLE_TEMPLATES) -> list[tuple[Avatar, bytes]]:
    """The avatars and their JPEG pictures; an avatar's id follows from its picture's name."""
    pictures = {path.stem: path.read_bytes() for path in sorted(templates.glob("*.jpg"))}
    if not pictures:
        pictures = {name: _placeholder(index) for index, name in enumerate(_PLACEHOLDERS)}
    masks = _masks(templates / "placement.json")
    return [
        (_avatar(index, name, masks.get(name, DEFAULT_MASK)), picture)
        for index, (name, picture) in enumerate(pictures.items())
    ]


def _masks(placement: Path) -> dict[str, Mapping[str, float]]:
    if not placement.is_file():
        return {}
    places: dict[str, Any] = json.loads(placement.read_text())
    return {Path(name).stem: _box(place["square"]) for name, place in places.items()}


def _box(quad: Sequence[Sequence[float]]) -> Mapping[str, float]:
    left, top = (min(point[axis] for point in quad) for axis in (0, 1))
    right, bottom = (max(point[axis] for point in quad) for axis in (0, 1))
    return {
        "x": left,
        "y": top,
        "w": round(right - left, 4),
        "h": round(bottom - top, 4),
    }


def avatar_files(avatars: list[tuple[Avatar, bytes]]) -> list[tuple[File, bytes]]:
    """The pictures as files that a submit can name by `avatarId`."""
    return [
        (catalogue_file(avatar.avatar_id, "avatar", avatar.key, "image/jpeg"), picture)
        for avatar, picture in avatars
    ]


def _avatar(index: int, name: str, mask: Mapping[str, float]) -> Avatar:
    voice = VOICES[index % len(VOICES)]
    return Avatar(
        avatar_id=SAMPLE_AVATAR_ID if name == "kitchen" else fingerprint("avatar", name),
        name=name,
        gender=voice.gender.lower(),
        voice_id=voice.voice_id,
        category=_CATEGORIES[index % len(_CATEGORIES)],
        ethnicity=_ETHNICITIES[index % len(_ETHNICITIES)],
        mask=mask,
    )


def _placeholder(index: int) -> bytes:
    walls, coats = ("#cfd8dc", "#e8d9c5", "#d3e4d0"), ("#37474f", "#8d5524", "#2e5e4e")
    image = Image.new("RGB", (540, 960), walls[index % len(walls)])
    draw = ImageDraw.Draw(image)
    draw.ellipse((195, 140, 345, 320), fill="#e0ac69")
    draw.rounded_rectangle((120, 330, 420, 960), 90, fill=coats[index % len(coats)])
    for left in (140, 360):
        draw.ellipse((left, 760, left + 60, 830), fill="#e0ac69")
    out = io.BytesIO()
    image.save(out, "JPEG", quality=88)
    return out.getvalue()
