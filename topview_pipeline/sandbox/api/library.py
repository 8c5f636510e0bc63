"""The lists that a client chooses from: voices, captions, categories, ethnicities, public avatars.

Ids are the same in every process, so that a catalogue of products may name them. The first voice
and the first caption are the getting-started document's.
"""

import hashlib
import io
import json
import string
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import Image, ImageDraw

from topview_pipeline.sandbox.draws import fingerprint

from .state import File

_ALPHANUMERIC = string.ascii_letters + string.digits

_SAMPLE_TEMPLATES = Path(__file__).parents[2] / "sample" / "templates"
_DEFAULT_MASK: Mapping[str, float] = MappingProxyType({"x": 0.31, "y": 0.5, "w": 0.38, "h": 0.32})
"""Place of a product if nothing says so: fractions of width and height from the top left."""

SAMPLE_AVATAR_ID = "5f1d3c0e8b7a49d2a6c4e0b19f7d2c31"
"""The avatar that the sample catalogue names: the one in the kitchen."""


@dataclass(frozen=True)
class Voice:
    """A voice as /v1/voice/query lists it, without its sample."""

    voice_id: str
    name: str
    language: str
    gender: str
    age: str
    style: str
    accent: str

    @property
    def key(self) -> str:
        """Storage key of its sample."""
        return f"voice/demo/{self.voice_id}.wav"


@dataclass(frozen=True)
class CaptionStyle:
    """A caption style; `text` and `plate` are the colours of its thumbnail."""

    caption_id: str
    name: str
    text: str
    plate: str

    @property
    def key(self) -> str:
        """Storage key of its thumbnail."""
        return f"caption/thumbnail/{self.caption_id}.png"


@dataclass(frozen=True)
class Avatar:
    """A public avatar: a person in front of a place (`mask`: `x`, `y`, `w`, `h`) for a product.

    Its picture is the file whose id is `avatar_id`.
    """

    avatar_id: str
    name: str
    gender: str
    voice_id: str
    category: str
    ethnicity: str
    mask: Mapping[str, float]

    @property
    def key(self) -> str:
        """Storage key of its picture."""
        return f"avatar/public/{self.avatar_id}.jpg"


def _voice(name: str, *traits: str) -> Voice:
    """A voice whose id is 32 mixed-case alphanumerics, as voice ids are."""
    digest = hashlib.blake2b(name.encode(), digest_size=32).digest()
    voice_id = "".join(_ALPHANUMERIC[byte % len(_ALPHANUMERIC)] for byte in digest)
    return Voice(voice_id, name, *traits)


_AVA = ("zeeTdrCqbhpVKOucLtOKdhytM7rbJx5t", "Ava")
VOICES = (
    Voice(*_AVA, "English", "Female", "Young", "UGC", "American"),
    _voice("Noah", "English", "Male", "Young", "Advertisement", "American"),
    _voice("Imogen", "English", "Female", "Middle Age", "Advertisement", "British"),
    _voice("Walter", "English", "Male", "Old", "Influencer", "British"),
    _voice("Pip", "English", "Female", "Young", "Cartoon_And_Animals", "American"),
    _voice("Lena", "German", "Female", "Young", "UGC", "German"),
    _voice("Mateo", "Spanish", "Male", "Middle Age", "Influencer", "Mexican"),
    _voice("Camille", "French", "Female", "Young", "Advertisement", "French"),
)
CUSTOM_VOICES = (_voice("Our own", "English", "Female", "Young", "Advertisement", "Irish"),)
"""Cloned by the account's owner: only `isCustom=true` lists them."""
VOICE_IDS = frozenset(voice.voice_id for voice in VOICES + CUSTOM_VOICES)

CAPTIONS = (
    CaptionStyle("3cfcb29df99746d4b438e169dda47647", "Classic", "#ffffff", "#000000"),
    CaptionStyle(fingerprint("caption", "Sun"), "Sun", "#ffd60a", "#1d1d1f"),
    CaptionStyle(fingerprint("caption", "Mint"), "Mint", "#0b3d2e", "#b7f5d8"),
    CaptionStyle(fingerprint("caption", "Coral"), "Coral", "#ffffff", "#ff5a5f"),
)
CAPTION_IDS = frozenset(caption.caption_id for caption in CAPTIONS)

