"""Two code locations with two pipelines each, as the variable BRANDS describes them."""

import json
import os

import dagster as dg

from tests.scenarios import quick  # before the engine reads its heartbeat
from topview_pipeline import PipelineConfig, build_definitions

assert quick
_BRANDS = json.loads(os.environ["BRANDS"])


def _location(*names: str) -> dg.Definitions:
    return dg.Definitions.merge(
        *(build_definitions(PipelineConfig.from_environment(_BRANDS[name])) for name in names)
    )


one = _location("acme", "zeta")
two = _location("mora", "nilo")
