"""A product as it is shown. Not here: how that is found in the ledger (`reading`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from topview_pipeline.artifacts import Artifact
from topview_pipeline.catalogue import Product
from topview_pipeline.ledger import HeldReason, Task
from topview_pipeline.quality import is_refused
from topview_pipeline.stages import BG_REMOVED_IMAGE, FINISHED_VIDEO, Stage

Outcome = Literal["failed", "held", "pending", "done", "new"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("failed", "held", "pending", "done", "new")
"""What has become of a stage or product, the worst first; "new": it was never ordered."""


@dataclass(frozen=True)
class SceneShown:
    """One image of replacedImages. `is_chosen`: a person prefers it; `is_used`: the video's."""

    number: int
    image: Artifact
    has_face: bool | None
    is_chosen: bool
    is_used: bool


@dataclass(frozen=True)
class StageShown:
    """Where one stage of a product stands.

    Attributes:
        row: what it last stored.
        what: why it failed or waits; `mend` what to do.
        held: which kind of waiting that is.
        refused: what its check of quality found that no customer may see.
    """

    stage: Stage
    outcome: Outcome
    row: Task | None
    what: str | None = None
    mend: str | None = None
    held: HeldReason | None = None
    refused: str | None = None

    def file(self, name: str) -> Artifact | None:
        """A stored file of this stage."""
        return None if self.row is None else file_of(self.row, name)


@dataclass(frozen=True)
class Refusal:
    """A row behind a video failed its check. `is_newest`: nothing else is stored of its stage."""

    stage: str
    why: str
    is_newest: bool

    def __str__(self) -> str:
        if self.is_newest:
            return f"{self.stage} failed its check: {self.why}"
        return (
            f"the {self.stage} that its video was made from failed its check: {self.why} There is "
            "a newer one: have finishedVideo made anew."
        )


@dataclass(frozen=True)
class ProductShown:
    """A product with all its stages.

    Attributes:
        product: as the catalogue describes it; None while its row cannot be used.
        row_problem: why not.
        scenes: the images that it has now.
        scene: the image that its video was made from, which an older scene may have given.
        behind: by stage, the rows that its video was made from, its own among them; without a
            video what it stored last. A row that the ledger has no more is missing.
        seconds: that the rows behind it ran at Topview; None when that is not known of one.
    """

    product_id: str
    product: Product | None
    stages: Mapping[str, StageShown]
    scenes: tuple[SceneShown, ...]
    scene: Artifact | None
    behind: Mapping[str, Task]
    seconds: float | None = None
    row_problem: str | None = None

    @property
    def outcome(self) -> Outcome:
        """That of its worst stage; of nothing but new ones and done ones: new."""
        found = {shown.outcome for shown in self.stages.values()}
        if found == {"done"}:
            return "done"
        return next((one for one in OUTCOMES if one in found and one != "done"), "new")

    @property
    def video(self) -> StageShown:
        """The last stage."""
        return self.stages[FINISHED_VIDEO.key]

    @property
    def cutout(self) -> Artifact | None:
        """The cut-out that its scene was made from."""
        row = self.behind.get(BG_REMOVED_IMAGE.key)
        return None if row is None else file_of(row, "cutout.png")

    @property
    def credits(self) -> float | None:
        """What the rows behind it cost together; what it shares with others counts for each."""
        costs = [row.cost_credits for row in self.behind.values()]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if known else None

    @property
    def refusal(self) -> Refusal | None:
        """Why its video is not exported: it or what it was made from failed its check."""
        for key, row in self.behind.items():
            why = refusal_of(row)
            if why is not None:
                newest = self.stages[key].row
                return Refusal(key, why, is_newest=newest is None or newest.id == row.id)
        return None


def file_of(row: Task, name: str) -> Artifact | None:
    """A stored file of a row by its name."""
    found = (Artifact.from_json(one) for one in row.artifacts or () if one.get("name") == name)
    return next(found, None)


def refusal_of(row: Task) -> str | None:
    """Why a stored result is never exported: its check failed. None: it may be.

    What nobody has measured, or could not, is not bad.
    """
    if row.quality is None or not is_refused(row.quality):
        return None
    return " ".join(str(row.quality[key]) for key in ("why", "mend") if row.quality.get(key))
