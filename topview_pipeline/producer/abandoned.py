"""Rows that were reserved for a POST whose sender is gone: the answer is lost, if there was one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

from topview_pipeline.ledger import IllegalMove, Ledger, Task, TaskState

DIED: Final = "its producer died around the submit; it may be paid"


def is_abandoned(
    row: Task, *, now: float, submit_seconds: float, is_alive: Callable[[str | None], bool]
) -> bool:
    """Whether nobody is sending a reserved row any more.

    Args:
        now: seconds since the epoch.
        submit_seconds: all of a submit's timeouts together; an older row is lost even if its
            owner lives.
    """
    return now - row.reserved_at > submit_seconds or not is_alive(row.owner)


def take_for_unknown(ledger: Ledger, *, now: float, submit_seconds: float, who: str) -> int:
    """Move all abandoned rows to unknown: they may be paid, and are never sent again; how many.

    They hold slots, and perhaps nobody orders their work any more.
    """
    moved = 0
    for row in ledger.tasks.in_state((TaskState.RESERVED,)):
        if is_abandoned(
            row, now=now, submit_seconds=submit_seconds, is_alive=ledger.producers.is_alive
        ):
            with contextlib.suppress(IllegalMove):  # its answer came after all
                ledger.tasks.ended(row.id, TaskState.UNKNOWN, why=DIED, who=who)
                moved += 1
    return moved
