"""File ids for a request: the given ones, remembered ones, else by uploading the bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from topview_pipeline.artifacts import StoreError
from topview_pipeline.inputs import InputError, InputFile, audio_seconds
from topview_pipeline.prices import LONGEST_RECORDING_SECONDS
from topview_pipeline.producer.desk import Desk
from topview_pipeline.stages import PreconditionError
from topview_pipeline.stages.requests import FileNeeded
from topview_pipeline.topview.errors import UploadRejected, UploadUnavailable

_LONGEST_WAIT_SECONDS = 60.0
_MEND_LENGTH: Final = "shorten it, or use mode avatar4 (at most 120 s)"
_MEND_INSTEAD: Final = (
    "shorten it: a scene without a face is sent in that mode; or set TOPVIEW_WHEN_NO_FACE=fail"
)
_FORMATS: Mapping[str, str] = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
"""Topview's word for what a stored picture's bytes are, whatever its name says."""


@dataclass(frozen=True)
class FileIds:
    """The ids of a request by role, and which of them can be made anew if they are dead."""

    by_role: Mapping[str, str]
    ours: Mapping[str, FileNeeded]
    """By id."""


class Uploader:
    """Uploads each file once per account, however many products share it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        # By hash of the file, and there for as long as anybody waits for one or holds it.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        # Apart from the downloads': an outage of one must not starve the other.
        self._reading = asyncio.Semaphore(desk.config.parallel_transfers)
        self._sending = asyncio.Semaphore(desk.config.parallel_transfers)

    async def ids_for(self, files: Iterable[FileNeeded], *, mode: str | None) -> FileIds:
        """The ids that a request needs.

        Raises:
            PreconditionError: a file is unreadable, changed, or refused by Topview.
            AccountError: the account's credentials were refused.
        """
        by_role: dict[str, str] = {}
        ours: dict[str, FileNeeded] = {}
        for needed in files:
            file_id = await self._id_of(needed, mode)
            by_role[needed.role] = file_id
            if needed.can_be_uploaded:
                ours[file_id] = needed
        return FileIds(by_role, ours)

    async def prove_recording(self, source: str, modes: Sequence[str]) -> None:
        """Read a recording and check its length before anything is paid for its product.

        Args:
            modes: that it may be sent in, the product's own first.

        Raises:
            PreconditionError: it is no recording, or too long for one of the modes.
        """
        own, *instead = modes
        async with self._reading:
            content = await self._recording(source)
            await self._check_length(source, content, own)
            for mode in instead:
                await self._check_length(source, content, mode, mend=_MEND_INSTEAD)

    async def seconds_of(self, source: str) -> float:
        """How long a recording is.

        Raises:
            PreconditionError: it is no recording.
        """
        async with self._reading:
            content = await self._recording(source)
            seconds: float = await self._desk.offload(audio_seconds, content.data, source)
            return seconds

    async def _recording(self, source: str) -> InputFile:
        try:
            content: InputFile = await self._desk.offload(
                lambda: self._desk.inputs.read(source, kind="audio")
            )
        except InputError as error:
            raise PreconditionError(f"{error.where}: {error.what}", error.mend) from error
        return content

    def forget(self, ids: FileIds) -> None:
        """Topview said that an id is gone: none of those we can make anew is used again."""
        for file_id, needed in ids.ours.items():
            if needed.sha256 is not None:
                self._desk.ledger.uploads.forget(needed.sha256, file_id=file_id)

    async def _id_of(self, needed: FileNeeded, mode: str | None) -> str:
        if needed.given is not None:
            return needed.given
        if needed.sha256 is None:
            raise PreconditionError(
                f"there is no {needed.role} to send", "make the stage before it anew with force"
            )
        lock = self._locks.setdefault(needed.sha256, asyncio.Lock())
        async with lock:
            known = self._desk.ledger.uploads.find(needed.sha256)
            if known is not None and needed.kind != "audio":
                return known
            async with self._reading:
                with self._desk.activity.busy():
                    # A recording's length depends on the mode: it is checked each time.
                    content = await self._content(needed, mode)
            if known is not None:
                return known
            file_id = await self._upload(needed, content)
            self._desk.ledger.uploads.remember(needed.sha256, file_id, format=content.format)
            self._desk.activity.progress()
            return file_id

    async def _content(self, needed: FileNeeded, mode: str | None) -> InputFile:
        try:
            if needed.artifact is not None:
                data = await self._desk.offload(self._desk.store.read_bytes, needed.artifact)
                kind = _FORMATS.get(needed.artifact.media_type, "png")
                return InputFile(data=data, sha256=needed.artifact.sha256, format=kind)
            content: InputFile = await self._desk.offload(
                lambda: self._desk.inputs.read(str(needed.source), kind=needed.kind)
            )
        except (InputError, StoreError) as error:
            raise PreconditionError(f"{error.where}: {error.what}", error.mend) from error
        if content.sha256 != needed.sha256:
            raise PreconditionError(
                f"the {needed.role} {needed.source} changed while the run was working",
                "run again: the new file is taken then",
            )
        if needed.kind == "audio":
            await self._check_length(str(needed.source), content, mode)
        return content

    async def _check_length(
        self, source: str, content: InputFile, mode: str | None, *, mend: str = _MEND_LENGTH
    ) -> None:
        longest = LONGEST_RECORDING_SECONDS.get(mode or "")
        if longest is None:
            return
        seconds: float = await self._desk.offload(audio_seconds, content.data, source)
        if seconds > longest:
            raise PreconditionError(
                f"the audio lasts {seconds:.1f} s, and mode {mode} takes at most {longest:g} s",
                mend,
            )

    async def _upload(self, needed: FileNeeded, content: InputFile) -> str:
        wait = self._desk.config.network_seconds
        while True:
            try:
                # A permit for each attempt: who backs off keeps nobody else waiting.
                async with self._sending:
                    with self._desk.activity.busy():
                        return await self._desk.client.upload(content.data, format=content.format)
            except UploadUnavailable as error:
                await asyncio.sleep(max(wait, error.retry_after or 0.0))
                wait = min(wait * 2, _LONGEST_WAIT_SECONDS)
            except UploadRejected as error:
                raise PreconditionError(
                    f"Topview does not take the {needed.role}: {error}",
                    "use another file: png, jpg, bmp or webp; mp3, wav or m4a",
                ) from error
