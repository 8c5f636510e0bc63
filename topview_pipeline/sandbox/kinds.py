"""The three kinds of task and what the API's documents say of each; prices are in prices.py."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Kind(str, Enum):
    """A kind of task, by the word in its path."""

    REMOVE_BACKGROUND = "remove_background"
    IMAGE_REPLACE = "image_replace"
    IMAGE2VIDEO = "image2Video"


@dataclass(frozen=True)
class KindFacts:
    """`task_type` names the kind in the credit log (None: free, in no log), `biz_type` in notices.

    `results` are the roles of the files that a client pays for: a task whose results were not all
    downloaded whole is an orphan.
    """

    median_seconds: float
    task_type: str | None
    biz_type: str
    results: frozenset[str]


FACTS: Mapping[Kind, KindFacts] = MappingProxyType(
    {
        Kind.REMOVE_BACKGROUND: KindFacts(
            median_seconds=3.0,
            task_type=None,
            # No bizType is documented for this kind; this one is inferred from its siblings.
            biz_type="COMMON_TASK_REMOVE_BACKGROUND",
            results=frozenset({"cutout", "mask"}),
        ),
        Kind.IMAGE_REPLACE: KindFacts(
            median_seconds=20.0,
            task_type="pa2_replace_product_image",
            biz_type="PRODUCT_AVATAR_REPLACE_PRODUCT_IMAGE",
            results=frozenset({"scene"}),
        ),
        Kind.IMAGE2VIDEO: KindFacts(
            median_seconds=45.0,
            task_type="pa2_image2video",
            biz_type="PRODUCT_AVATAR_IMAGE2VIDEO",
            results=frozenset({"video"}),
        ),
    }
)

MODES = ("lite", "pro", "avatar2", "avatar4", "avatar4Fast")
"""image2Video's modes (docs.topview.ai/reference/pa2_image2video_submit_task)."""

MAX_AUDIO_SECONDS: Mapping[str, float] = MappingProxyType(
    {"avatar2": 28.0, "avatar4": 120.0, "avatar4Fast": 120.0}
)
"""The longest audio that a mode takes, where the documents name one."""
