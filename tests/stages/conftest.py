"""Products and results of the stages' tests."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from topview_pipeline.catalogue import Product

MakeProduct = Callable[..., Product]


def hash_of(ref: str) -> str:
    """Stands for the bytes behind a reference: names before a colon have the same bytes."""
    return hashlib.sha256(ref.partition(":")[0].encode()).hexdigest()


PLAIN = Product(
    product_id="a",
    image="photo",
    product_image_file_id=None,
    template_image="template",
    template_image_file_id=None,
    avatar_id=None,
    location=None,
    image_edit_prompt="put it into the hand",
    user_face_image=None,
    user_face_image_file_id=None,
    script="Hello.",
    audio=None,
    audio_file_id=None,
    voice_id="voice",
    caption_id="caption",
    mode="avatar2",
    chosen_image=None,
)


@pytest.fixture
def make() -> MakeProduct:
    def make(**changes: Any) -> Product:
        return replace(PLAIN, **changes)

    return make
