"""TopviewClient: a method for every kind of call that the pipeline makes. It knows no Dagster.

Failed calls raise the classes of `errors`; `envelope` decides which. Limits of time, and the proof
of a download, are in `http`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any, BinaryIO, Final, Literal, TypeVar

import httpx
from pydantic import BaseModel, SecretStr, ValidationError

from topview_pipeline.text import forms_of, hide_queries_in_http_logs
from topview_pipeline.topview.envelope import (
    Answer,
    Call,
    Phase,
    classify,
    classify_exception,
    parse_result,
    read_answer,
)
from topview_pipeline.topview.errors import (
    AccountError,
    NotTopview,
    Unavailable,
    UploadRejected,
    UploadUnavailable,
)
from topview_pipeline.topview.http import (
    DEFAULT_TIMEOUTS,
    CallTimeouts,
    Downloaded,
    Media,
    OnAnswer,
    Sleep,
    Timeouts,
    download,
    read_url,
    within,
)
from topview_pipeline.topview.models import (
    Avatar,
    Caption,
    Captions,
    CreditDetail,
    CreditLogEntry,
    Image2VideoResult,
    ImageReplaceResult,
    Page,
    RemoveBackgroundResult,
    Submitted,
    TaskRequest,
    TaskResult,
    UploadCredential,
    Voice,
)

_T = TypeVar("_T")
_Model = TypeVar("_Model", bound=BaseModel)
_Params = Mapping[str, str | int]

Endpoint = Literal["remove_background", "image_replace", "image2Video"]
_ENDPOINTS: Final[Mapping[Endpoint, tuple[str, type[TaskResult]]]] = {
    "remove_background": ("/v1/common_task/remove_background", RemoveBackgroundResult),
    "image_replace": ("/v2/product_avatar/task/image_replace", ImageReplaceResult),
    "image2Video": ("/v2/product_avatar/task/image2Video", Image2VideoResult),
}
"""The sandbox shares none of these paths. A wrong one cannot hide in both: the sandbox must answer
the calls of Topview's own document (tests/sandbox/test_getting_started.py)."""
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_FRESH: Final = httpx.Limits(max_keepalive_connections=0)
_KEPT: Final = httpx.Limits(
    max_keepalive_connections=50, max_connections=200, keepalive_expiry=30.0
)
_ATTEMPTS: Final = 4
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_PAGE_SIZE: Final = 100


def _readable(call: Call, entries: Sequence[object], model: type[_Model]) -> list[_Model]:
    """Return the entries that can be read: an odd one hides no other. Raises when all are odd."""
    found = []
    for entry in entries:
        with suppress(ValidationError):
            found.append(model.model_validate(entry))
    return found or [parse_result(call, entry, model) for entry in entries]


