"""What the gallery shows of one product, as words and addresses. Nothing is escaped here."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

from topview_pipeline.artifacts import Artifact
from topview_pipeline.artifacts.addresses import Links
from topview_pipeline.portfolio import Outcome, ProductShown, SceneShown, StageShown
from topview_pipeline.stages import BG_REMOVED_IMAGE
from topview_pipeline.ways_out import HELD

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
    """Something to know of a product. `mend` is the way out, if there is one to tell."""

    outcome: Outcome
    head: str
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
        """What the text filter looks through; page/gallery.js folds its case."""
        said = [
            self.product_id,
            self.script or "",
            *(f"{note.head} {note.what}" for note in self.notes),
        ]
        return " ".join(said)


def card_of(
    shown: ProductShown, links: Links, photo: str | None, *, program: str = "topview-pipeline"
) -> Card:
    """A product as the page shows it.

    Args:
        links: where files of the store are found from the page.
        photo: address of the catalogue's photo.
        program: what its commands begin with.
    """
    product_id = shown.product_id
    stages = {key: _outcome(stage) for key, stage in shown.stages.items()}
    return Card(
        product_id=product_id,
        outcome=_worst(shown, stages),
        stages=stages,
        photo=photo,
        cutout=_link(shown.stages[BG_REMOVED_IMAGE.key].file("cutout.png"), links),
        scenes=tuple(_scene(product_id, scene, links, program) for scene in shown.scenes),
        video=_link(shown.video.file("video.mp4"), links),
        poster=_link(shown.video.file("cover.jpg") or shown.scene, links),
        script=None if shown.product is None else shown.product.script,
        facts=tuple(_facts(shown)),
        notes=tuple(_notes(shown)),
        waits_for=_waits_for(shown),
    )


def _worst(shown: ProductShown, stages: Mapping[str, Outcome]) -> Outcome:
    """A video that is not exported, or a row that cannot be used, is a failure of the product."""
    is_refused = shown.video.row is not None and shown.refusal is not None
    is_bad = is_refused or shown.row_problem is not None or "failed" in stages.values()
    return "failed" if is_bad else shown.outcome


def _outcome(stage: StageShown) -> Outcome:
    """A result that failed its check is a failure, whatever its order says."""
    return "failed" if stage.refused is not None else stage.outcome


def _link(artifact: Artifact | None, links: Links) -> str | None:
    return None if artifact is None else links(artifact)


def _scene(product_id: str, scene: SceneShown, links: Links, program: str) -> SceneCard:
    return SceneCard(
        number=scene.number,
        link=links(scene.image),
        face=_FACES[scene.has_face],
        is_chosen=scene.is_chosen,
        is_used=scene.is_used,
        command=f"{program} choose {_argument(product_id)} {scene.number}",
    )


def _argument(product_id: str) -> str:
    """An id as the first argument of a command that is pasted into a shell."""
    quoted = shlex.quote(product_id)
    return f"-- {quoted}" if product_id.startswith("-") else quoted


def _waits_for(shown: ProductShown) -> int | None:
    chosen = next((scene.number for scene in shown.scenes if scene.is_chosen), None)
    used = next((scene.number for scene in shown.scenes if scene.is_used), None)
    return chosen if used is not None and chosen != used else None


def _notes(shown: ProductShown) -> Iterator[Note]:
    if shown.row_problem is not None:
        mend = "Mend the row in the catalogue. Until then nothing new is made of it."
        yield Note("failed", "Row cannot be used", _sentence(shown.row_problem), mend)
    for stage in shown.stages.values():
        note = _note(stage)
        if note is not None:
            yield note
    refusal = shown.refusal
    if refusal is not None and not refusal.is_newest:
        yield Note("failed", "Video not exported", _sentence(str(refusal)), None)


def _note(stage: StageShown) -> Note | None:
    word = STAGE_WORDS[stage.stage.key]
    if stage.refused is not None:
        head = f"{word} {OUTCOME_WORDS['failed']}"
        return Note("failed", head, f"It failed its check: {stage.refused}", None)
    if stage.what is None:
        return None
    mend = stage.mend or (None if stage.held is None else HELD[stage.held])
    head = f"{word} {OUTCOME_WORDS[stage.outcome]}"
    return Note(stage.outcome, head, _sentence(stage.what), mend)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


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
