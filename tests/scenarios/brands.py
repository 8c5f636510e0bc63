"""Two code locations with two pipelines each, as the variable BRANDS describes them."""

import json
import os

import dagster as dg

from tests.scenarios.quick import impatient  # before the engine reads its heartbeat
from topview_pipeline import PipelineConfig, build_definitions

_BRANDS = json.loads(os.environ["BRANDS"])


def _location(*names: str) -> dg.Definitions:
    configs = (PipelineConfig.from_environment(_BRANDS[name]) for name in names)
    return impatient(dg.Definitions.merge(*map(build_definitions, configs)))


one = _location("acme", "zeta")
two = _location("mora", "nilo")
