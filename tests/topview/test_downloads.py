"""A download is whole, of the expected kind, from an allowed place and within its limit."""

import hashlib
import io
from collections.abc import AsyncIterator
from itertools import pairwise

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.topview.support import MP4, PNG, Handler, client, run
from topview_pipeline.topview.downloads import Downloaded
from topview_pipeline.topview.errors import (
    DownloadError,
    DownloadUnavailable,
    ForbiddenUrl,
    Incomplete,
    TooLarge,
    UrlExpired,
    WrongType,
)
from topview_pipeline.topview.media import Media

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
    max_bytes: int = 10_000,
    expect: Media = "image",
    base_url: str = "https://api.topview.test",
) -> Downloaded:
    async def inside() -> Downloaded:
        async with client(media=media, base_url=base_url) as http:
            return await http.download(
                url, into or io.BytesIO(), max_bytes=max_bytes, expect=expect
            )

    return run(inside())


def serving(content: bytes) -> Handler:
    return lambda _: httpx.Response(200, content=content)


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
def test_a_download_is_what_was_sent(content: bytes, expect: Media, content_type: str) -> None:
    into = io.BytesIO()
    got = download(serving(content), into, expect=expect)
    assert into.getvalue() == content
    assert got == Downloaded(len(content), hashlib.sha256(content).hexdigest(), content_type)


@settings(max_examples=25)
@given(st.lists(st.integers(0, len(PNG)), max_size=6))
def test_chunk_borders_do_not_matter(cuts: list[int]) -> None:
    borders = [0, *sorted(cuts), len(PNG)]
    chunks = [PNG[a:b] for a, b in pairwise(borders)]
    into = io.BytesIO()
    got = download(
        lambda _: httpx.Response(
            200, headers={"Content-Length": str(len(PNG))}, stream=Stream(*chunks)
        ),
        into,
    )
    assert into.getvalue() == PNG
    assert got.bytes == len(PNG)


def test_bytes_may_go_to_an_async_function() -> None:
    parts: list[bytes] = []

    async def write(data: bytes) -> None:
        parts.append(data)

    async def inside() -> None:
        async with client(media=serving(PNG)) as http:
            await http.download(URL, write, max_bytes=1000, expect="image")

    run(inside())
    assert b"".join(parts) == PNG


def test_a_sink_that_breaks_is_not_the_servers_fault() -> None:
    class FullDisk(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        download(serving(PNG), FullDisk())


def test_no_api_headers_go_to_storage() -> None:
    requests: list[httpx.Request] = []

    def media(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, content=PNG)

    download(media)
    (request,) = requests
    assert "Authorization" not in request.headers
    assert "Topview-Uid" not in request.headers
    assert request.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (httpx.Response(403), UrlExpired),
        (httpx.Response(400), UrlExpired),
        (httpx.Response(404), UrlExpired),
        (httpx.Response(503), DownloadUnavailable),
        (httpx.Response(429), DownloadUnavailable),
        (httpx.Response(206, content=PNG), DownloadUnavailable),
        (httpx.ConnectError("refused"), DownloadUnavailable),
        (httpx.ReadTimeout("slow"), DownloadUnavailable),
        (httpx.Response(200, html="<html>log in</html>"), WrongType),
        (httpx.Response(200, content=MP4), WrongType),
        (httpx.Response(200, content=b"\x89PNG"), WrongType),
        (httpx.Response(200, content=b""), Incomplete),
        (
            httpx.Response(200, headers={"Content-Length": "500"}, stream=Stream(PNG)),
            Incomplete,
        ),
        (
            httpx.Response(200, headers={"Content-Length": "500"}, stream=Stream(PNG[:5])),
            Incomplete,
        ),
        (
            httpx.Response(200, headers={"Content-Length": "20"}, stream=Stream(PNG)),
            Incomplete,
        ),
        (
            httpx.Response(
                200,
                headers={"Content-Length": "500"},
                stream=Stream(PNG, then=httpx.RemoteProtocolError("peer closed connection")),
            ),
            Incomplete,
        ),
        (httpx.Response(200, stream=Stream(PNG)), Incomplete),
        (
            httpx.Response(
                200,
                headers={"Content-Length": "208", "Content-Encoding": "gzip"},
                stream=Stream(PNG),
            ),
            Incomplete,
        ),
        (httpx.Response(200, headers={"Content-Length": "10001"}), TooLarge),
        (
            httpx.Response(
                200, headers={"Transfer-Encoding": "chunked"}, stream=Stream(PNG, bytes(10_000))
            ),
            TooLarge,
        ),
    ],
)
def test_a_download_that_fails_says_what_to_do(
    outcome: httpx.Response | Exception, expected: type[DownloadError]
) -> None:
    def media(request: httpx.Request) -> httpx.Response:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with pytest.raises(
        DownloadError, match=r"^downloading https://aigc.s3.test/scene.png: "
    ) as got:
        download(media)
    assert type(got.value) is expected
    assert "SIGNATURE" not in str(got.value)


