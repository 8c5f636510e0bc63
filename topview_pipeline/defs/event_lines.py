"""The events of a run as JSON lines on standard error, for a log collector."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from typing import Any

from topview_pipeline.defs.failures import trouble_of
from topview_pipeline.engine import Failed, Held, Made, Warned


def write_line(event: object, run_id: str) -> None:
    """Write the line of an event of the engine, if it has one."""
    values = _values(event)
    if values is not None:
        at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        line = {"time": at, "logger": "topview_pipeline", "run_id": run_id, **values}
        sys.stderr.write(f"{json.dumps(line)}\n")
        sys.stderr.flush()


def _values(event: object) -> dict[str, Any] | None:
    if isinstance(event, Warned):
        return {"level": "warning", "event": "warning", "message": event.what}
    if isinstance(event, Made):
        task = event.task
        return {
            "level": "info",
            "event": "made",
            "product": event.product_id,
            "stage": event.stage,
            "task_id": task.topview_task_id,
            "row": task.id,
            "credits": task.cost_credits,
        }
    if isinstance(event, (Failed, Held)):
        trouble = trouble_of(event)
        return {
            "level": "error" if trouble.outcome == "failed" else "warning",
            "event": trouble.outcome,
            "product": trouble.product,
            "stage": trouble.stage,
            "task_id": trouble.task_id or None,
            "message": trouble.what,
            "fix": trouble.fix,
        }
    return None
