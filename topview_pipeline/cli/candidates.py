"""Files of what a lost answer may have been, beside what was sent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from topview_pipeline.ledger import Ledger, Task
from topview_pipeline.stages import BY_KEY, data_version
from topview_pipeline.store import Artifact, Store, StoreError, product_slug
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.errors import TopviewError

_MOST_CANDIDATES: Final = 10
_MOST_BYTES: Final = 2 * 2**30


async def save_candidates(
    client: TopviewClient,
    ledger: Ledger,
    store: Store,
    row: Task,
    task_ids: Sequence[str],
    folder: Path,
) -> list[str]:
    """Save what was sent, in `sent`, and each candidate's files in a folder of its task id.

    Args:
        task_ids: at Topview, the oldest first.

    Returns:
        What could not be had, in sentences.
    """
    troubles: list[str] = []
    _save_sent(ledger, store, row, folder / "sent", troubles)
    for task_id in task_ids[:_MOST_CANDIDATES]:
        await _save(client, row, task_id, folder / product_slug(task_id), troubles)
    if len(task_ids) > _MOST_CANDIDATES:
        troubles.append(f"only the first {_MOST_CANDIDATES} of {len(task_ids)} charges are saved")
    return troubles


async def _save(
    client: TopviewClient, row: Task, task_id: str, folder: Path, troubles: list[str]
) -> None:
    stage = BY_KEY[row.stage]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        files = stage.downloads(await client.query(stage.endpoint, task_id)) or ()
        for file in files:
            partial = folder / f"{file.name}.part"
            with partial.open("wb") as sink:
                await client.download(file.url, sink, max_bytes=_MOST_BYTES, expect=file.expect)
            partial.replace(folder / file.name)
    except TopviewError as error:
        troubles.append(str(error))
    else:
        if not files:
            troubles.append(f"Topview gives no files of task {task_id}")


def _save_sent(ledger: Ledger, store: Store, row: Task, folder: Path, troubles: list[str]) -> None:
    """Save the pictures of the stage before that were sent, if the product still has them."""
    folder.mkdir(parents=True, exist_ok=True)
    stage = BY_KEY[row.stage]
    made = ledger.tasks.last_made(row.product_id, str(stage.upstream))
    if made is None or row.inputs.get(made.stage) != data_version(made.fingerprint):
        troubles.append("the product has other pictures now than those that were sent")
        return
    wanted = stage.upstream_files(row.request or {}, made.result or {})
    try:
        for artifact in map(Artifact.from_json, made.artifacts or ()):
            if artifact.name in wanted:
                (folder / artifact.name).write_bytes(store.read_bytes(artifact))
    except StoreError as error:
        troubles.append(str(error))
