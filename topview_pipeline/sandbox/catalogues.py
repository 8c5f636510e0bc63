"""The lists that a client chooses from: voices, captions, categories, ethnicities.

Ids are the same in every process, so that a catalogue of products may name them. The first voice
and the first caption are the getting-started document's.
"""

import hashlib
import io
import string
import wave
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image, ImageDraw

from .draws import fingerprint
from .records import File

_ALPHANUMERIC = string.ascii_letters + string.digits


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


@dataclass(frozen=True)
class Caption:
    """A caption style; `text` and `plate` are the colours of its thumbnail."""

    caption_id: str
    name: str
    text: str
    plate: str


def _voice_id(name: str) -> str:
    """32 mixed-case alphanumerics, as voice ids are."""
    digest = hashlib.blake2b(name.encode(), digest_size=32).digest()
    return "".join(_ALPHANUMERIC[byte % len(_ALPHANUMERIC)] for byte in digest)


def _voice(name: str, *traits: str) -> Voice:
    return Voice(_voice_id(name), name, *traits)


VOICES = (
    Voice(
        "zeeTdrCqbhpVKOucLtOKdhytM7rbJx5t",
        "Ava",
        "English",
        "Female",
        "Young",
        "UGC",
        "American",
    ),
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
    Caption("3cfcb29df99746d4b438e169dda47647", "Classic", "#ffffff", "#000000"),
    Caption(fingerprint("caption", "Sun"), "Sun", "#ffd60a", "#1d1d1f"),
    Caption(fingerprint("caption", "Mint"), "Mint", "#0b3d2e", "#b7f5d8"),
    Caption(fingerprint("caption", "Coral"), "Coral", "#ffffff", "#ff5a5f"),
)
CAPTION_IDS = frozenset(caption.caption_id for caption in CAPTIONS)

CATEGORIES: Mapping[str, str] = {
    fingerprint("category", name): name
    for name in ("Beauty", "Food & Drink", "Home", "Fashion", "Electronics")
}
ETHNICITIES: Mapping[str, str] = {
    fingerprint("ethnicity", name): name
    for name in ("African", "East Asian", "European", "Latin American", "South Asian")
}


def category_id(name: str) -> str:
    """The id of a category of `CATEGORIES`."""
    return fingerprint("category", name)


def ethnicity_id(name: str) -> str:
    """The id of an ethnicity of `ETHNICITIES`."""
    return fingerprint("ethnicity", name)


def catalogue_file(file_id: str, role: str, key: str, content_type: str) -> File:
    """A file that belongs to nobody and never dies."""
    return File(
        id=file_id,
        uid="",
        role=role,
        key=key,
        content_type=content_type,
        lineage=f"{role}:{file_id}",
        permanent=True,
    )


def sample_key(voice: Voice) -> str:
    """Where a voice's sample is stored."""
    return f"voice/demo/{voice.voice_id}.wav"


def thumbnail_key(caption: Caption) -> str:
    """Where a caption style's picture is stored."""
    return f"caption/thumbnail/{caption.caption_id}.png"


def catalogue_files() -> list[tuple[File, bytes]]:
    """The voices' samples and the captions' thumbnails."""
    silence = _silence(seconds=1)
    samples = [
        (catalogue_file(f"sample-{v.voice_id}", "sample", sample_key(v), "audio/wav"), silence)
        for v in VOICES + CUSTOM_VOICES
    ]
    thumbnails = [
        (
            catalogue_file(f"thumb-{c.caption_id}", "thumbnail", thumbnail_key(c), "image/png"),
            _thumbnail(c),
        )
        for c in CAPTIONS
    ]
    return samples + thumbnails


def _silence(seconds: int) -> bytes:
    rate = 8_000
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(bytes(2 * rate * seconds))
    return out.getvalue()


def _thumbnail(caption: Caption) -> bytes:
    image = Image.new("RGB", (240, 80), "#d9dde3")
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((30, 20, 210, 60), 8, fill=caption.plate)
    draw.text((120, 40), caption.name, fill=caption.text, anchor="mm")
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
