"""Uploads in three repeatable steps; downloads whole, of their kind, and from allowed places."""

import asyncio
import gzip
import hashlib
import io
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.topview.support import (
    BASE,
    FILE,
    MP4,
    PNG,
    Handler,
    Pauses,
    Replies,
    answering,
    client,
    envelope,
    html,
    loopback,
    over_sockets,
    unexpected,
    using,
)
from topview_pipeline.topview import errors
from topview_pipeline.topview.http import Downloaded, Media

# Uploads

TARGET = "https://aigc.s3.test/upload/f.png?X-Amz-Signature=SIGNATURE"
GIVEN = {"fileId": FILE, "fileName": "f.png", "format": "png", "uploadUrl": TARGET}
STORED = httpx.Response(200)
Outcomes = Sequence[httpx.Response | Exception]


class Topview:
    """Gives credentials, takes PUTs, checks; each from a list of answers, the last one for ever."""

    def __init__(self, credential: Outcomes = (), put: Outcomes = (), check: Outcomes = ()) -> None:
        self.credential = Replies(*(credential or [envelope(GIVEN)]))
        self.storage = Replies(*(put or [STORED]))
        self.check = Replies(*(check or [envelope(True)]))
        self.calls: list[str] = []
        self.pauses = Pauses()

    def upload(self, *, accelerate: bool = False) -> str:
        http = client(self._api, self._storage, sleep=self.pauses, accelerate_uploads=accelerate)
        return using(http, lambda http: http.upload(PNG, format="png"))

    def _api(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.rpartition("/")[2]
        self.calls.append(f"{name}?{request.url.query.decode()}")
        return (self.credential if name == "credential" else self.check)(request)

    def _storage(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request.method)
        return self.storage(request)


@pytest.mark.parametrize(("accelerate", "near"), [(False, ""), (True, "&needAccelerateUrl=true")])
def test_an_upload_is_credential_put_and_check_and_storage_gets_no_api_headers(
    accelerate: bool, near: str
) -> None:
    topview = Topview()
    assert topview.upload(accelerate=accelerate) == FILE
    assert topview.calls == [f"credential?format=png{near}", "PUT", f"check?fileId={FILE}"]
    (request,) = topview.storage.requests
    assert request.content == PNG
    assert str(request.url) == TARGET
    assert not {"authorization", "topview-uid"} & set(request.headers)


def test_each_step_is_repeated_alone() -> None:
    topview = Topview(
        credential=[html(503), envelope(GIVEN)],
        put=[httpx.WriteError("reset"), httpx.Response(500), STORED],
        check=[envelope(False), envelope("true")],
    )
    assert topview.upload() == FILE
    assert [call.partition("?")[0] for call in topview.calls] == [
        "credential", "credential", "PUT", "PUT", "PUT", "check", "check",
    ]  # fmt: skip
    assert topview.pauses == [0.5, 0.5, 1.0, 0.5]


LATER = [
    *(Topview(credential=[answer]) for answer in (html(200), envelope({"fileId": FILE}))),
    *(Topview(put=[outcome]) for outcome in (httpx.ReadTimeout("slow"), httpx.Response(403))),
    *(Topview(check=[answer]) for answer in (envelope(False), envelope(code="4004"))),
]
NEVER = [Topview(credential=[envelope(code="4000")]), Topview(put=[httpx.Response(413)])]


@pytest.mark.parametrize("topview", LATER)
def test_an_upload_that_may_work_later_is_unavailable(topview: Topview) -> None:
    with pytest.raises(errors.UploadUnavailable, match=r"^uploading 208 bytes of png: ") as caught:
        topview.upload()
    assert "SIGNATURE" not in str(caught.value)
    assert len(topview.pauses) == 3


@pytest.mark.parametrize("topview", NEVER)
def test_an_upload_that_never_will_work_is_rejected_at_once(topview: Topview) -> None:
    with pytest.raises(errors.UploadRejected):
        topview.upload()
    assert topview.pauses == []


@pytest.mark.parametrize("target", ["http://aigc.s3.test/f.png", "file:///etc/passwd", "::", "x"])
def test_bytes_go_only_where_they_may(target: str) -> None:
    topview = Topview(credential=[envelope({"fileId": FILE, "uploadUrl": target})])
    with pytest.raises(errors.UploadRejected, match="neither https"):
        topview.upload()
    assert topview.storage.requests == []


# Downloads

URL = "https://aigc.s3.test/scene.png?X-Amz-Signature=SIGNATURE"
WEBP = b"RIFF\x20\x00\x00\x00WEBPVP8 " + bytes(50)
JPEG = b"\xff\xd8\xff\xe0" + bytes(50)


class Stream(httpx.AsyncByteStream):
    """A body in chunks, that may break off."""

    def __init__(self, *chunks: bytes, then: Exception | None = None) -> None:
        self.chunks, self.then = chunks, then

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk
        if self.then is not None:
            raise self.then


def download(
    media: Handler,
    into: io.BytesIO | None = None,
    *,
    url: str = URL,
    expect: Media = "image",
    base_url: str = BASE,
) -> Downloaded:
    sink = into or io.BytesIO()
    return using(
        client(media=media, base_url=base_url),
        lambda http: http.download(url, sink, max_bytes=10_000, expect=expect),
    )


def body(*chunks: bytes, then: Exception | None = None, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(200, headers=named, stream=Stream(*chunks, then=then))


@pytest.mark.parametrize(
    ("content", "expect", "content_type"),
    [
        (PNG, "image", "image/png"),
        (JPEG, "image", "image/jpeg"),
        (WEBP, "image", "image/webp"),
        (MP4, "video", "video/mp4"),
        (MP4.replace(b"isom", b"qt  "), "video", "video/quicktime"),
    ],
)
def test_a_download_is_what_was_sent_and_storage_gets_no_api_headers(
    content: bytes, expect: Media, content_type: str
) -> None:
    into, media = io.BytesIO(), Replies(httpx.Response(200, content=content))
    got = download(media, into, expect=expect)
    assert into.getvalue() == content
    assert got == Downloaded(hashlib.sha256(content).hexdigest(), content_type)
    (request,) = media.requests
    assert not {"authorization", "topview-uid"} & set(request.headers)
    assert request.headers["Accept-Encoding"] == "identity"


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, len(PNG)), max_size=6),
    st.sampled_from([{"Content_Length": str(len(PNG))}, {"Transfer_Encoding": "chunked"}]),
)
def test_chunk_borders_do_not_matter(cuts: list[int], end: dict[str, str]) -> None:
    borders = [0, *sorted(cuts), len(PNG)]
    chunks = [PNG[a:b] for a, b in pairwise(borders)]
    into = io.BytesIO()
    download(lambda _: body(*chunks, then=None, **end), into)
    assert into.getvalue() == PNG


