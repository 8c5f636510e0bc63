"""The engine: moves products through their stages. asyncio, one process, no Dagster."""

from topview_pipeline.engine.context import Context, ProductWork, RunInfo, Timing
from topview_pipeline.engine.engine import Engine
from topview_pipeline.engine.events import Event, Failed, Held, HoldReason, Made, Observed, Warned
from topview_pipeline.engine.thread import EngineThread
