"""What a run orders in the ledger, and what cannot be ordered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from topview_pipeline.catalogue import Catalogue
from topview_pipeline.defs.troubles import Trouble, not_in_catalogue
from topview_pipeline.ledger import HeldReason, Ledger, Order, Owner, Wanted
from topview_pipeline.producer import Run
from topview_pipeline.ways_out import HELD

_LOOK_AGAIN_SECONDS: Final = 3600.0


def place(
    ledger: Ledger,
    catalogue: Catalogue,
    wanted: Sequence[Wanted],
    run: Run,
    owner: Owner,
    *,
    credit_limit: float | None,
    keep_limits: bool,
    troubles: list[Trouble],
) -> Mapping[tuple[str, str], Order]:
    """The open orders of a run by (product, stage).

    Args:
        credit_limit: the most credits that they may cost.
        keep_limits: without one, open orders stay under the limit they have.
        troubles: what cannot be ordered is added here.
    """
    missing = list(not_in_catalogue(wanted, catalogue))
    if run.explicit:
        _refuse(ledger, missing)
        troubles += missing
    else:
        troubles += _leave(ledger, catalogue, missing)
    placed = ledger.orders.place(
        [want for want in wanted if want.product_id in catalogue.products],
        run_id=run.run_id,
        root_run_id=run.root_run_id,
        owner=owner.id,
        # The sensor listed open orders: one that a person withdrew since is not made anew.
        only_open=not run.explicit,
        credit_limit=credit_limit,
        keep_limits=keep_limits,
    )
    for (product_id, stage), reason in placed.refused.items():
        troubles.append(Trouble(product_id, stage, "failed", reason, "run again without force"))
    if not run.explicit:
        taken_up = [order.id for order in placed.orders.values()]
        ledger.orders.take_up(taken_up, run_id=run.run_id, is_at_work=ledger.producers.is_at_work)
    return placed.orders


def _refuse(ledger: Ledger, troubles: Sequence[Trouble]) -> None:
    """End the orders of products that the catalogue has not: a person asked, and is told."""
    for order, trouble in _open_orders(ledger, troubles):
        ledger.orders.failed(order.id, {"what": trouble.what, "mend": trouble.mend})


def _leave(ledger: Ledger, catalogue: Catalogue, missing: Sequence[Trouble]) -> Iterator[Trouble]:
    """Leave orders of products that the catalogue has not open, and tell which of them wait.

    What only another catalogue of the account has is its deployment's to make, and is not touched.
    The rest is held: its row may be bad for the moment. What left is retired by
    `ledger.catalogues.obey`.
    """
    products = {trouble.product for trouble in missing}
    of_others = ledger.catalogues.of_others(catalogue.source, products)
    ours = [trouble for trouble in missing if trouble.product not in of_others]
    until = ledger.now() + _LOOK_AGAIN_SECONDS
    for order, trouble in _open_orders(ledger, ours):
        if not ledger.producers.is_alive(order.owner):
            ledger.orders.hold(order.id, HeldReason.CATALOGUE, trouble.what, until=until)
            mend = HELD[HeldReason.CATALOGUE]
            yield replace(trouble, outcome="held", mend=mend)


def _open_orders(ledger: Ledger, troubles: Sequence[Trouble]) -> Iterator[tuple[Order, Trouble]]:
    by_key = {(trouble.product, trouble.stage): trouble for trouble in troubles}
    for order in ledger.orders.open_orders() if troubles else ():
        trouble = by_key.get((order.product_id, order.stage))
        if trouble is not None:
            yield order, trouble
