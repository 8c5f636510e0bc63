"""The code location: the pipeline that the environment describes, and what dg scaffolded."""

import os
from contextlib import suppress
from pathlib import Path

import dagster as dg

from topview_pipeline.defs.outline import FIELDS, Outline
from topview_pipeline.defs.pipeline import Claim, definitions_of
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.errors import PipelineError
from topview_pipeline.settings import PipelineConfig, warn_of_unknown_variables


def _outline() -> Outline:
    """The outline. All other settings are read when they are needed, and runs say what is wrong.

    What cannot be used of it is left out: a pipeline keeps its name for a misspelt owner.
    """
    given: dict[str, str] = {}
    for name in FIELDS:
        text = os.environ.get(f"TOPVIEW_{name.upper()}", "").strip()
        with suppress(PipelineError):
            Outline.of_config(PipelineConfig.model_validate({name: text} if text else {}))
            given |= {name: text} if text else {}
    return Outline.of_config(PipelineConfig.model_validate(given).written_as(None))


warn_of_unknown_variables()
topview = TopviewResource(PipelineConfig.from_environment, _outline())
defs = definitions_of(topview)
_mine = Path(__file__).parent / "pipelines"
if any(path.name not in ("__init__.py", "__pycache__") for path in _mine.iterdir()):
    with suppress(PipelineError):
        topview.claim = Claim.of(topview.config)
    defs = dg.Definitions.merge(defs, dg.load_from_defs_folder(path_within_project=_mine))
if defs.executor is None:  # else each run of a backfill has a second process, for its only step
    defs = dg.Definitions.merge(defs, dg.Definitions(executor=dg.in_process_executor))
