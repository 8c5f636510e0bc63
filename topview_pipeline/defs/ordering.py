"""What a run orders in the ledger, and what cannot be ordered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from topview_pipeline.catalogue import Catalogue
from topview_pipeline.defs.troubles import Trouble, not_in_catalogue
from topview_pipeline.ledger import Ledger, Order, Owner, Wanted
from topview_pipeline.producer import Run


def place(
    ledger: Ledger,
    catalogue: Catalogue,
    wanted: Sequence[Wanted],
    run: Run,
    owner: Owner,
    *,
    credit_limit: float | None,
    troubles: list[Trouble],
) -> Mapping[tuple[str, str], Order]:
    """The open orders of a run by (product, stage).

    Args:
        credit_limit: the most credits that they may cost.
        troubles: what cannot be ordered is added here.
    """
    missing = list(not_in_catalogue(wanted, catalogue))
    troubles += missing
    _refuse(ledger, missing)
    placed = ledger.orders.place(
        [want for want in wanted if want.product_id in catalogue.products],
        run_id=run.run_id,
        root_run_id=run.root_run_id,
        owner=owner.id,
        # The sensor listed open orders: one that a person withdrew since is not made anew.
        only_open=not run.explicit,
        credit_limit=credit_limit,
    )
    for (product_id, stage), reason in placed.refused.items():
        troubles.append(Trouble(product_id, stage, "failed", reason, "run again without force"))
    if not run.explicit:
        taken_up = [order.id for order in placed.orders.values()]
        ledger.orders.take_up(taken_up, run_id=run.run_id, is_at_work=ledger.producers.is_at_work)
    return placed.orders


def _refuse(ledger: Ledger, troubles: Sequence[Trouble]) -> None:
    """End the orders of products that the catalogue no longer has; nothing can be sent."""
    by_key = {(trouble.product, trouble.stage): trouble for trouble in troubles}
    for order in ledger.orders.open_orders() if troubles else ():
        trouble = by_key.get((order.product_id, order.stage))
        if trouble is not None:
            ledger.orders.failed(order.id, {"what": trouble.what, "mend": trouble.mend})
