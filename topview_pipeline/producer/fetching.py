"""From a finished task to its files in the store: download, verify, write, book.

A finished task is paid for: whatever goes wrong here keeps the row `succeeded`, to be fetched
again, until Topview itself no longer has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from topview_pipeline.artifacts import Artifact, StoreError
from topview_pipeline.ledger import IllegalMove, Task, TaskState
from topview_pipeline.producer.desk import Desk
from topview_pipeline.producer.records import record_of
from topview_pipeline.stages.results import Download, TaskResult, downloads_of, kept
from topview_pipeline.topview.errors import (
    DownloadError,
    DownloadUnavailable,
    ForbiddenUrl,
    Incomplete,
    TooLarge,
    UrlExpired,
    WrongType,
)
from topview_pipeline.topview.models import TaskStatus

KEPT_AT_TOPVIEW_SECONDS: Final = 7 * 86400.0
"""Topview keeps results so long (its page on concurrency); a URL's 24 h are its signature's."""
_LONGEST_WAIT_SECONDS: Final = 60.0
_PATIENCE: Final = 5
"""Answers of the same hopeless kind before the order is held and somebody may look."""


class DownloadHeldError(Exception):
    """Finished at Topview and not to be brought into the store now; nothing is lost."""


class _NotYetError(Exception):
    """The files are not here; asking again may help."""

    def __init__(self, reason: str, *, url_is_good: bool = False, hopeless: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.url_is_good = url_is_good
        self.hopeless = hopeless


def expire(desk: Desk, task: Task, why: str) -> Task:
    """The row is out of reach; returned as it is then, whoever moved it."""
    try:
        return desk.ledger.tasks.ended(task.id, TaskState.EXPIRED, why=why, who=desk.me)
    except IllegalMove:
        return desk.ledger.tasks.get(task.id)


class Fetcher:
    """Fetches finished tasks.

    Args:
        query: asks Topview once for newly signed URLs; None is no usable answer.
        is_denied: whether Topview's last answer was that it does not know the task.
    """

    def __init__(
        self,
        desk: Desk,
        query: Callable[[Task], Awaitable[TaskResult | None]],
        is_denied: Callable[[Task], bool],
    ) -> None:
        self._desk = desk
        self._query = query
        self._is_denied = is_denied

    async def fetch(self, task: Task, result: TaskResult | None) -> Task:
        """Bring a succeeded row's files into the store; the row is then stored (or expired).

        Args:
            task: the row.
            result: the finished query's answer, if it is fresh.

        Raises:
            DownloadHeldError: nothing that waiting a little longer would mend.
        """
        wait = self._desk.config.network_seconds
        hopeless = 0
        fresh = result is not None
        while True:
            if result is None:
                result = await self._ask(task)
                fresh = result is not None
            try:
                return await self._try(task, result)
            except _NotYetError as error:
                hopeless += error.hopeless
                if hopeless >= _PATIENCE:
                    raise DownloadHeldError(error.reason) from error
                # Only Topview's own fresh word ends a paid result; no answer proves nothing.
                # Our own limits and rules are no word of Topview's.
                said = fresh and not error.url_is_good and not error.hopeless
                said = said or self._is_denied(task)
                if said and self._out_of_reach(task):
                    why = "finished more than 7 days ago and no longer to be had"
                    return expire(self._desk, task, f"{why}: {error.reason}")
                result = result if error.url_is_good else None
                fresh = False
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT_SECONDS)

    async def _try(self, task: Task, result: TaskResult | None) -> Task:
        files = None if result is None else downloads_of(result)
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
            raise DownloadHeldError(str(error)) from error

    async def _ask(self, task: Task) -> TaskResult | None:
        with self._desk.activity.asking():
            result = await self._query(task)
        return result if result is not None and result.status is TaskStatus.SUCCESS else None

    def _out_of_reach(self, task: Task) -> bool:
        finished = task.succeeded_at or task.reserved_at
        return self._desk.clock() - finished > KEPT_AT_TOPVIEW_SECONDS

    async def _bring(self, task: Task, result: TaskResult, files: tuple[Download, ...]) -> Task:
        anew = self._superseded_before(task)
        folder = self._desk.store.folder(
            account=self._desk.ledger.account,
            product_id=task.product_id,
            stage=task.stage,
            fingerprint=task.fingerprint,
            anew=anew,
        )
        with self._desk.activity.busy():
            artifacts = []
            for file in files:
                artifact = await self._download(file, folder)
                if artifact is not None:
                    artifacts.append(artifact)
            record = {**self._record(task, result, artifacts), "anew": anew}
            await self._desk.offload(self._desk.store.write_result, folder, record)
        return self._stored(task, artifacts)

    def _superseded_before(self, task: Task) -> int:
        """How many rows of its work came before this one and died; result.json says it, too.

        Of several records of one fingerprint the one with the highest `anew` is the row that
        stands for the work; the others are superseded.
        """
        rows = self._desk.ledger.tasks.of_fingerprint(task.fingerprint)
        return sum(row.state is TaskState.SUPERSEDED and row.id < task.id for row in rows)

    async def _download(self, file: Download, folder: str) -> Artifact | None:
        limit = self._desk.config.largest_image
        if file.expect == "video":
            limit = self._desk.config.largest_video
        async with self._desk.transfers:
            with self._desk.store.incoming() as path:
                try:
                    with path.open("wb") as sink:
                        got = await self._desk.client.download(
                            file.url, sink, max_bytes=limit, expect=file.expect
                        )
                except (TooLarge, WrongType, ForbiddenUrl, UrlExpired):
                    if file.required:
                        raise
                    return None
                except DownloadError:
                    raise
                except OSError as error:
                    raise StoreError(
                        f"a download cannot be written ({error})",
                        str(path.parent),
                        "Make room on the disk; the download goes on by itself.",
                    ) from error
                artifact: Artifact = await self._desk.offload(
                    lambda: self._desk.store.keep(
                        path, folder, file.name, sha256=got.sha256, media_type=got.content_type
                    )
                )
                return artifact

    def _record(self, task: Task, result: TaskResult, artifacts: list[Artifact]) -> dict[str, Any]:
        return record_of(
            self._desk.ledger,
            self._desk.ledger.tasks.get(task.id),
            result=kept(result),
            artifacts=artifacts,
            stored_at=self._desk.clock(),
        )

    def _stored(self, task: Task, artifacts: list[Artifact]) -> Task:
        try:
            row = self._desk.ledger.tasks.stored(
                task.id,
                artifacts=[artifact.to_json() for artifact in artifacts],
                who=self._desk.me,
            )
        except IllegalMove:  # another producer stored the same files first
            row = self._desk.ledger.tasks.get(task.id)
        self._desk.activity.progress()
        return row
