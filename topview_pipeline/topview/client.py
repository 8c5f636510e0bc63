"""TopviewClient: a method for every kind of call that the pipeline makes. It knows no Dagster.

Failed calls raise the classes of `errors`; `envelope` decides which. Bytes travel in `http` and
`transfers`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime, timezone
from typing import Any, BinaryIO, Final, Literal

import httpx
from pydantic import SecretStr

from topview_pipeline.topview import transfers
from topview_pipeline.topview.envelope import Call, Phase, parse_result
from topview_pipeline.topview.errors import AccountError, Unavailable
from topview_pipeline.topview.http import DEFAULT_TIMEOUTS, Connections, OnAnswer, Sleep, Timeouts
from topview_pipeline.topview.models import (
    Avatar,
    Caption,
    Captions,
    CreditDetail,
    CreditLogEntry,
    Image2VideoResult,
    ImageReplaceResult,
    RemoveBackgroundResult,
    Submitted,
    TaskRequest,
    TaskResult,
    Voice,
)
from topview_pipeline.topview.transfers import Downloaded, Media

Endpoint = Literal["remove_background", "image_replace", "image2Video"]
_ENDPOINTS: Final[Mapping[Endpoint, tuple[str, type[TaskResult]]]] = {
    "remove_background": ("/v1/common_task/remove_background", RemoveBackgroundResult),
    "image_replace": ("/v2/product_avatar/task/image_replace", ImageReplaceResult),
    "image2Video": ("/v2/product_avatar/task/image2Video", Image2VideoResult),
}


class TopviewClient:
    """Topview over HTTP, for one account. Use it with `async with`, once, in one event loop.

    A submit is sent once and never repeated in here. A query is one attempt: the poller is the
    retry. The other reads and the steps of an upload are repeated a few times.
    """

    def __init__(
        self,
        *,
        base_url: str,
        uid: str,
        api_key: str | SecretStr,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        transport: httpx.AsyncBaseTransport | None = None,
        media_transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
        accelerate_uploads: bool = False,
        on_answer: OnAnswer | None = None,
    ) -> None:
        """
        Args:
            base_url: The address of the API; https, or plain http on this machine.
            transport, media_transport: Carry the API calls, and storage PUTs and downloads, instead
                of the network.
            sleep: Waits between attempts, in seconds.
            accelerate_uploads: Upload to addresses that Topview says are quick from afar.
            on_answer: Called with each answer of the API; not with those of storage.

        Raises:
            ValueError: The base URL is plain http, and not on this machine.
        """
        self._base_url = base_url
        self._uid = uid
        self._api_key = api_key if isinstance(api_key, SecretStr) else SecretStr(api_key)
        self._upload_params = {"needAccelerateUrl": "true"} if accelerate_uploads else {}
        self.timeouts = timeouts
        self._connections = Connections(
            base_url=base_url,
            uid=uid,
            api_key=self._api_key.get_secret_value(),
            timeouts=timeouts,
            transport=transport,
            media_transport=media_transport,
            sleep=sleep,
            on_answer=on_answer,
        )

    def __repr__(self) -> str:
        return f"TopviewClient(base_url={self._base_url!r}, uid={self._uid!r})"

    async def __aenter__(self) -> TopviewClient:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._connections.close()

    # Tasks

    async def submit(
        self, endpoint: Endpoint, request: TaskRequest, *, ids_of_ours: Collection[str] = ()
    ) -> Submitted:
        """Start a task.

        Args:
            request: The body; each endpoint has its class of it in `models`.
            ids_of_ours: The ids in `request` that came from an upload or from an earlier task's
                result, and could be renewed: with some, 4004 is UpstreamGone, else Rejected.

        Raises:
            SubmitError: Its class says what to do. A cancelled submit must be taken for Ambiguous.
        """
        path, _ = _ENDPOINTS[endpoint]
        call = Call(Phase.SUBMIT, f"submitting {endpoint}", bool(ids_of_ours))
        answer = await self._connections.post(call, f"{path}/submit", request.wire())
        return Submitted.model_validate(answer.result)  # classify() proved that it fits

    async def query(self, endpoint: Endpoint, task_id: str) -> Any:
        """Ask once how far a task is: the endpoint's result. Every query signs its URLs afresh.

        The class of a QueryError says what to do.
        """
        path, model = _ENDPOINTS[endpoint]
        call = Call(Phase.QUERY, f"querying {endpoint} task {task_id}")
        answer = await self._connections.get(call, f"{path}/query", {"taskId": task_id})
        result = parse_result(call, answer.result, model)
        if result.task_id != task_id:
            raise Unavailable(f"the answer is about task {result.task_id}", doing=call.doing)
        return result

    # Files

    async def upload(self, data: bytes, *, format: str) -> str:  # noqa: A002 (Topview's own word)
        """Upload a file and return its file id.

        Args:
            data: The whole file.
            format: png jpg jpeg bmp webp mp3 wav m4a mp4 avi mov.

        Raises:
            UploadError: Its class says what to do.
        """
        params = {"format": format, **self._upload_params}
        return await transfers.upload(self._connections, data, params)

    async def download(
        self, url: str, into: BinaryIO, *, max_bytes: int, expect: Media
    ) -> Downloaded:
        """Stream a result into `into`, once, and prove it whole and of the expected kind.

        Args:
            url: A signed URL of a query's result.
            into: Takes the bytes; after an error it may hold some, which the caller throws away.
            max_bytes: The most that is taken.
            expect: "image" (PNG, JPEG, WebP) or "video" (MP4, QuickTime).

        Raises:
            DownloadError: Its class says what to do. An error of `into` passes through.
        """
        connections = self._connections
        return await transfers.download(connections, url, into, max_bytes=max_bytes, expect=expect)

    # Account

    async def check_account(self) -> CreditDetail:
        """Prove that the base URL is Topview and takes our credentials, before anything is paid.

        Raises:
            NotTopview: It answers, but with no Topview envelope.
            AccountError: The credentials are refused, or belong to another account.
            QueryError: No usable answer after a few attempts.
        """
        doing = f"checking the account at {self._base_url} (TOPVIEW_BASE_URL)"
        call = Call(Phase.CHECK, doing)
        detail = await self._connections.read(call, "/user/credit/detail", {}, CreditDetail)
        if detail.uid not in (None, self._uid):
            raise AccountError(
                f"the key belongs to account {detail.uid}, but TOPVIEW_UID is {self._uid}",
                doing=doing,
            )
        return detail

    async def credit_log(self, *, start: datetime) -> AsyncIterator[CreditLogEntry]:
        """Yield every charge not before `start`; the log is whole when the iteration ends.

        Entries can come twice when the log grows meanwhile, so go by their task id.

        Raises:
            QueryError: The rest could not be read.
        """
        call = Call(Phase.READ, "reading the credit log")
        params = {"startTime": start.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")}
        pages = self._connections.read_pages(call, "/user/credit/logs", params, CreditLogEntry)
        async for entry in pages:
            yield entry

    def is_own_key(self, shown: SecretStr) -> bool:
        """Return True when a key as the credit log shows it, perhaps as `ab****yz`, can be ours."""
        key = self._api_key.get_secret_value()
        begin, *masked = re.split(r"\*+|\.{3,}|\u2026+", shown.get_secret_value().strip())
        return key.startswith(begin) and key.endswith(masked[-1]) if masked else key == begin

    @property
    def server_time(self) -> datetime | None:
        """Topview's own clock at its last answer to a read; None when that did not say."""
        return self._connections.server_time

    # Lists: free to read, so that a catalogue's ids can be checked before money is spent

    async def voices(self, *, custom: bool = False) -> list[Voice]:
        """Return all voices of Topview's, or with `custom` those that the account had cloned.

        The list without `custom` may lack the account's own: Topview's documentation names the
        parameter (`isCustom`) and not its default. Raises QueryError.
        """
        call = Call(Phase.READ, "reading the voices")
        params = {"isCustom": "true"} if custom else {}
        pages = self._connections.read_pages(call, "/v1/voice/query", params, Voice)
        return [voice async for voice in pages]

    async def captions(self) -> list[Caption]:
        """Return all caption styles. Raises QueryError."""
        call = Call(Phase.READ, "reading the captions")
        return (await self._connections.read(call, "/v1/caption/list", {}, Captions)).root

    async def avatars(self) -> list[Avatar]:
        """Return all public avatars. Raises QueryError."""
        call = Call(Phase.READ, "reading the avatars")
        path = "/v1/product_avatar/public_avatar/query"
        return [one async for one in self._connections.read_pages(call, path, {}, Avatar)]
