"""What shapes a stage's output: the product's own inputs, and the fingerprint of a piece of work.

Pure functions; files are named by the sha256 of their bytes, so that a renamed file changes
nothing and the same bytes are the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from topview_pipeline.catalogue import Product
from topview_pipeline.stages import Stage

CHOICES: Final = "choices"
"""Where a script's shape keeps the images that people chose, by fingerprint of the scene."""

HashOf = Callable[[str], str]
"""sha256 (hex) of the bytes behind a path or URL."""


@dataclass(frozen=True)
class Shape:
    """One product's own inputs of one stage, as data that can be compared and kept."""

    values: Mapping[str, Any]

    @cached_property
    def version(self) -> str:
        """The data version of the stage's source asset: equal shapes have equal versions."""
        return digest(self.values)[:32]


# json.dumps would make such an encoder at every call, and a plan calls it nine times a product.
_encode: Final = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode


def digest(value: Any) -> str:
    """sha256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(_encode(value).encode()).hexdigest()


def shape_of(stage: Stage, product: Product, hash_of: HashOf) -> Shape:
    """The product's own inputs of a stage.

    Raises:
        InputError: a file that the product names cannot be read.
    """
    return Shape(_SHAPES[stage.source](product, hash_of))


def _file(path: str | None, file_id: str | None, hash_of: HashOf) -> dict[str, str] | None:
    if path is not None:
        return {"sha256": hash_of(path)}
    return None if file_id is None else {"file_id": file_id}


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _photo(product: Product, hash_of: HashOf) -> dict[str, Any]:
    return _present({"photo": _file(product.image, product.product_image_file_id, hash_of)})


def _scene(product: Product, hash_of: HashOf) -> dict[str, Any]:
    return _present(
        {
            "template": _file(product.template_image, product.template_image_file_id, hash_of),
            "avatar": product.avatar_id,
            "face": _file(product.user_face_image, product.user_face_image_file_id, hash_of),
            "location": None
            if product.location is None
            else [list(point) for point in product.location],
            "prompt": product.image_edit_prompt,
        }
    )


def _script(product: Product, hash_of: HashOf) -> dict[str, Any]:
    return _present(
        {
            "text": product.script,
            "audio": _file(product.audio, product.audio_file_id, hash_of),
            "voice": product.voice_id,
            "caption": product.caption_id,
            "mode": product.mode,
            "chosen_image": product.chosen_image,
        }
    )


_SHAPES: Mapping[str, Callable[[Product, HashOf], dict[str, Any]]] = {
    "productImage": _photo,
    "productScene": _scene,
    "productScript": _script,
}


def video_shape(shape: Shape, *, image: int, mode: str) -> Shape:
    """What shapes a video once its image is known: the image and mode really sent."""
    not_of_the_video = ("chosen_image", CHOICES)
    values = {name: value for name, value in shape.values.items() if name not in not_of_the_video}
    return Shape({**values, "image": image, "mode": mode})


def work_of(account: str, stage: Stage, shape: Shape, upstream_fingerprint: str | None) -> str:
    """Name of a piece of work without its generation.

    The upstream's *fingerprint* goes in, never provider ids or output bytes: what is made anew
    from the same inputs is the same work.
    """
    return digest(
        {
            "account": account,
            "stage": stage.key,
            "version": stage.version,
            "shape": shape.values,
            "upstream": upstream_fingerprint,
        }
    )


def fingerprint_of(work: str, generation: int) -> str:
    """Name of one paid task's worth of work; a forced repeat has the next generation."""
    return digest({"work": work, "generation": generation})
