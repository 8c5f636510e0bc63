"""What the gallery shows of one product, as words and addresses. Nothing is escaped here."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

from topview_pipeline.artifacts import Artifact
from topview_pipeline.artifacts.addresses import Links
from topview_pipeline.ledger import HeldReason
from topview_pipeline.portfolio import Outcome, ProductShown, SceneShown, StageShown
from topview_pipeline.stages import BG_REMOVED_IMAGE

OUTCOME_WORDS: Final[Mapping[Outcome, str]] = {
    "done": "finished",
    "failed": "failed",
    "held": "held",
    "pending": "on its way",
    "new": "not made yet",
}
STAGE_WORDS: Final[Mapping[str, str]] = {
    "bgRemovedImage": "Cut-out",
    "replacedImages": "Scenes",
    "finishedVideo": "Video",
}
_WAYS_OUT: Final[Mapping[HeldReason, str]] = {
    HeldReason.PAUSE: "Mend the account's key or credits; the next good probe goes on by itself.",
    HeldReason.RETRY: "Nothing: it is tried again when its time has come.",
    HeldReason.UNKNOWN: "topview-pipeline tasks reconcile, or tasks adopt or release by hand.",
    HeldReason.STALLED: "Nothing: Topview is asked again each hour, for seven days.",
    HeldReason.EXPIRED: "topview-pipeline run --force for this product; that pays again.",
    HeldReason.DEAD_IMAGE: "Have replacedImages made anew together with the video.",
    HeldReason.CHOICE: "Look at the scenes and choose again.",
    HeldReason.DOWNLOAD: "Look after the store's place and rights; it is fetched again by itself.",
    HeldReason.BUDGET: "Wait for the next UTC day, or raise TOPVIEW_CREDIT_LIMIT.",
    HeldReason.RUN_LIMIT: "Run it again with another limit.",
    HeldReason.LOST_ROW: "topview-pipeline tasks rebuild; then it goes on by itself.",
    HeldReason.CATALOGUE: "Mend or add its row in the catalogue.",
}
"""What to do about what is held; nothing where an earlier stage says it."""
_FACES: Final = {True: "face", False: "no face", None: ""}


@dataclass(frozen=True)
class SceneCard:
    """One image, and the command that chooses it."""

    number: int
    link: str
    face: str
    is_chosen: bool
    is_used: bool
    command: str


@dataclass(frozen=True)
class Note:
    """Something to know of a stage. `mend` is the way out, if there is one to tell."""

    outcome: Outcome
    stage: str
    what: str
    mend: str | None


@dataclass(frozen=True)
class Card:
    """One product.

    Attributes:
        stages: outcome by stage key, for the filters.
        facts: (what, value), such as ("credits", "3.4").
        waits_for: number of the image that was chosen since the video was made.
    """

    product_id: str
    outcome: Outcome
    stages: Mapping[str, Outcome]
    photo: str | None
    cutout: str | None
    scenes: tuple[SceneCard, ...]
    video: str | None
    poster: str | None
    script: str | None
    facts: tuple[tuple[str, str], ...]
    notes: tuple[Note, ...]
    waits_for: int | None

    @property
    def search(self) -> str:
        """What the text filter looks through."""
        said = [self.product_id, self.script or "", *(note.what for note in self.notes)]
        return " ".join(said).casefold()


def card_of(shown: ProductShown, links: Links, photo: str | None) -> Card:
    """A product as the page shows it.

    Args:
        links: where files of the store are found from the page.
        photo: address of the catalogue's photo.
    """
    product_id = shown.product.product_id
    stages = {key: _outcome(stage) for key, stage in shown.stages.items()}
    return Card(
        product_id=product_id,
        outcome="failed" if "failed" in stages.values() else shown.outcome,
        stages=stages,
        photo=photo,
        cutout=_link(shown.stages[BG_REMOVED_IMAGE.key].file("cutout.png"), links),
        scenes=tuple(_scene(product_id, scene, links) for scene in shown.scenes),
        video=_link(shown.video.file("video.mp4"), links),
        poster=_link(shown.video.file("cover.jpg") or shown.scene, links),
        script=shown.product.script,
        facts=tuple(_facts(shown)),
        notes=tuple(note for stage in shown.stages.values() if (note := _note(stage)) is not None),
        waits_for=_waits_for(shown),
    )


def _outcome(stage: StageShown) -> Outcome:
    """A result that failed its check is a failure, whatever its order says."""
    return "failed" if stage.refused is not None else stage.outcome


def _link(artifact: Artifact | None, links: Links) -> str | None:
    return None if artifact is None else links(artifact)


def _scene(product_id: str, scene: SceneShown, links: Links) -> SceneCard:
    return SceneCard(
        number=scene.number,
        link=links(scene.image),
        face=_FACES[scene.has_face],
        is_chosen=scene.is_chosen,
        is_used=scene.is_used,
        command=f"topview-pipeline choose {shlex.quote(product_id)} {scene.number}",
    )


def _waits_for(shown: ProductShown) -> int | None:
    chosen = next((scene.number for scene in shown.scenes if scene.is_chosen), None)
    used = next((scene.number for scene in shown.scenes if scene.is_used), None)
    return chosen if used is not None and chosen != used else None


def _note(stage: StageShown) -> Note | None:
    word = STAGE_WORDS[stage.stage.key]
    if stage.refused is not None:
        return Note("failed", word, f"It failed its check: {stage.refused}", None)
    if stage.what is None:
        return None
    mend = stage.mend or (None if stage.held is None else _WAYS_OUT.get(stage.held))
    return Note(stage.outcome, word, stage.what[:1].upper() + stage.what[1:], mend)


def _facts(shown: ProductShown) -> list[tuple[str, str]]:
    facts = []
    if shown.credits is not None:
        facts.append(("credits", f"{shown.credits:g}"))
    if shown.seconds is not None:
        facts.append(("at Topview", _span(shown.seconds)))
    row = shown.video.row
    if row is not None and row.mode is not None:
        facts.append(("mode", row.mode))
    if row is not None and row.stored_at is not None:
        made = datetime.fromtimestamp(row.stored_at, timezone.utc)
        facts.append(("made", f"{made:%Y-%m-%d %H:%M} UTC"))
    return facts


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
