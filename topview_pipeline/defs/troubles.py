"""What a run did not make, and what to do about it: one row for each product's stage.

How a run fails because of them is in `failures.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from topview_pipeline.catalogue import Catalogue
from topview_pipeline.ledger import HeldReason, Wanted
from topview_pipeline.producer import Failed, Held, Parked

Outcome = Literal["failed", "held", "parked"]


@dataclass(frozen=True)
class Trouble:
    """One product's stage that a run did not make.

    Attributes:
        outcome: failed is final; what is held or parked stays ordered.
        task_id: Topview's, or empty when nothing was accepted.
        mend: what to do.
    """

    product: str
    stage: str
    outcome: Outcome
    what: str
    mend: str
    task_id: str = ""


HELD_MENDS: Final[Mapping[HeldReason, str]] = {
    HeldReason.PAUSE: "mend the account; it goes on by itself after a good probe",
    HeldReason.RETRY: "nothing: it is tried again by itself, or at once by an explicit run",
    HeldReason.UNKNOWN: "compare with Topview's task list; it is never sent again by itself",
    HeldReason.STALLED: "nothing: it is asked for hourly",
    HeldReason.EXPIRED: "run with force to have it made (and paid) anew",
    HeldReason.DEAD_IMAGE: "materialize replacedImages and finishedVideo of this product together",
    HeldReason.CHOICE: "choose an image of the new scene, then run it again",
    HeldReason.DOWNLOAD: "nothing: the download is tried again by itself",
    HeldReason.UPSTREAM: "see the stage before it",
    HeldReason.BUDGET: "nothing: it goes on after midnight UTC, or raise TOPVIEW_CREDIT_LIMIT",
    HeldReason.RUN_LIMIT: "run it again, with a higher credit limit or none",
    HeldReason.LOST_ROW: "run `topview-pipeline tasks rebuild`; it goes on by itself then",
    HeldReason.CATALOGUE: "mend or add its row in the catalogue; it is looked at again hourly",
}


def trouble_of(event: Failed | Held | Parked) -> Trouble:
    """The row for what a producer tells of an order that it did not fulfil."""
    if isinstance(event, Parked):
        mend = "nothing: the sensor or the next run goes on with it"
        return Trouble(event.product_id, event.stage, "parked", event.detail, mend)
    task_id = "" if event.task is None else event.task.topview_task_id or ""
    if isinstance(event, Held):
        mend = HELD_MENDS[event.reason]
        return Trouble(event.product_id, event.stage, "held", event.detail, mend, task_id)
    return Trouble(event.product_id, event.stage, "failed", event.what, event.mend, task_id)


def not_in_catalogue(wanted: Sequence[Wanted], catalogue: Catalogue) -> Iterator[Trouble]:
    """The rows for what is wanted of products that have no usable row."""
    reasons = {problem.product_id: str(problem) for problem in catalogue.problems}
    for want in wanted:
        if want.product_id not in catalogue.products:
            what = reasons.get(want.product_id, f"it is not in the catalogue {catalogue.source}")
            mend = "mend or add its row in the catalogue, then run it again"
            yield Trouble(want.product_id, want.stage, "failed", what, mend)