class TopviewClient:
    """Topview over HTTP, for one account. Use it with `async with`, once, in one event loop.

    A submit is sent once and never repeated in here. A query is one attempt: the poller is the
    retry. The other reads and the steps of an upload are repeated a few times. No redirect of the
    API is followed.

    Submits get a fresh connection each: one that the server has closed in the meantime looks like a
    lost answer, and a lost answer blocks paid work. Reads keep connections alive. Media (storage
    PUTs and downloads) carry no API headers; signed storage URLs refuse them.

    Attributes:
        server_time: Topview's own clock at its last answer to a read; None when it did not say.
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
        self._base = base = httpx.URL(base_url)
        is_outside = base.host not in _LOOPBACK
        if is_outside and base.scheme != "https":
            raise ValueError(f"it must be https, not {base_url!r}: the API key would be readable")
        hide_queries_in_http_logs()
        self._base_url, self._uid = base_url, uid
        self._api_key = api_key if isinstance(api_key, SecretStr) else SecretStr(api_key)
        key = self._api_key.get_secret_value()
        # Proxies of the environment are for the world outside, not for a sandbox on this machine.
        verify = httpx.create_ssl_context(trust_env=is_outside)
        common: dict[str, Any] = {"verify": verify, "trust_env": is_outside}
        self._media = httpx.AsyncClient(limits=_KEPT, transport=media_transport, **common)
        headers = {"Topview-Uid": uid, "Authorization": f"Bearer {key}"}
        common |= {"base_url": base, "headers": headers, "transport": transport}
        common |= {"event_hooks": {"response": [] if on_answer is None else [on_answer]}}
        self._submits = httpx.AsyncClient(limits=_FRESH, **common)
        self._reads = httpx.AsyncClient(limits=_KEPT, **common)
        self._upload_params = {"needAccelerateUrl": "true"} if accelerate_uploads else {}
        self.timeouts = timeouts
        self.server_time: datetime | None = None
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"TopviewClient(base_url={self._base_url!r}, uid={self._uid!r})"

    async def __aenter__(self) -> TopviewClient:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for http in (self._submits, self._reads, self._media):
            await http.aclose()

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
        limits, body = self.timeouts.submit, request.wire()
        answer = await self._exchange(
            call, self._submits, limits, "POST", f"{path}/submit", json=body
        )
        return Submitted.model_validate(answer.result)  # classify() proved that it fits

    async def query(self, endpoint: Endpoint, task_id: str) -> Any:
        """Ask once how far a task is. Each query signs its URLs afresh. Raises QueryError."""
        path, model = _ENDPOINTS[endpoint]
        call = Call(Phase.QUERY, f"querying {endpoint} task {task_id}")
        answer = await self._get(call, f"{path}/query", {"taskId": task_id})
        result = parse_result(call, answer.result, model)
        if result.task_id != task_id:
            raise Unavailable(f"the answer is about task {result.task_id}", doing=call.doing)
        return result

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
        detail = await self._read(call, "/user/credit/detail", {}, CreditDetail)
        if detail.uid not in (None, self._uid):
            raise AccountError(
                f"the key belongs to account {detail.uid}, but TOPVIEW_UID is {self._uid}",
                doing=doing,
            )
        return detail

    async def credit_log(self, *, start: datetime) -> AsyncIterator[CreditLogEntry]:
        """Yield every charge not before `start`; the log is whole when the iteration ends.

        Entries can come twice when the log grows meanwhile, so go by their task id. Raises
        QueryError: the rest could not be read.
        """
        call = Call(Phase.READ, "reading the credit log")
        params = {"startTime": start.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")}
        async for entry in self._pages(call, "/user/credit/logs", params):
            yield parse_result(call, entry, CreditLogEntry)

    def is_own_key(self, shown: SecretStr) -> bool:
        """Return True when a key as the credit log shows it, perhaps as `ab****yz`, can be ours."""
        key = self._api_key.get_secret_value()
        begin, *masked = re.split(r"\*+|\.{3,}|\u2026+", shown.get_secret_value().strip())
        return key.startswith(begin) and key.endswith(masked[-1]) if masked else key == begin

    # Lists: free to read, so that a catalogue's ids can be checked before money is spent

    async def voices(self, *, custom: bool = False) -> list[Voice]:
        """Return all voices of Topview's, or with `custom` those that the account had cloned.

        The list without `custom` may lack the account's own: Topview's documentation names the
        parameter (`isCustom`) and not its default. Raises QueryError.
        """
        call = Call(Phase.READ, "reading the voices")
        params = {"isCustom": "true"} if custom else {}
        voices = [one async for one in self._pages(call, "/v1/voice/query", params)]
        return _readable(call, voices, Voice)

    async def captions(self) -> list[Caption]:
        """Return all caption styles. Raises QueryError."""
        call = Call(Phase.READ, "reading the captions")
        captions = await self._read(call, "/v1/caption/list", {}, Captions)
        return _readable(call, captions.root, Caption)

    async def avatars(self) -> list[Avatar]:
        """Return all public avatars. Raises QueryError."""
        call = Call(Phase.READ, "reading the avatars")
        path = "/v1/product_avatar/public_avatar/query"
        return _readable(call, [one async for one in self._pages(call, path, {})], Avatar)

    # Files

    async def upload(self, data: bytes, *, format: str) -> str:  # noqa: A002 (Topview's own word)
        """Upload a whole file and return its file id: credential, PUT to storage, check.

        `format` is png jpg jpeg bmp webp mp3 wav m4a mp4 avi or mov. The class of an UploadError
        says what to do.
        """
        doing = f"uploading {len(data)} bytes of {format}"
        call, params = Call(Phase.UPLOAD, doing), {"format": format, **self._upload_params}
        credential = await self._read(call, "/v1/upload/credential", params, UploadCredential)
        url = read_url(credential.upload_url)
        if url is None or not self._allows(url):
            raise UploadRejected("the upload URL is neither https nor the API's own", doing=doing)

        async def put() -> None:
            limits = self.timeouts.upload
            await self._exchange(
                Call(Phase.PUT, doing), self._media, limits, "PUT", url, content=data
            )

        async def check() -> None:
            answer = await self._get(call, "/v1/upload/check", {"fileId": credential.file_id})
            if answer.result not in (True, "true"):
                raise UploadUnavailable("Topview does not see the file after its PUT", doing=doing)

        await self._retry(put)
        await self._retry(check)
        return credential.file_id

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
        limits, allows = self.timeouts.download, self._allows
        return await download(
            self._media, url, into, limits, allows, max_bytes=max_bytes, expect=expect
        )

    def _allows(self, url: httpx.URL) -> bool:
        """Return True when media may travel to or from `url`: https, or the base's own origin."""
        base = self._base
        is_own = (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)
        return bool(url.host) and (url.scheme == "https" or is_own)

    # Exchanges

    async def _retry(self, step: Callable[[], Awaitable[_T]]) -> _T:
        """Run an idempotent step up to four times. Never used for a submit.

        It is repeated after Unavailable, UploadUnavailable and NotTopview: one odd page of a
        gateway does not prove a wrong base URL. The pauses are 0.5, 1 and 2 seconds, or what the
        server asked for up to 30 seconds.
        """
        for attempt in range(_ATTEMPTS - 1):
            try:
                return await step()
            except (Unavailable, UploadUnavailable, NotTopview) as error:
                pause = max(error.retry_after or 0.0, _FIRST_PAUSE * 2.0**attempt)
                await self._sleep(min(pause, _LONGEST_PAUSE))
        return await step()

    async def _read(self, call: Call, path: str, params: _Params, model: type[_Model]) -> _Model:
        """Read an object, a few times if need be. Raises as the phase of `call` does."""

        async def once() -> _Model:
            return parse_result(call, (await self._get(call, path, params)).result, model)

        return await self._retry(once)

    async def _pages(self, call: Call, path: str, params: _Params) -> AsyncIterator[Any]:
        """Yield the entries of all pages of a list.

        It ends when `total` entries were seen, or with an empty page. A short page is no end: a
        server may give fewer than it was asked for. New entries that push older ones to the next
        page meanwhile make duplicates, never gaps.

        Raises:
            QueryError: The rest could not be read. Unavailable also when a page is the same as the
                one before: the server ignores the page number.
        """
        seen, number, before = 0, 1, None
        while True:
            paging = {"pageSize": _PAGE_SIZE, "pageNo": number}
            page = await self._read(call, path, {**params, **paging}, Page)
            entries = page.data or []
            if entries and entries == before:
                raise Unavailable(f"page {number} repeats page {number - 1}", doing=call.doing)
            for entry in entries:
                yield entry
            seen += len(entries)
            if not entries or (page.total is not None and seen >= page.total):
                return
            number, before = number + 1, entries

    async def _get(self, call: Call, path: str, params: _Params) -> Answer:
        limits = self.timeouts.query
        answer = await self._exchange(call, self._reads, limits, "GET", path, params=params)
        self.server_time = answer.date
        return answer

    async def _exchange(
        self,
        call: Call,
        http: httpx.AsyncClient,
        limits: CallTimeouts,
        method: str,
        url: httpx.URL | str,
        **content: Any,
    ) -> Answer:
        """Send a request once and return a good answer; else raise as classify() decides.

        Cancellation passes through: who cancels a submit must take it for a lost answer.
        """
        request = http.build_request(method, url, timeout=limits.httpx_timeout(), **content)
        try:
            response = await within(limits.whole, http.send(request))
        except Exception as broken:
            # The request may have left; classify() knows which exceptions prove that it did not.
            raise classify_exception(call, broken) from broken
        answer = read_answer(response, hide=forms_of(self._api_key.get_secret_value()))
        error = classify(call, answer)
        if error is not None:
            raise error
        return answer