def test_the_wrong_kind_is_never_written() -> None:
    into = io.BytesIO()
    with pytest.raises(WrongType, match="expected image, got video/mp4"):
        download(serving(MP4), into)
    assert into.getvalue() == b""


def test_a_chunked_body_has_its_own_end() -> None:
    got = download(
        lambda _: httpx.Response(200, headers={"Transfer-Encoding": "chunked"}, stream=Stream(PNG))
    )
    assert got.bytes == len(PNG)


@pytest.mark.parametrize(
    ("url", "base_url"),
    [
        ("http://aigc.s3.test/x.png", "https://api.topview.test"),
        ("http://api.topview.test/x.png", "https://api.topview.test"),
        ("http://127.0.0.1:9/x.png", "http://127.0.0.1:8"),
        ("http://169.254.169.254/latest", "http://127.0.0.1:8"),
        ("file:///etc/passwd", "https://api.topview.test"),
        ("ftp://aigc.s3.test/x.png", "https://api.topview.test"),
        ("/x.png", "https://api.topview.test"),
        ("https://", "https://api.topview.test"),
        ("https://[::1", "https://api.topview.test"),
        ("", "https://api.topview.test"),
    ],
)
def test_a_url_elsewhere_is_not_opened(url: str, base_url: str) -> None:
    def media(request: httpx.Request) -> httpx.Response:
        raise AssertionError("opened")

    with pytest.raises(ForbiddenUrl):
        download(media, url=url, base_url=base_url)


def test_the_sandboxs_own_origin_may_be_plain_http() -> None:
    got = download(
        serving(PNG), url="http://127.0.0.1:8/media/x.png", base_url="http://127.0.0.1:8/"
    )
    assert got.bytes == len(PNG)


def redirecting(location: str) -> Handler:
    def media(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/scene.png":
            return httpx.Response(302, headers={"Location": location})
        return httpx.Response(200, content=PNG)

    return media


@pytest.mark.parametrize("location", ["https://cdn.test/other.png", "/other.png", "other.png"])
def test_a_redirect_to_an_allowed_place_is_followed(location: str) -> None:
    assert download(redirecting(location)).bytes == len(PNG)


@pytest.mark.parametrize(
    "location",
    ["http://cdn.test/other.png", "http://127.0.0.1/", "file:///etc/passwd"],
)
def test_a_redirect_elsewhere_is_not_followed(location: str) -> None:
    with pytest.raises(ForbiddenUrl):
        download(redirecting(location))


def test_a_redirect_to_nowhere_is_the_servers_trouble() -> None:
    with pytest.raises(DownloadUnavailable):
        download(redirecting("https://cdn.test:port/"))


def test_redirects_end() -> None:
    with pytest.raises(ForbiddenUrl, match="more than 4 redirects"):
        download(redirecting("/scene.png"))
