"""File ids for a request: the given ones, remembered ones, else by uploading the bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from weakref import WeakValueDictionary

from topview_pipeline.catalogue import InputFile
from topview_pipeline.engine.context import Context
from topview_pipeline.engine.events import StoppedError
from topview_pipeline.stages import FileNeeded, PreconditionError
from topview_pipeline.store import StoreError
from topview_pipeline.topview.errors import UploadRejected, UploadUnavailable

_LONGEST_WAIT_SECONDS: Final = 60.0
_FORMATS: Final[Mapping[str, str]] = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
}
"""Topview's word for what a stored picture's bytes are, whatever its name says."""


@dataclass(frozen=True)
class FileIds:
    """The file ids of a request: `by_role`, and by id those whose bytes we have (`ours`)."""

    by_role: Mapping[str, str]
    ours: Mapping[str, FileNeeded]


class Uploader:
    """Uploads each file once per account, however many products share it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        # By hash of the file, for as long as a product waits for one or holds it.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._known: dict[str, str] = {}
        """By hash; one that another run finds dead is found dead here, too."""

    async def ids_for(self, files: Iterable[FileNeeded]) -> FileIds:
        """The ids that a request needs. Raises PreconditionError for a file that cannot be used."""
        by_role: dict[str, str] = {}
        ours: dict[str, FileNeeded] = {}
        for needed in files:
            file_id = await self._id_of(needed)
            by_role[needed.role] = file_id
            if needed.can_be_uploaded:
                ours[file_id] = needed
        return FileIds(by_role, ours)

    async def forget(self, ids: FileIds) -> None:
        """Topview says that an id is gone: none of those that we can make again is used again."""
        for file_id, needed in ids.ours.items():
            if needed.sha256 is not None:
                self._known.pop(needed.sha256, None)
                forget = self._context.ledger.uploads.forget
                await self._context.in_ledger(forget, needed.sha256, file_id=file_id)

    async def _id_of(self, needed: FileNeeded) -> str:
        if needed.given is not None:
            return needed.given
        if needed.sha256 is None:
            raise PreconditionError(
                f"there is no {needed.role} to send",
                fix="remake the stage before it with force",
            )
        lock = self._locks.setdefault(needed.sha256, asyncio.Lock())
        async with lock:
            uploads = self._context.ledger.uploads
            known = self._known.get(needed.sha256)
            if known is None:
                known = await self._context.look(uploads.find, needed.sha256)
            if known is None:
                with self._context.activity.busy():
                    content = await self._content(needed)
                known = await self._upload(needed, content)
                await self._context.in_ledger(
                    uploads.remember, needed.sha256, known, format=content.format
                )
                self._context.activity.progress()
            self._known[needed.sha256] = known
            return known

    async def _content(self, needed: FileNeeded) -> InputFile:
        context = self._context
        if needed.artifact is not None:
            try:
                async with context.reading:
                    data = await context.offload(context.store.read_bytes, needed.artifact)
            except StoreError as error:
                raise PreconditionError(f"{error.where}: {error.what}", fix=error.fix) from error
            kind = _FORMATS.get(needed.artifact.media_type, "png")
            return InputFile(data=data, sha256=needed.artifact.sha256, format=kind)
        content = await context.reader.content(str(needed.source), needed.kind)
        if content.sha256 != needed.sha256:
            raise PreconditionError(
                f"the {needed.role} {needed.source} changed while the run was working",
                fix="run again: the next run uses the new file",
            )
        return content

    async def _upload(self, needed: FileNeeded, content: InputFile) -> str:
        wait = self._context.timing.network
        while True:
            try:
                # A permit for each attempt: a back-off keeps nobody else waiting.
                async with self._context.sending:
                    if self._context.stopping:
                        raise StoppedError
                    with self._context.activity.busy():
                        return await self._context.client.upload(
                            content.data, format=content.format
                        )
            except UploadUnavailable as error:
                await asyncio.sleep(max(wait, error.retry_after or 0.0))
                wait = min(wait * 2, _LONGEST_WAIT_SECONDS)
            except UploadRejected as error:
                raise PreconditionError(
                    f"Topview does not take the {needed.role}: {error}",
                    fix="use another file: png, jpg, bmp or webp; mp3, wav or m4a",
                ) from error


def without_dead_ids(files: Iterable[FileNeeded]) -> tuple[FileNeeded, ...]:
    """The files without Topview's ids, where there are bytes of ours to make new ids from."""
    return tuple(
        replace(needed, given=None) if needed.can_be_uploaded else needed for needed in files
    )
