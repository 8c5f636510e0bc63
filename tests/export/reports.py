"""Product reports that are made up: what list and page are tested with."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from tests.engine.world import product
from topview_pipeline.engine.gate import under_review
from topview_pipeline.export import ProductReport
from topview_pipeline.export.report import SceneReport, StageReport, Status
from topview_pipeline.ledger import Task, TaskState
from topview_pipeline.media import Outcome, Verdict
from topview_pipeline.stages import BY_KEY, CUT_OUT, SCENE, STAGES, VIDEO, data_version
from topview_pipeline.store import Artifact

FILES: Final = {
    CUT_OUT.key: ("cutout.png",),
    SCENE.key: ("scene_1.png", "scene_2.png"),
    VIDEO.key: ("video.mp4", "cover.jpg"),
}
ALL_FILES: Final = tuple(name for names in FILES.values() for name in names)


def artifact(name: str, product_id: str = "mug") -> Artifact:
    path = f"account/{product_id}/{name}"
    return Artifact(name, path, hashlib.sha256(path.encode()).hexdigest(), 1000, "x/y")


def fingerprint(stage: str, product_id: str) -> str:
    return hashlib.sha256(f"{stage} {product_id}".encode()).hexdigest()


def row(stage: str, product_id: str, **changes: Any) -> Task:
    """A stored row; only what a report reads matters."""
    values: dict[str, Any] = dict.fromkeys(Task.__dataclass_fields__)
    files = [artifact(name, product_id).to_json() for name in FILES[stage]]
    values |= {"id": 1, "stage": stage, "state": TaskState.STORED, "cost_credits": 1.0}
    values |= {"stored_at": 200.0, "mode": "avatar2", "artifacts": files, "generation": 0}
    values |= {"fingerprint": fingerprint(stage, product_id), "inputs": {}}
    if upstream := BY_KEY[stage].upstream:
        values["inputs"] = {upstream: data_version(fingerprint(upstream, product_id))}
    return Task(**values | changes)


def product_report(
    product_id: str = "mug",
    *,
    statuses: Sequence[Status] = ("done", "done", "done"),
    what: str | None = None,
    fix: str | None = None,
    refused: str | None = None,
    **changes: Any,
) -> ProductReport:
    """A product with all that is done of it; `what`, `fix` and `refused` are its video's."""
    stages, rows = {}, {}
    for stage, status in zip(STAGES, statuses, strict=True):
        if status == "done":
            rows[stage.key] = row(stage.key, product_id)
        stages[stage.key] = StageReport(stage, status, rows.get(stage.key))
    if refused is not None:
        quality = Verdict(Outcome.FAILED, refused).to_json()
        rows[VIDEO.key] = row(VIDEO.key, product_id, quality=quality)
    stages[VIDEO.key] = StageReport(VIDEO, statuses[-1], rows.get(VIDEO.key), what, fix)
    first, second = (artifact(name, product_id) for name in FILES[SCENE.key])
    scenes = (
        SceneReport(1, first, has_face=True, is_chosen=False, is_used=True),
        SceneReport(2, second, has_face=False, is_chosen=False, is_used=False),
    )
    described, about = product(product_id, **{"image": None, **changes}), under_review(rows, STAGES)
    report = ProductReport(product_id, described, stages, rows, scenes, first, seconds=225.0)
    return report if about is None else replace(report, decides_about=about[1])
