"""The three kinds of task and the modes of videos, as Topview's documents have them."""

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
    """Facts about a kind.

    `task_type` names the kind in the credit log (None: free, in no log), `biz_type` in notices.
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


@dataclass(frozen=True)
class Mode:
    """A mode of image2Video (docs.topview.ai/reference/pa2_image2video_submit_task).

    `short_side` is in pixels. A video lasts as long as its speech, which may last at most
    `longest_seconds`; in a `fixed` mode it always lasts that long, whatever the speech.
    """

    short_side: int
    credits_per_second: float
    longest_seconds: float
    fixed: bool = False


MODES: Mapping[str, Mode] = MappingProxyType(
    {
        "lite": Mode(480, 0.1, 5.0, fixed=True),
        "pro": Mode(720, 0.2, 10.0, fixed=True),
        "avatar2": Mode(1080, 0.4, 28.0),
        "avatar4": Mode(1080, 0.1, 120.0),
        "avatar4Fast": Mode(1080, 0.06, 120.0),
    }
)
"""The prices of avatar2, avatar4 and avatar4Fast are Photo Avatar's; the others are inferred."""
