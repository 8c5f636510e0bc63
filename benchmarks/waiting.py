"""A ledger full of open orders whose producer has died, some with a task at Topview."""

from __future__ import annotations

from typing import Any

from benchmarks import child
from topview_pipeline.defs.resources import LedgerResource
from topview_pipeline.ledger import Ledger, Owner, Reservation, Reserved, Wanted
from topview_pipeline.stages import STAGES

_NO_SUCH_PROCESS = 2**22 + 1
"""Linux gives no process a number above 2**22."""
_RUN = "11111111-1111-4111-8111-111111111111"
_DEADLINE_SECONDS = 1e6


def main(spec: dict[str, Any]) -> None:
    """Write `orders` orders, of which the first stages of `pending` products are at Topview."""
    ledger = LedgerResource().open()
    owner = Owner(pid=_NO_SUCH_PROCESS)
    ledger.producers.start(owner, run_id=_RUN)
    products = [f"product-{number:05}" for number in range(-(-spec["orders"] // len(STAGES)))]
    wanted = [Wanted(product, stage.key, "new") for product in products for stage in STAGES]
    placed = ledger.orders.place(
        wanted[: spec["orders"]], run_id=_RUN, root_run_id=_RUN, owner=owner.id
    )
    for product in products[: spec["pending"]]:
        order = placed.orders[product, STAGES[0].key]
        _submit(ledger, order.id, product, owner, slots=spec["pending"])
    ledger.close()


def _submit(ledger: Ledger, order_id: int, product: str, owner: Owner, *, slots: int) -> None:
    answer = ledger.tasks.reserve(
        Reservation(
            order_id=order_id,
            stage=STAGES[0].key,
            product_id=product,
            work=f"work of {product}",
            generation=0,
            fingerprint=f"fingerprint of {product}",
            attempt=1,
            run_id=_RUN,
            root_run_id=_RUN,
            owner=owner.id,
            request={"productImageFileId": "f" * 32},
            inputs={STAGES[0].source: "v" * 32},
            mode=None,
            seconds=None,
            estimate=0.0,
            estimate_source="free",
            queued_at=ledger.now(),
            deadline_seconds=_DEADLINE_SECONDS,
        ),
        slots=slots,
    )
    if not isinstance(answer, Reserved):
        raise TypeError(f"{product} was not reserved: {answer}")
    ledger.tasks.accepted(answer.task.id, f"task of {product}", who=owner.id)


if __name__ == "__main__":
    main(child.spec())
    child.report()
