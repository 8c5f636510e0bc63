"""Work whose result is in the store and whose row is not in the ledger: it is not paid again.

A ledger restored from a backup lacks the rows made since, and still knows its store. `pairing` sees
a ledger that is lost as a whole.
"""

from __future__ import annotations

from typing import Final

from topview_pipeline.artifacts import StoreError
from topview_pipeline.ledger import HeldReason
from topview_pipeline.producer.desk import Desk
from topview_pipeline.producer.outcomes import HeldError
from topview_pipeline.producer.work import Piece

_AGAIN_SECONDS: Final = 3600.0


async def check_no_row_is_lost(desk: Desk, piece: Piece, fingerprint: str) -> None:
    """Look in the store for work that the ledger has no row of, before it is sent.

    Free work, too: what is paid is made from it, and would be made anew from another result.

    Raises:
        HeldError: the store has it, or does not answer.
    """
    folder = desk.store.folder(
        account=desk.ledger.account,
        product_id=piece.product.product_id,
        stage=piece.stage.key,
        fingerprint=fingerprint,
    )
    until = desk.clock() + _AGAIN_SECONDS
    try:
        is_there = await desk.offload(desk.store.knows_of, folder)
    except StoreError as error:
        raise HeldError(HeldReason.DOWNLOAD, str(error), until=until) from error
    if is_there:
        raise HeldError(
            HeldReason.LOST_ROW,
            f"the store has its result ({folder}), and the ledger has lost the row of it; run "
            "`topview-pipeline tasks rebuild`, or move that folder away to have it made anew if "
            "its result.json cannot be read",
            until=until,
        )