@pytest.mark.parametrize("broken", [OSError(28, "No space left"), TimeoutError("disk is gone")])
def test_a_sink_that_breaks_is_not_the_servers_fault(broken: OSError) -> None:
    class BrokenDisk(io.BytesIO):
        def write(self, data: object) -> int:
            raise broken

    with pytest.raises(type(broken)) as caught:
        download(Replies(httpx.Response(200, content=PNG)), BrokenDisk())
    assert caught.value is broken


WRONG, CUT_SHORT = errors.WrongType, errors.Incomplete
GZIPPED = gzip.compress(PNG)
CUT = httpx.RemoteProtocolError("peer closed connection")


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (httpx.Response(403), errors.UrlExpired),
        (httpx.Response(206, content=PNG), errors.DownloadUnavailable),
        (httpx.ReadTimeout("slow"), errors.DownloadUnavailable),
        (httpx.Response(200, html="<html>log in</html>"), WRONG),
        (httpx.Response(200, content=MP4), WRONG),
        (httpx.Response(200, content=b"\x89PNG\r\n\x1a\n"), WRONG),
        (httpx.Response(200, content=b""), errors.Incomplete),
        (body(PNG, Content_Length="500"), errors.Incomplete),
        (body(PNG[:5], Content_Length="500"), errors.Incomplete),
        (body(PNG, Content_Length="20"), errors.Incomplete),
        (body(PNG, then=CUT, Content_Length="500"), errors.Incomplete),
        (body(PNG), errors.Incomplete),
        (body(GZIPPED, Content_Length=str(len(GZIPPED)), Content_Encoding="gzip"), CUT_SHORT),
        (body(Content_Length="10001"), errors.TooLarge),
        (body(PNG, bytes(10_000), Transfer_Encoding="chunked"), errors.TooLarge),
    ],
)
def test_a_download_that_fails_says_what_to_do(
    outcome: httpx.Response | Exception, expected: type[errors.DownloadError]
) -> None:
    place, into = r"^downloading https://aigc.s3.test/scene.png: ", io.BytesIO()
    with pytest.raises(errors.DownloadError, match=place) as got:
        download(Replies(outcome), into)
    assert type(got.value) is expected
    assert into.getvalue() == b"" or expected is not WRONG, "the wrong kind is never written"
    assert "SIGNATURE" not in str(got.value)


