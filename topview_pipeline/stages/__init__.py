"""The three stages as data, and what belongs to each: shapes, requests, results.

Knows the API's models and the catalogue's product; knows nothing of ledger, Dagster or HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Stage:
    """One arrow of the pipeline.

    Attributes:
        key: the asset's key; also the stage's name in the ledger and the store.
        kind: Topview's task kind; deadlines and the credit log go by it.
        version: raised when this program's way of making the stage changes what comes out.
        free: Topview charges nothing and its credit log does not list it.
        source: the observable source asset that describes this stage's own inputs.
        upstream: key of the stage whose result goes in, if any.
        deadline_seconds: when a task of this kind counts as stalled, unless configured.
        typical_seconds: how long a task takes, until the ledger knows better; Topview's pages say
            seconds, one to two minutes, and up to some minutes.
    """

    key: str
    kind: str
    version: str
    free: bool
    source: str
    upstream: str | None
    deadline_seconds: float
    typical_seconds: float


BG_REMOVED_IMAGE: Final = Stage(
    key="bgRemovedImage",
    kind="remove_background",
    version="1",
    free=True,
    source="productImage",
    upstream=None,
    deadline_seconds=600.0,
    typical_seconds=5.0,
)
REPLACED_IMAGES: Final = Stage(
    key="replacedImages",
    kind="image_replace",
    version="1",
    free=False,
    source="productScene",
    upstream="bgRemovedImage",
    deadline_seconds=1200.0,
    typical_seconds=60.0,
)
FINISHED_VIDEO: Final = Stage(
    key="finishedVideo",
    kind="image2video",
    version="1",
    free=False,
    source="productScript",
    upstream="replacedImages",
    deadline_seconds=3600.0,
    typical_seconds=120.0,
)

STAGES: Final = (BG_REMOVED_IMAGE, REPLACED_IMAGES, FINISHED_VIDEO)
BY_KEY: Final = {stage.key: stage for stage in STAGES}


class UnknownStageError(ValueError):
    """A stage was named that does not exist; the message lists those that do."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no stage {name!r}; the stages are {', '.join(BY_KEY)}")


def stages_named(names: list[str] | tuple[str, ...]) -> tuple[Stage, ...]:
    """The named stages in pipeline order; none named means all.

    Raises:
        UnknownStageError: a name is no stage's key.
    """
    for name in names:
        if name not in BY_KEY:
            raise UnknownStageError(name)
    return tuple(stage for stage in STAGES if not names or stage.key in names)


class PreconditionError(Exception):
    """A product cannot go through a stage as it is; nothing was sent.

    Attributes:
        what: what is wrong with the product.
        mend: what its owner can do.
    """

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(f"{what}; {mend}")
        self.what = what
        self.mend = mend
