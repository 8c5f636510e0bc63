"""A product as the catalogue describes it, and a row that describes none.

Not here: how a row becomes a product (`rules`).
"""

import reprlib
from dataclasses import dataclass

Location = tuple[tuple[float, float], ...]
"""Four points (x, y), fractions of the template from its top left, in the order TL TR BR BL."""

_REPR = reprlib.Repr()  # repr itself fails on deeply nested lists
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One product with the settings' defaults applied. None means: not given.

    `image`, `template_image`, `user_face_image` and `audio` are absolute paths or URLs; what ends
    in `_id` is Topview's. Of `image` and `product_image_file_id` exactly one is given; of
    `location` (manual placement) and `image_edit_prompt` (auto) too; of `script` (with its
    `voice_id`), `audio` and `audio_file_id` too. A template or an avatar is always given.
    """

    product_id: str
    image: str | None
    product_image_file_id: str | None
    template_image: str | None
    template_image_file_id: str | None
    avatar_id: str | None
    location: Location | None
    image_edit_prompt: str | None
    user_face_image: str | None
    user_face_image_file_id: str | None
    script: str | None
    audio: str | None
    audio_file_id: str | None
    voice_id: str | None
    caption_id: str | None
    mode: str
    chosen_image: int | None
    """Which of the replaced images becomes the video, counted from 1."""

    @property
    def files(self) -> tuple[str, ...]:
        """Every path and URL that its bytes are made from."""
        named = (self.image, self.template_image, self.user_face_image, self.audio)
        return tuple(ref for ref in named if ref is not None)


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why a row makes no product.

    `line` counts from 1 and is where the row begins in the file; of a source that is no file it is
    the number of the row, and `unit` says so.
    """

    line: int
    column: str | None
    product_id: str | None
    reason: str
    unit: str = "line"

    def __str__(self) -> str:
        place = f"{self.unit} {self.line}" + (f", column {self.column}" if self.column else "")
        product = f" (product {excerpt(self.product_id)})" if self.product_id else ""
        return f"{place}{product}: {self.reason}"


def excerpt(value: object) -> str:
    """A value as it may stand in a one-line message: quoted, escaped, at most 60 characters."""
    text = _REPR.repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
