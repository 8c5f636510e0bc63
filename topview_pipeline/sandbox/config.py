"""Every setting of the sandbox, with its default and its unit."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from .api.faults import check_probabilities
from .kinds import FACTS, MODES, Kind

Words = Mapping[str, str]
Date = Literal["success", "creation"]


@dataclass(frozen=True, kw_only=True)
class Contract:
    """The points on which Topview's documents are silent or disagree, as switches.

    docs/sandbox.md says what speaks for which; `topview-pipeline probe` finds out how Topview
    answers, and writes them. Raises ValueError, naming the field, for an impossible value.
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


@dataclass(frozen=True, kw_only=True)
class SandboxConfig:
    """The settings of a sandbox. Times are seconds of its clock unless a field says otherwise.

    `medians` maps kinds (`remove_background`, `image_replace`, `image2Video`) to the median of
    their lognormal durations, whose shape is `sigma`; kinds that are left out keep their default.
    Durations are divided by `speed`.

    Raises ValueError, naming the field, for an impossible value.
    """

    uid: str = "SandboxUid0000000001"
    api_key: str = field(default="sandbox-api-key", repr=False)
    credits: float = 10_000.0
    concurrency: int = 4
    """Tasks of all kinds that an account may have unfinished at once; one more answers 4007."""

    speed: float = 1.0
    medians: Mapping[str, float] = field(default_factory=dict)
    sigma: float = 0.35

    media: Literal["real", "tiny"] = "real"
    media_workers: int = 2
    """Threads that make media; 0 makes it while the submit is answered. Tiny media uses none."""

    seed: int = 0
    faults: Mapping[str, float] = field(default_factory=dict)
    """Probability by fault name; docs/sandbox.md lists the names and what each does."""

    slow_seconds: float = 5.0
    """Real seconds by which the fault slow_query delays an answer."""
    grace_seconds: float = 2.0
    """Seconds after acceptance for which the fault notfound_grace hides a task."""
    nourl_queries: int = 2
    """Successful answers of a task that the fault nourl leaves without URLs."""
    retry_after_seconds: int = 1

    forget_after: float | None = None
    """Seconds after which an uploaded or made file's id answers 4004; None: never."""
    retention_seconds: float = 7 * 86_400.0
    """Seconds after which a finished task's media are gone."""
    url_seconds: int = 86_400
    upload_url_seconds: int = 3_600
    contract: Contract = field(default_factory=Contract)
    """The points on which Topview's documents leave a choice."""

    state_dir: Path | None = None
    """Folder in which state outlives the process; None keeps it in memory."""

    def __post_init__(self) -> None:
        check_probabilities(self.faults)
        known = [kind.value for kind in Kind]
        unknown = sorted(set(self.medians) - set(known))
        if unknown:
            raise ValueError(
                f"medians: no kinds are called {unknown}; there are {', '.join(known)}"
            )
        positive = {"speed": self.speed, "concurrency": self.concurrency, **self.medians}
        for name, value in positive.items():
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name}: must be above 0, not {value}")
        counts = {"sigma": self.sigma, "media_workers": self.media_workers}
        for name, value in counts.items():
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name}: must be 0 or more, not {value}")
        if not self.uid.isalnum() or not self.api_key:
            raise ValueError("uid must be alphanumeric and api_key must not be empty")

    def median_seconds(self, kind: Kind) -> float:
        """The median duration of a kind, before `speed`."""
        return self.medians.get(kind.value, FACTS[kind].median_seconds)
