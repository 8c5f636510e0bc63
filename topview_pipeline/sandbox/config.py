"""Every setting of the sandbox, with its default and its unit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .api.faults import check_probabilities
from .contract import Contract
from .kinds import FACTS, Kind


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
