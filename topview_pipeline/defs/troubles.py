"""What a run did not make, and what to do about it: one row for each product's stage.

How a run fails because of them is in `failures.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from topview_pipeline.catalogue import Catalogue
from topview_pipeline.ledger import Wanted
from topview_pipeline.producer import Failed, Held, Parked
from topview_pipeline.ways_out import HELD

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


def trouble_of(event: Failed | Held | Parked) -> Trouble:
    """The row for what a producer tells of an order that it did not fulfil."""
    if isinstance(event, Parked):
        mend = "nothing: the sensor or the next run goes on with it"
        return Trouble(event.product_id, event.stage, "parked", event.detail, mend)
    task_id = "" if event.task is None else event.task.topview_task_id or ""
    if isinstance(event, Held):
        mend = HELD[event.reason]
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
