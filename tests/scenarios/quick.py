"""The code location for tests that kill: a dead worker counts as dead within seconds."""

import dagster as dg

from topview_pipeline import ledger
from topview_pipeline.ledger import workers

QUICK_DEATH = 4.0
ledger.HEARTBEAT_SECONDS = 0.5  # type: ignore[misc]  # before the engine reads it
workers.DEAD_AFTER_SECONDS = QUICK_DEATH  # type: ignore[misc]

from topview_pipeline.definitions import defs  # noqa: E402
from topview_pipeline.defs.outline import PENDING_TASK_SENSOR  # noqa: E402


def impatient(defs: dg.Definitions) -> dg.Definitions:
    """The same definitions, whose sensor for tasks looks as often as workers can die."""
    for sensor in defs.sensors or ():
        if sensor.name.endswith(PENDING_TASK_SENSOR):
            sensor._min_interval = int(QUICK_DEATH)
    return defs


impatient(defs)
__all__ = ["defs", "impatient"]
