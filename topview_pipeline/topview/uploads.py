"""Uploading one file: credential, PUT to storage, check. Every step may be repeated safely."""

import httpx
from pydantic import ValidationError

from topview_pipeline.topview.classify import Call, Phase, classify
from topview_pipeline.topview.connections import Connections
from topview_pipeline.topview.errors import UploadRejected, UploadUnavailable
from topview_pipeline.topview.fields import what_is_wrong
from topview_pipeline.topview.models import UploadCredential
from topview_pipeline.topview.origins import allowed, read_url
from topview_pipeline.topview.retrying import Sleep, retrying
from topview_pipeline.topview.timeouts import CallTimeouts, within
from topview_pipeline.topview.wire import Answer

FORMATS = frozenset({"png", "jpg", "jpeg", "bmp", "webp", "mp3", "wav", "m4a", "mp4", "avi", "mov"})
"""File formats that Topview takes."""


async def upload(
    data: bytes,
    *,
    extension: str,
    base_url: httpx.URL,
    connections: Connections,
    timeouts: CallTimeouts,
    sleep: Sleep,
) -> str:
    """See TopviewClient.upload."""
    extension = extension.lower().lstrip(".")
    doing = f"uploading {len(data)} bytes of {extension}"
    call = Call(Phase.UPLOAD, doing)
    if extension not in FORMATS:
        known = ", ".join(sorted(FORMATS))
        raise UploadRejected(f"Topview takes {known}", doing=doing)
    if not data:
        raise UploadRejected("the file is empty", doing=doing)

    async def credential() -> UploadCredential:
        answer = await connections.get(call, "/v1/upload/credential", {"format": extension})
        return _credential(call, answer)

    async def check() -> None:
        answer = await connections.get(call, "/v1/upload/check", {"fileId": given.file_id})
        if answer.result not in (True, "true"):
            raise UploadUnavailable("Topview does not see the file after its PUT", doing=doing)

    given = await retrying(credential, sleep=sleep)
    target = read_url(given.upload_url)
    if target is None or not allowed(target, base_url):
        raise UploadRejected("the upload URL is neither https nor the API's own", doing=doing)

    async def put() -> None:
        await _put(Call(Phase.PUT, doing), connections.media, target, data, timeouts)

    await retrying(put, sleep=sleep)
    await retrying(check, sleep=sleep)
    return given.file_id


def _credential(call: Call, answer: Answer) -> UploadCredential:
    try:
        return UploadCredential.model_validate(answer.result)
    except ValidationError as error:
        raise UploadUnavailable(
            f"unreadable credential: {what_is_wrong(error)}", doing=call.doing
        ) from error


async def _put(
    call: Call, media: httpx.AsyncClient, target: httpx.URL, data: bytes, timeouts: CallTimeouts
) -> None:
    request = media.build_request("PUT", target, content=data, timeout=timeouts.httpx_timeout())
    try:
        response = await within(timeouts.whole, media.send(request))
    except Exception as broken:
        raise classify(call, broken) from broken
    error = classify(call, Answer(response.status_code, None))
    if error is not None:
        raise error
