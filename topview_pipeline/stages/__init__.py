"""The stages of the pipeline: everything that is special about each, in one class a file.

`stage` is what a stage must say, `fingerprint` names work, `cut_out`, `scene` and `video` are the
three stages. Not here: who makes them (`engine`), and what is paid and stored (`ledger`, `store`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from topview_pipeline.errors import PipelineError
from topview_pipeline.stages.cut_out import BgRemovedImage, CutOut
from topview_pipeline.stages.fingerprint import Inputs, data_version, fingerprint_of, work_of
from topview_pipeline.stages.proof_lists import ProofLists
from topview_pipeline.stages.scene import ReplacedImages, Scene, Scenes, needs_face
from topview_pipeline.stages.stage import (
    Download,
    FileNeeded,
    PreconditionError,
    Stage,
    StageResult,
    StoredFile,
    UnfitResultError,
    Upstream,
    WhenNoFace,
    WorkItem,
)
from topview_pipeline.stages.video import FinishedVideo, Video

CUT_OUT: Final = CutOut()
SCENE: Final = Scenes()
VIDEO: Final = Video()
STAGES: Final[tuple[Stage, ...]] = (CUT_OUT, SCENE, VIDEO)
"""In the order in which a product goes through them."""
BY_KEY: Final = {stage.key: stage for stage in STAGES}


def stages_named(names: Sequence[str], stages: Sequence[Stage] = STAGES) -> tuple[Stage, ...]:
    """The stages with these keys, in pipeline order; none named means all. Raises PipelineError."""
    keys = [stage.key for stage in stages]
    for name in names:
        if name not in keys:
            fix = f"Stages: {', '.join(keys)}."
            raise PipelineError(f"there is no stage {name!r}", fix=fix)
    return tuple(stage for stage in stages if not names or stage.key in names)
