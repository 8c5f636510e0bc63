"""Notes in the store on which result a product stands, where result.json does not say it."""

from __future__ import annotations

from topview_pipeline.artifacts import StoreError
from topview_pipeline.ledger import Order, Task
from topview_pipeline.producer.desk import Desk
from topview_pipeline.producer.fetching import DownloadHeldError
from topview_pipeline.producer.records import use_of


async def note_use(desk: Desk, order: Order, row: Task) -> None:
    """Let a rebuild of a lost ledger find what this order's product stands on.

    Raises:
        DownloadHeldError: the store does not take it; the row itself is safe.
    """
    if desk.ledger.tasks.is_told_by_its_result(
        order.product_id, order.stage, row, order.created_at
    ):
        return
    folder = desk.store.folder(
        account=desk.ledger.account,
        product_id=order.product_id,
        stage=order.stage,
        fingerprint=row.fingerprint,
    )
    try:
        await desk.offload(desk.store.write_use, folder, use_of(desk.ledger, order, row))
    except StoreError as error:
        raise DownloadHeldError(str(error)) from error
