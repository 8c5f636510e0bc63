"""Downloads the files of finished tasks into the store, and finds there what is paid for.

Whatever goes wrong with a download keeps the row `succeeded`, to be fetched again, until Topview
itself no longer has the result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

from topview_pipeline.engine.context import Context
from topview_pipeline.engine.events import HoldReason, ProductHeldError
from topview_pipeline.ledger import Task, TaskState
from topview_pipeline.ledger.health import KEPT_AT_TOPVIEW_SECONDS
from topview_pipeline.stages import Download, WorkItem, fingerprint_of
from topview_pipeline.store import Artifact, ResultRecord, StoreError, Times
from topview_pipeline.topview.errors import (
    DownloadError,
    DownloadUnavailable,
    ForbiddenUrl,
    Incomplete,
    TooLarge,
    UrlExpired,
    WrongType,
)
from topview_pipeline.topview.models import TaskResult, TaskStatus

_AGAIN_SECONDS: Final = 600.0
_LONGEST_WAIT_SECONDS: Final = 60.0
_LONGEST_GAP: Final = 3
"""Generations without a result behind which a later one is found in the store."""
_PATIENCE: Final = 5
"""Answers of the same hopeless kind before the product is held and a person may look."""
_LARGEST_BYTES: Final = {"image": 64 * 2**20, "video": 2 * 2**30}

_TIMES: Final = tuple(Times.model_fields)
_COPIED: Final = tuple(
    name
    for name in ResultRecord.model_fields
    if name in Task.__dataclass_fields__ and name not in ("result", "artifacts")
)
"""Columns of a row that the store's record keeps under the same name, as they are."""

Query = Callable[[Task], Awaitable[TaskResult | None]]
"""Asks Topview once; None is no usable answer."""


