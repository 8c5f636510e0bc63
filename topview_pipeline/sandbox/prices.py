"""What tasks cost, in credits.

image_replace: one credit per returned image (the points rules), v3 half a credit per task (the
official client). image2Video: a price per started second by mode; the numbers of avatar2, avatar4
and avatar4Fast are Photo Avatar's, those of lite and pro are inferred.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

SCENES_PER_MODE: Mapping[str, int] = MappingProxyType({"manual": 2, "auto": 1})
"""How many images one image_replace task returns, as in the getting-started document's examples."""

CREDITS_PER_SECOND: Mapping[str, float] = MappingProxyType(
    {"lite": 0.1, "pro": 0.2, "avatar2": 0.4, "avatar4": 0.1, "avatar4Fast": 0.06}
)


def image_replace_credits(version: str, images: int) -> float:
    """Credits of one image_replace task of API `version` ("v2", "v3") with `images` results."""
    return 0.5 if version == "v3" else float(images)


def video_credits(mode: str, seconds: float) -> float:
    """Credits of one image2Video task whose video is `seconds` long."""
    return round(CREDITS_PER_SECOND[mode] * max(1, math.ceil(seconds)), 2)
