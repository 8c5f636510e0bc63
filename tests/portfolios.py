"""Products as a portfolio shows them, made up: what manifest and gallery are tested with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from tests.producer.world import product
from topview_pipeline.artifacts import Artifact
from topview_pipeline.ledger import Task, TaskState
from topview_pipeline.portfolio import Outcome, ProductShown, SceneShown, StageShown
from topview_pipeline.quality import Outcome as Verdicts
from topview_pipeline.quality import Verdict
from topview_pipeline.stages import BG_REMOVED_IMAGE, FINISHED_VIDEO, REPLACED_IMAGES, Stage


def artifact(name: str, product_id: str = "mug", *, content: str = "") -> Artifact:
    digest = hashlib.sha256(f"{product_id}/{name}/{content}".encode()).hexdigest()
    path = f"account/{product_id}/{name}"
    return Artifact(name, path, digest, 1000, "application/octet-stream")


def row(stage: Stage, *files: Artifact, **changes: Any) -> Task:
    """A stored row; only what a portfolio reads matters."""
    values: dict[str, Any] = dict.fromkeys(Task.__dataclass_fields__)
    values |= {
        "id": 1,
        "stage": stage.key,
        "state": TaskState.STORED,
        "cost_credits": 1.0,
        "pending_at": 100.0,
        "succeeded_at": 175.0,
        "stored_at": 200.0,
        "mode": "avatar2",
        "artifacts": [one.to_json() for one in files],
        **changes,
    }
    return Task(**values)


def shown(
    product_id: str,
    *,
    outcomes: Sequence[Outcome] = ("done", "done", "done"),
    what: str | None = None,
    mend: str | None = None,
    refused: str | None = None,
    content: str = "",
    **changes: Any,
) -> ProductShown:
    """A product with everything made; `what`, `mend` and `refused` are its video's."""

    def file(name: str) -> Artifact:
        return artifact(name, product_id, content=content)

    verdict = None if refused is None else Verdict(Verdicts.FAILED, refused).to_json()
    files = {
        BG_REMOVED_IMAGE: [file("cutout.png")],
        REPLACED_IMAGES: [file("scene_1.png"), file("scene_2.png")],
        FINISHED_VIDEO: [file("video.mp4"), file("cover.jpg")],
    }
    rows = {
        stage: row(stage, *of_stage, quality=verdict if stage is FINISHED_VIDEO else None)
        for (stage, of_stage), outcome in zip(files.items(), outcomes, strict=True)
        if outcome == "done"
    }
    stages = {
        stage.key: StageShown(
            stage,
            outcome,
            rows.get(stage),
            what=what if stage is FINISHED_VIDEO else None,
            mend=mend if stage is FINISHED_VIDEO else None,
            refused=refused if stage is FINISHED_VIDEO else None,
        )
        for stage, outcome in zip(files, outcomes, strict=True)
    }
    return ProductShown(
        product_id=product_id,
        product=product(product_id, **{"image": None, "product_image_file_id": "id", **changes}),
        stages=stages,
        scenes=(
            SceneShown(1, file("scene_1.png"), True, is_chosen=False, is_used=True),
            SceneShown(2, file("scene_2.png"), False, is_chosen=False, is_used=False),
        ),
        scene=file("scene_1.png"),
        behind={stage.key: made for stage, made in rows.items()},
        seconds=225.0,
    )