class _NotYetError(Exception):
    """The files are not here; asking again may help."""

    def __init__(self, reason: str, *, url_is_good: bool = False, hopeless: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.url_is_good = url_is_good
        self.hopeless = hopeless


class Downloader:
    """Brings finished tasks into the store.

    Args:
        query: asks Topview for newly signed URLs.
        is_denied: True if Topview's last answer was that it does not know the task.
    """

    def __init__(self, context: Context, query: Query, is_denied: Callable[[Task], bool]) -> None:
        self._context = context
        self._query = query
        self._is_denied = is_denied

    async def fetch(self, task: Task, result: TaskResult | None) -> Task:
        """Bring a succeeded row's files into the store; the row is then stored (or expired).

        Args:
            result: the finished query's answer, if it is fresh.

        Raises:
            ProductHeldError: waiting a little longer would not help; nothing is lost.
        """
        wait = self._context.timing.network
        hopeless = 0
        fresh = result is not None
        while True:
            if result is None:
                with self._context.activity.asking():
                    found = await self._query(task)
                if found is not None and found.status is TaskStatus.SUCCESS:
                    result = found
                fresh = result is not None
            try:
                return await self._try(task, result)
            except _NotYetError as error:
                hopeless += error.hopeless
                if hopeless >= _PATIENCE:
                    raise _held(self._context, error.reason, task) from error
                # Only Topview's own fresh word ends a paid result; no answer proves nothing, and
                # our own limits and rules are not Topview's word.
                said = fresh and not error.url_is_good and not error.hopeless
                age = self._context.clock() - (task.succeeded_at or task.reserved_at)
                if (said or self._is_denied(task)) and age > KEPT_AT_TOPVIEW_SECONDS:
                    why = "finished more than 7 days ago and Topview no longer gives it"
                    expired = self._context.ledger.tasks.expired
                    return await self._context.moved(expired, task, why=f"{why}: {error.reason}")
                result = result if error.url_is_good else None
                fresh = False
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT_SECONDS)

    async def _try(self, task: Task, result: TaskResult | None) -> Task:
        stage = self._context.by_key[task.stage]
        files = None if result is None else stage.downloads(result)
        if result is None or files is None:
            raise _NotYetError("Topview gives no URL for it")
        try:
            return await self._bring(task, result, files)
        except UrlExpired as error:
            raise _NotYetError(str(error)) from error
        except (Incomplete, DownloadUnavailable) as error:
            raise _NotYetError(str(error), url_is_good=True) from error
        except (TooLarge, WrongType, ForbiddenUrl) as error:
            raise _NotYetError(str(error), hopeless=True) from error
        except StoreError as error:
            raise _held(self._context, str(error), task) from error

    async def _bring(self, task: Task, result: TaskResult, files: tuple[Download, ...]) -> Task:
        context = self._context
        folder = context.store.folder(
            account=context.ledger.account,
            product_id=task.product_id,
            stage=task.stage,
            fingerprint=task.fingerprint,
        )
        with context.activity.busy():
            found = [await self._download(file, folder) for file in files]
            artifacts = [artifact for artifact in found if artifact is not None]
            record = self._record(task, result, artifacts)
            before = range(max(task.generation - _LONGEST_GAP, 0), task.generation)
            fingerprints = [fingerprint_of(task.work, generation) for generation in before]
            await context.offload(context.store.write_result, record, fingerprints)
        kept = [artifact.to_json() for artifact in artifacts]
        task = await context.moved(context.ledger.tasks.stored, task, artifacts=kept)
        context.activity.progress()
        return task

    def _record(self, row: Task, result: TaskResult, artifacts: list[Artifact]) -> ResultRecord:
        times = {name: getattr(row, name) for name in _TIMES}
        return ResultRecord(
            account=self._context.ledger.account,
            credits=row.cost_credits,
            times=Times(**{**times, "stored_at": self._context.clock()}),
            result=self._context.by_key[row.stage].kept(result),
            artifacts=tuple(artifacts),
            **{name: getattr(row, name) for name in _COPIED},
        )

    async def _download(self, file: Download, folder: str) -> Artifact | None:
        context = self._context
        async with context.downloading:
            with context.store.incoming() as path:
                try:
                    with path.open("wb") as sink:
                        got = await context.client.download(
                            file.url,
                            sink,
                            max_bytes=_LARGEST_BYTES[file.expect],
                            expect=file.expect,
                        )
                except DownloadError:
                    if file.required:
                        raise
                    return None
                except OSError as error:
                    raise StoreError(
                        f"a download cannot be written ({error})",
                        str(path.parent),
                        "Make room on the disk; the download continues then.",
                    ) from error
                artifact: Artifact = await context.offload(
                    lambda: context.store.keep(
                        path, folder, file.name, sha256=got.sha256, media_type=got.content_type
                    )
                )
                return artifact


def row_of(record: ResultRecord) -> dict[str, Any]:
    """The columns of a stored row, from the record that the store keeps of it."""
    return {
        **{name: getattr(record, name) for name in _COPIED},
        **{name: getattr(record.times, name) for name in _TIMES},
        "cost_credits": record.credits,
        "result": record.result,
        "artifacts": [artifact.to_json() for artifact in record.artifacts],
    }


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
        raise _held(context, str(error), row) from error


async def heal(
    context: Context, item: WorkItem, generation: int, known: Collection[str | None]
) -> bool:
    """Heal the ledger: what the store has of this work becomes a stored row, free.

    A forced repeat lies under the next generation; one that has no result is passed over.

    Args:
        known: Topview tasks that rows of the work have: what became of them is decided.
    """
    found = False
    while True:
        fingerprint = fingerprint_of(item.work, generation)
        try:
            record = await context.offload(context.store.find, context.ledger.account, fingerprint)
        except StoreError as error:
            raise _held(context, str(error)) from error
        generation += 1
        if record == "passed over":
            continue
        if record is None or record.topview_task_id in known:
            return found
        await context.in_ledger(context.ledger.tasks.heal, row_of(record))
        found = True


def _held(context: Context, what: str, row: Task | None = None) -> ProductHeldError:
    until = context.clock() + _AGAIN_SECONDS
    return ProductHeldError(HoldReason.DOWNLOAD, what, until=until, task=row)
