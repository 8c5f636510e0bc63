"""Look-ups in the store: the files of a row, and results whose rows the ledger lost."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from topview_pipeline.engine.context import Context
from topview_pipeline.engine.download import row_of
from topview_pipeline.engine.events import HoldReason, ProductHeldError
from topview_pipeline.ledger import Task, TaskState
from topview_pipeline.stages import WorkItem, fingerprint_of
from topview_pipeline.store import Artifact, StoreError

_AGAIN_SECONDS: Final = 600.0


async def has_files(context: Context, row: Task) -> bool:
    """The store has all files of a stored row. Raises ProductHeldError when it does not answer."""
    if row.state is not TaskState.STORED:
        return False
    artifacts = [Artifact.from_json(one) for one in row.artifacts or ()]
    try:
        return bool(artifacts) and all(
            [await context.offload(context.store.has, one) for one in artifacts]
        )
    except StoreError as error:
        raise _trouble(context, error, row) from error


async def heal(
    context: Context, item: WorkItem, generation: int, known: Collection[str | None]
) -> bool:
    """Heal the ledger: what the store has of this work becomes a stored row, free.

    A forced repeat lies under the next generation; one that has no result is passed over.

    Args:
        known: Topview tasks that rows of the work have: what became of them is decided.

    Raises:
        ProductHeldError: the store does not answer.
    """
    found = False
    while True:
        fingerprint = fingerprint_of(item.work, generation)
        try:
            record = await context.offload(context.store.find, context.ledger.account, fingerprint)
        except StoreError as error:
            raise _trouble(context, error) from error
        generation += 1
        if record == "passed over":
            continue
        if record is None or record.topview_task_id in known:
            return found
        await context.in_ledger(context.ledger.tasks.heal, row_of(record))
        found = True


def _trouble(context: Context, error: StoreError, row: Task | None = None) -> ProductHeldError:
    until = context.clock() + _AGAIN_SECONDS
    return ProductHeldError(HoldReason.DOWNLOAD, str(error), until=until, task=row)
