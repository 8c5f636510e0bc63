"""The points on which Topview's documents are silent or disagree, as switches of the sandbox.

`topview-pipeline probe` finds out how Topview answers, and writes these switches.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_origin

from .kinds import FACTS, MODES, Kind

Words = Mapping[str, str]
Date = Literal["success", "creation"]


@dataclass(frozen=True, kw_only=True)
class Contract:
    """The sandbox's answers where nobody is sure; docs/sandbox.md says what speaks for which.

    Raises ValueError, naming the field, for an impossible value.
    """

    prices: Mapping[str, float] = field(default_factory=dict)
    """Credits of `remove_background` a task, `image_replace` an image (v3: half of it a task), and
    `image2Video/MODE` a started second; what is left out keeps its default."""
    images: Mapping[str, int] = field(default_factory=lambda: {"manual": 2, "auto": 1})
    """Images of one image_replace task by its mode, as in the getting-started document."""
    booked_as: Words = field(default_factory=dict)
    """The credit log's `taskType` by kind, in place of the documented one."""
    log_date: Date = "success"
    """The moment of a task that dates its charge in the credit log."""
    log_iso: bool = False
    """Dates of the log are ISO 8601 with a Z, and not `yyyy-MM-dd HH:mm:ss`."""
    log_newest_first: bool = True
    required: Collection[str] = ("voiceId",)
    """The fields of image2Video that must not be empty, of `voiceId` (in text mode) and
    `captionId`. Both: the strict reading of its page."""
    submit_status: str = "success"
    """The `status` of an accepted submit."""
    status_words: Words = field(default_factory=dict)
    """Words in place of `init`, `running`, `success` and `fail`."""
    codes: Words = field(default_factory=dict)
    """Body codes in place of others, such as 4006 for 4000."""
    auth_errors: Literal["http", "code"] = "http"
    """Bad credentials answer HTTP 401, or HTTP 200; the body code is "401" either way."""
    bearer_alone: bool = True
    """`GET /user/credit/detail` needs no `Topview-Uid`."""
    check_before_put: Literal["false", "4004"] = "false"
    """The upload check's answer about a file that has no bytes yet."""
    added: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Fields with their values, by the path whose result has them in addition."""
    dropped: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Fields by the path whose result lacks them."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value, kind = getattr(self, one.name), get_origin(one.type) or one.type
            allowed = get_args(one.type) if kind is Literal else ()
            if allowed and value not in allowed:
                raise ValueError(f"{one.name}: {value!r} is none of {', '.join(allowed)}")
            if isinstance(kind, type) and not isinstance(value, kind):
                raise ValueError(f"{one.name}: {value!r} has the wrong type")  # noqa: TRY004 - one class
        priced = {"remove_background", "image_replace", *(f"image2Video/{mode}" for mode in MODES)}
        known = {
            "prices": priced,
            "images": {"manual", "auto"},
            "booked_as": {kind.value for kind in Kind},
            "required": {"voiceId", "captionId"},
            "status_words": {"init", "running", "success", "fail"},
        }
        for name, names in known.items():
            if unknown := set(getattr(self, name)) - names:
                raise ValueError(
                    f"{name}: there is no {', '.join(sorted(unknown))}; "
                    f"there are {', '.join(sorted(names))}"
                )
        for name, number in {**self.prices, **self.images}.items():
            if not math.isfinite(number) or number < 0:
                raise ValueError(f"{name}: must be 0 or more, not {number}")

    def image_count(self, mode: str) -> int:
        """Images of an image_replace task in this mode."""
        return self.images.get(mode, 1)

    def image_replace_credits(self, version: str, images: int) -> float:
        """Credits of one image_replace task: by the image; in v3 half of one, whatever it makes."""
        an_image = self.prices.get("image_replace", 1.0)
        return round(an_image * (0.5 if version == "v3" else images), 4)

    def video_credits(self, mode: str, seconds: float) -> float:
        """Credits of one image2Video task, by each started second of its video."""
        a_second = self.prices.get(f"image2Video/{mode}", MODES[mode].credits_per_second)
        return round(a_second * max(1, math.ceil(seconds)), 4)

    def word_of(self, kind: Kind) -> str | None:
        """The credit log's word for a kind; None for one that is free."""
        if kind is Kind.REMOVE_BACKGROUND and not self.prices.get(kind.value):
            return None
        return self.booked_as.get(kind.value, FACTS[kind].task_type or f"common_task_{kind.value}")

    def reshaped(self, path: str, result: Any) -> Any:
        """The result of a call to this path with the added fields and without the dropped ones."""
        if not isinstance(result, dict):
            return result
        kept = {
            name: value for name, value in result.items() if name not in self.dropped.get(path, ())
        }
        return kept | dict(self.added.get(path, {}))
