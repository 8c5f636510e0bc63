"""TopviewClient: one method for every endpoint that the pipeline uses. Nothing of Dagster in here.

Failed calls raise classes of errors.py. How an answer becomes an error is in classify.py, how bytes
travel in connections.py, uploads.py and downloads.py.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import TypeVar

import httpx
from pydantic import SecretStr, ValidationError

from topview_pipeline.topview.account import Account
from topview_pipeline.topview.classify import Call, Phase
from topview_pipeline.topview.connections import Connections
from topview_pipeline.topview.downloads import Downloaded, Downloader, Sink
from topview_pipeline.topview.errors import AccountError, NotTopview, Unavailable
from topview_pipeline.topview.fields import what_is_wrong
from topview_pipeline.topview.media import Media
from topview_pipeline.topview.models import (
    Avatar,
    Caption,
    CreditDetail,
    CreditLogEntry,
    Image2VideoRequest,
    Image2VideoResult,
    ImageReplaceRequest,
    ImageReplaceResult,
    RemoveBackgroundRequest,
    RemoveBackgroundResult,
    Submitted,
    Voice,
)
from topview_pipeline.topview.reads import Reads, parsed
from topview_pipeline.topview.retrying import Sleep
from topview_pipeline.topview.timeouts import DEFAULT_TIMEOUTS, Timeouts
from topview_pipeline.topview.uploads import upload

_TaskResult = TypeVar("_TaskResult", RemoveBackgroundResult, ImageReplaceResult, Image2VideoResult)
_Request = RemoveBackgroundRequest | ImageReplaceRequest | Image2VideoRequest

_REMOVE_BACKGROUND = "/v1/common_task/remove_background"
_IMAGE_REPLACE = "/v2/product_avatar/task/image_replace"
_IMAGE2VIDEO = "/v2/product_avatar/task/image2Video"
_CREDIT_DETAIL = "/user/credit/detail"
_PAGE_SIZE = 100


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


class TopviewClient:
    """Topview over HTTP, for one account. Use it with `async with`, in one event loop.

    A submit is sent once and never repeated in here. A query is one attempt: whoever polls is the
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
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        """
        Args:
            base_url: Where the API is; https, or plain http on this machine.
            uid: The account's id (`Topview-Uid`).
            api_key: Its key.
            timeouts: See Timeouts.
            transport: Carries the API calls instead of the network; for tests.
            media_transport: Carries storage PUTs and downloads instead of the network; for tests.
            sleep: Waits between attempts, in seconds.
            now: The current UTC time; a Retry-After date counts from it.

        Raises:
            ValueError: A setting cannot work; it is named as the environment names it.
        """
        key = api_key.get_secret_value() if isinstance(api_key, SecretStr) else api_key
        self._account = Account.read(base_url=base_url, uid=uid, api_key=key)
        self.timeouts = timeouts
        self._transport = transport
        self._media_transport = media_transport
        self._sleep = sleep
        self._now = now
        self._stack = AsyncExitStack()
        self._opened: Connections | None = None

    def __repr__(self) -> str:
        return f"TopviewClient(base_url={str(self._account.base_url)!r}, uid={self._account.uid!r})"

    async def __aenter__(self) -> "TopviewClient":
        connections = Connections(
            self._account,
            timeouts=self.timeouts,
            transport=self._transport,
            media_transport=self._media_transport,
            now=self._now,
        )
        await connections.open(self._stack)
        self._opened = connections
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._opened = None
        await self._stack.aclose()

    # Submits

    async def submit_remove_background(
        self, request: RemoveBackgroundRequest, *, ids_of_ours: Collection[str] = ()
    ) -> Submitted:
        """Start cutting a product out of its photo.

        Args:
            request: What to do.
            ids_of_ours: The ids in `request` that came from an upload or from an earlier task's
                result, and could be made anew.

        Returns:
            The accepted task. Query it; nothing else tells whether it succeeded.

        Raises:
            SubmitError: Its class says what to do. 4004 is UpstreamGone when there are
                `ids_of_ours`, else Rejected. A cancelled submit must be taken for Ambiguous.
        """
        return await self._submit(_REMOVE_BACKGROUND, request, ids_of_ours)

    async def submit_image_replace(
        self, request: ImageReplaceRequest, *, ids_of_ours: Collection[str] = ()
    ) -> Submitted:
        """Start putting a cut-out into a scene. As submit_remove_background."""
        return await self._submit(_IMAGE_REPLACE, request, ids_of_ours)

    async def submit_image2video(
        self, request: Image2VideoRequest, *, ids_of_ours: Collection[str] = ()
    ) -> Submitted:
        """Start animating a scene. As submit_remove_background."""
        return await self._submit(_IMAGE2VIDEO, request, ids_of_ours)

    # Queries

    async def query_remove_background(self, task_id: str) -> RemoveBackgroundResult:
        """Ask once how far a task is. Its URLs are signed anew with every query.

        Raises:
            QueryError: Its class says what to do.
        """
        return await self._query(_REMOVE_BACKGROUND, task_id, RemoveBackgroundResult)

    async def query_image_replace(self, task_id: str) -> ImageReplaceResult:
        """As query_remove_background."""
        return await self._query(_IMAGE_REPLACE, task_id, ImageReplaceResult)

    async def query_image2video(self, task_id: str) -> Image2VideoResult:
        """As query_remove_background."""
        return await self._query(_IMAGE2VIDEO, task_id, Image2VideoResult)

    # Files

    async def upload(self, data: bytes, *, format: str) -> str:  # noqa: A002 (Topview's own word)
        """Upload a file and return its file id.

        Args:
            data: The whole file.
            format: Its extension: png jpg jpeg bmp webp mp3 wav m4a mp4 avi mov.

        Raises:
            UploadError: Its class says what to do.
        """
        return await upload(
            data,
            extension=format,
            base_url=self._account.base_url,
            connections=self._connections,
            timeouts=self.timeouts.upload,
            sleep=self._sleep,
        )

    async def download(self, url: str, into: Sink, *, max_bytes: int, expect: Media) -> Downloaded:
        """Stream a result into `into`, once, and prove it whole and of the expected kind.

        After an error `into` may hold some bytes: the caller throws them away.

        Args:
            url: A signed URL of a query's result.
            into: A binary file, or an async function that takes the bytes in order.
            max_bytes: The most that is taken.
            expect: "image" (PNG, JPEG, WebP) or "video" (MP4, QuickTime).

        Raises:
            DownloadError: Its class says what to do. What `into` raises passes through.
        """
        downloader = Downloader(
            self._connections.media,
            base_url=self._account.base_url,
            timeouts=self.timeouts.download,
        )
        return await downloader.download(url, into, max_bytes=max_bytes, expect=expect)

    # Account

    async def credit_detail(self) -> CreditDetail:
        """Return whose account it is and what is left.

        Raises:
            QueryError: After a few attempts.
        """
        return await self._reads.one("reading the credits", _CREDIT_DETAIL, {}, CreditDetail)

    async def check_account(self) -> CreditDetail:
        """Prove that the base URL is Topview and takes our credentials, before anything is paid.

        Raises:
            NotTopview: It answers, but with no Topview envelope.
            AccountError: The credentials are refused, or belong to another account.
            QueryError: No usable answer after a few attempts.
        """
        doing = f"checking the account at {self._account.base_url} (TOPVIEW_BASE_URL)"
        result = await self._reads.result(Call(Phase.CHECK, doing), _CREDIT_DETAIL, {})
        try:
            detail = CreditDetail.model_validate(result)
        except ValidationError as error:
            raise NotTopview(what_is_wrong(error), doing=doing) from error
        if detail.uid not in (None, self._account.uid):
            raise AccountError(
                f"the key belongs to account {detail.uid}, but TOPVIEW_UID is {self._account.uid}",
                doing=doing,
            )
        return detail

    async def credit_log(
        self,
        *,
        task_type: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        page_size: int = _PAGE_SIZE,
    ) -> AsyncIterator[CreditLogEntry]:
        """Yield every charge of all pages; the log is read completely when the iteration ends.

        Entries can come twice when the log grows meanwhile, so go by their task id.

        Args:
            task_type: Only this kind, e.g. "pa2_image2video".
            start: Not before; aware.
            end: Not after; aware.
            page_size: Entries asked for at a time.

        Raises:
            QueryError: The rest could not be read.
        """
        params: dict[str, str | int] = {"pageSize": page_size}
        if task_type is not None:
            params["taskType"] = task_type
        if start is not None:
            params["startTime"] = _wire_time(start)
        if end is not None:
            # Topview counts in seconds: round up, so that the last one is in.
            params["endTime"] = _wire_time(end + timedelta(microseconds=999_999))
        path = "/user/credit/logs"
        async for entry in self._reads.pages(
            "reading the credit log", path, params, CreditLogEntry
        ):
            yield entry

    def is_own_key(self, shown: SecretStr) -> bool:
        """Whether the key of a charge, as the credit log shows it, can be this account's own."""
        return self._account.is_own_key(shown.get_secret_value())

    @property
    def server_time(self) -> datetime | None:
        """Topview's clock at its last answer to a read; None when that did not say.

        Clocks of machines are set and drift: what must have waited long enough at Topview is
        measured by Topview's.
        """
        return self._connections.server_time

    # Lists: free to read, so that a catalogue's ids can be checked before money is spent

    async def voices(self, *, custom: bool = False) -> list[Voice]:
        """Return all voices of Topview's, or with `custom` those that the account had cloned.

        What Topview lists without `custom` may lack the account's own: its documentation names
        the parameter (`isCustom`) and not its default.

        Raises:
            QueryError: After a few attempts.
        """
        path, params = "/v1/voice/query", dict[str, str | int](pageSize=_PAGE_SIZE)
        if custom:
            params["isCustom"] = "true"
        return [v async for v in self._reads.pages("reading the voices", path, params, Voice)]

    async def captions(self) -> list[Caption]:
        """Return all caption styles. Raises as voices."""
        return await self._reads.whole_list("reading the captions", "/v1/caption/list", Caption)

    async def public_avatars(self) -> list[Avatar]:
        """Return all public avatars. Raises as voices."""
        path, params = "/v1/product_avatar/public_avatar/query", {"pageSize": _PAGE_SIZE}
        pages = self._reads.pages("reading the public avatars", path, params, Avatar)
        return [avatar async for avatar in pages]

    @property
    def _connections(self) -> Connections:
        if self._opened is None:
            raise RuntimeError("TopviewClient is not open: use `async with TopviewClient(...)`")
        return self._opened

    @property
    def _reads(self) -> Reads:
        return Reads(self._connections, sleep=self._sleep)

    async def _submit(
        self, endpoint: str, request: _Request, ids_of_ours: Collection[str]
    ) -> Submitted:
        doing = f"submitting {_name(endpoint)}"
        call = Call(Phase.SUBMIT, doing, carries_ids_of_ours=bool(ids_of_ours))
        answer = await self._connections.post(call, f"{endpoint}/submit", request.wire())
        return Submitted.model_validate(answer.result)  # classify() proved that it fits

    async def _query(self, endpoint: str, task_id: str, model: type[_TaskResult]) -> _TaskResult:
        doing = f"querying {_name(endpoint)} task {task_id}"
        call = Call(Phase.QUERY, doing)
        answer = await self._connections.get(call, f"{endpoint}/query", {"taskId": task_id})
        result = parsed(answer.result, model, doing)
        if result.task_id != task_id:
            raise Unavailable(f"the answer is about task {result.task_id}", doing=doing)
        return result


def _name(endpoint: str) -> str:
    return endpoint.rpartition("/")[2]


def _wire_time(when: datetime) -> str:
    if when.tzinfo is None:
        raise ValueError("the time must have a zone")
    return when.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