ELSEWHERE = [
    *((url, "http://127.0.0.1:8") for url in ("http://127.0.0.1:9/x", "http://169.254.169.254/")),
    *((url, BASE) for url in ("http://aigc.s3.test/x.png", "http://api.topview.test/x.png")),
    *((url, BASE) for url in ("file:///etc/passwd", "ftp://aigc.s3.test/x.png", "/x.png", "")),
    *((url, BASE) for url in ("https://", "https://[::1")),
]


@pytest.mark.parametrize(("url", "base_url"), ELSEWHERE)
def test_a_url_elsewhere_is_not_opened(url: str, base_url: str) -> None:
    with pytest.raises(errors.ForbiddenUrl):
        download(unexpected, url=url, base_url=base_url)


def test_the_sandboxs_own_origin_may_be_plain_http() -> None:
    media = Replies(httpx.Response(200, content=PNG))
    assert download(media, url="http://127.0.0.1:8/x.png", base_url="http://127.0.0.1:8/")


def redirecting(location: str) -> Handler:
    def media(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/scene.png":
            return httpx.Response(302, headers={"Location": location})
        return httpx.Response(200, content=PNG)

    return media


@pytest.mark.parametrize("location", ["https://cdn.test/other.png", "/other.png", "other.png"])
def test_a_redirect_to_an_allowed_place_is_followed(location: str) -> None:
    assert download(redirecting(location)).content_type == "image/png"


@pytest.mark.parametrize(
    ("location", "expected", "message"),
    [
        ("http://cdn.test/o.png", errors.ForbiddenUrl, "http://cdn.test/o.png is neither https"),
        ("http://127.0.0.1/", errors.ForbiddenUrl, "neither https"),
        ("file:///etc/passwd", errors.ForbiddenUrl, "neither https"),
        ("/scene.png", errors.ForbiddenUrl, "more than 4 redirects"),
        ("https://cdn.test:port/", errors.DownloadUnavailable, "RemoteProtocolError"),
    ],
)
def test_a_redirect_elsewhere_or_without_end_is_not_followed(
    location: str, expected: type[errors.DownloadError], message: str
) -> None:
    with pytest.raises(expected, match=message):
        download(redirecting(location))


# Downloads over real sockets


ENDS = b"HTTP/1.1 200 OK\r\n\r\n" + PNG
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + PNG[:100]
CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n" + PNG[:100] + b"\r\n"


@pytest.mark.parametrize(
    ("data", "stall", "limits"),
    [
        *[(data, 0.0, {}) for data in (ENDS, LENGTH, CHUNK)],
        *[(LENGTH, 60.0, limits) for limits in ({}, {"read": 60.0, "whole": 0.2})],
    ],
)
def test_a_download_that_is_cut_or_stalls_is_incomplete(
    data: bytes, stall: float, limits: dict[str, float]
) -> None:
    async def inside() -> None:
        answer = answering(data, stall=stall)
        sockets = {"read": 0.1} | limits
        async with loopback(answer) as server, over_sockets(server.url, **sockets) as http:
            url = f"{server.url}/x.png"
            await http.download(url, io.BytesIO(), max_bytes=1000, expect="image")

    with pytest.raises(errors.Incomplete):
        asyncio.run(inside())