CATEGORIES = ("Beauty", "Food & Drink", "Home", "Fashion", "Electronics")
ETHNICITIES = ("African", "East Asian", "European", "Latin American", "South Asian")
_ETHNICITIES_OF_AVATARS = ("European", "African", "East Asian", "Latin American", "South Asian")


def category_id(name: str) -> str:
    """The id of a category of `CATEGORIES`."""
    return fingerprint("category", name)


def ethnicity_id(name: str) -> str:
    """The id of an ethnicity of `ETHNICITIES`."""
    return fingerprint("ethnicity", name)


def load_avatars(templates: Path = _SAMPLE_TEMPLATES) -> list[tuple[Avatar, bytes]]:
    """The public avatars and their JPEG pictures; an avatar's id follows from its picture's name.

    The pictures are the package's sample templates. `placement.json` beside them says where a
    product goes: `{picture: {"square": [[x, y], ...]}}`, the largest square that fits, as fractions
    of the picture.
    """
    places: dict[str, Any] = json.loads((templates / "placement.json").read_text())
    masks = {Path(name).stem: _box(place["square"]) for name, place in places.items()}
    return [
        (_avatar(index, path.stem, masks.get(path.stem, _DEFAULT_MASK)), path.read_bytes())
        for index, path in enumerate(sorted(templates.glob("*.jpg")))
    ]


def _box(quad: Sequence[Sequence[float]]) -> Mapping[str, float]:
    left, top = (min(point[axis] for point in quad) for axis in (0, 1))
    right, bottom = (max(point[axis] for point in quad) for axis in (0, 1))
    return {"x": left, "y": top, "w": round(right - left, 4), "h": round(bottom - top, 4)}


def _avatar(index: int, name: str, mask: Mapping[str, float]) -> Avatar:
    voice = VOICES[index % len(VOICES)]
    return Avatar(
        avatar_id=SAMPLE_AVATAR_ID if name == "kitchen" else fingerprint("avatar", name),
        name=name,
        gender=voice.gender.lower(),
        voice_id=voice.voice_id,
        category=CATEGORIES[index % len(CATEGORIES)],
        ethnicity=_ETHNICITIES_OF_AVATARS[index % len(_ETHNICITIES_OF_AVATARS)],
        mask=mask,
    )


def library_files(avatars: list[tuple[Avatar, bytes]]) -> list[tuple[File, bytes]]:
    """The avatars' pictures, which a submit can name, the voices' samples, the thumbnails."""
    silence = _silence()
    return [
        *((_file(a.avatar_id, "avatar", a.key, "image/jpeg"), picture) for a, picture in avatars),
        *(
            (_file(f"sample-{voice.voice_id}", "sample", voice.key, "audio/wav"), silence)
            for voice in VOICES + CUSTOM_VOICES
        ),
        *(
            (_file(f"thumb-{c.caption_id}", "thumbnail", c.key, "image/png"), _thumbnail(c))
            for c in CAPTIONS
        ),
    ]


def _file(file_id: str, role: str, key: str, content_type: str) -> File:
    """A file that belongs to no account and never expires."""
    lineage = f"{role}:{file_id}"
    return File(file_id, "", role, key, content_type, lineage=lineage, permanent=True)


def _silence() -> bytes:
    """One second."""
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setparams((1, 2, 8_000, 8_000, "NONE", ""))
        sound.writeframes(bytes(16_000))
    return out.getvalue()


def _thumbnail(caption: CaptionStyle) -> bytes:
    image = Image.new("RGB", (240, 80), "#d9dde3")
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((30, 20, 210, 60), 8, fill=caption.plate)
    draw.text((120, 40), caption.name, fill=caption.text, anchor="mm")
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
