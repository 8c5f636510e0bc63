"""How a stage of a product can end without a result. Raised inside a flow, told as events."""

from __future__ import annotations

from topview_pipeline.ledger import HeldReason, Task


class HeldError(Exception):
    """The order stays open and waits.

    Args:
        until: when to look again; None for a person's act.
        credits: what did not fit under a credit limit.
    """

    def __init__(
        self,
        reason: HeldReason,
        detail: str,
        *,
        until: float | None = None,
        task: Task | None = None,
        credits: float | None = None,  # noqa: A002 - Topview's own word
    ) -> None:
        super().__init__(detail)
        self.credits = credits
        self.reason = reason
        self.detail = detail
        self.until = until
        self.task = task


class FinalError(Exception):
    """The decision about the order is final."""

    def __init__(self, what: str, mend: str, task: Task | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend
        self.task = task


class WithdrawnError(Exception):
    """Nobody wants it any more, or the producer is told to stop: nothing to tell."""


class DeadImageError(Exception):
    """Topview no longer knows the image that a video is to be made from.

    Args:
        number: which one of its scene, from 1.
        topview_task_id: of the task that made it.
    """

    def __init__(self, number: int, topview_task_id: str) -> None:
        super().__init__(f"Topview no longer knows image {number} of its task {topview_task_id}")
