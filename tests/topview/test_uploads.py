"""An upload is three repeatable steps. It gives a file id, or an error that says what to do."""

from collections.abc import Callable

import httpx
import pytest

from tests.topview.support import FILE, PNG, Pauses, client, envelope, html, run
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.errors import AccountError, UploadRejected, UploadUnavailable

TARGET = "https://aigc.s3.test/upload/f.png?X-Amz-Signature=SIGNATURE"
STORED = httpx.Response(200)


class Topview:
    """Gives credentials, takes PUTs, checks; each from a list of answers, the last one for ever."""

    def __init__(
        self,
        credential: list[httpx.Response] | None = None,
        put: list[httpx.Response | Exception] | None = None,
        check: list[httpx.Response] | None = None,
    ) -> None:
        given = {"fileId": FILE, "fileName": "f.png", "format": "png", "uploadUrl": TARGET}
        self.credential = credential or [envelope(given)]
        self.put = put or [STORED]
        self.check = check or [envelope(True)]
        self.calls: list[str] = []
        self.stored: list[httpx.Request] = []

    def api(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.rpartition("/")[2]
        self.calls.append(f"{name}?{request.url.query.decode()}")
        answers = self.credential if name == "credential" else self.check
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def storage(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request.method)
        self.stored.append(request)
        answer = self.put.pop(0) if len(self.put) > 1 else self.put[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, sleep: Pauses | None = None) -> TopviewClient:
        return client(self.api, self.storage, sleep=sleep)


def upload(http: TopviewClient, data: bytes = PNG, extension: str = "png") -> str:
    async def inside() -> str:
        async with http:
            return await http.upload(data, format=extension)

    return run(inside())


def test_an_upload_is_credential_put_and_check() -> None:
    topview = Topview()
    assert upload(topview.client(), extension=".PNG") == FILE
    assert topview.calls == ["credential?format=png", "PUT", f"check?fileId={FILE}"]


def test_storage_gets_the_bytes_and_no_api_headers() -> None:
    topview = Topview()
    upload(topview.client())
    (request,) = topview.stored
    assert request.content == PNG
    assert str(request.url) == TARGET
    assert "Authorization" not in request.headers
    assert "Topview-Uid" not in request.headers


def test_each_step_is_repeated_alone() -> None:
    pauses = Pauses()
    topview = Topview(
        credential=[html(503), Topview().credential[0]],
        put=[httpx.WriteError("reset"), httpx.Response(500), STORED],
        check=[envelope(False), envelope("true")],
    )
    assert upload(topview.client(pauses)) == FILE
    assert [call.partition("?")[0] for call in topview.calls] == [
        "credential", "credential", "PUT", "PUT", "PUT", "check", "check",
    ]  # fmt: skip
    assert pauses == [0.5, 0.5, 1.0, 0.5]


@pytest.mark.parametrize(
    "topview",
    [
        lambda: Topview(credential=[html(200)]),
        lambda: Topview(credential=[envelope({"fileId": FILE})]),
        lambda: Topview(put=[httpx.ReadTimeout("slow")]),
        lambda: Topview(put=[httpx.Response(403)]),
        lambda: Topview(check=[envelope(False)]),
        lambda: Topview(check=[envelope(code="4004")]),
    ],
)
def test_what_later_may_work_is_unavailable(topview: Callable[[], Topview]) -> None:
    with pytest.raises(UploadUnavailable, match=r"^uploading 208 bytes of png: "):
        upload(topview().client())


@pytest.mark.parametrize(
    "topview",
    [
        lambda: Topview(credential=[envelope(code="4000")]),
        lambda: Topview(put=[httpx.Response(413)]),
    ],
)
def test_what_never_will_work_is_rejected_at_once(topview: Callable[[], Topview]) -> None:
    pauses = Pauses()
    with pytest.raises(UploadRejected):
        upload(topview().client(pauses))
    assert pauses == []


@pytest.mark.parametrize(("data", "extension"), [(PNG, "gif"), (PNG, ""), (b"", "png")])
def test_what_topview_does_not_take_is_not_sent(data: bytes, extension: str) -> None:
    topview = Topview()
    with pytest.raises(UploadRejected):
        upload(topview.client(), data, extension)
    assert topview.calls == []


def test_refused_credentials_are_the_accounts_trouble() -> None:
    with pytest.raises(AccountError):
        upload(Topview(credential=[html(401)]).client())


@pytest.mark.parametrize("target", ["http://aigc.s3.test/f.png", "file:///etc/passwd", "::", "x"])
def test_bytes_go_only_where_they_may(target: str) -> None:
    topview = Topview(credential=[envelope({"fileId": FILE, "uploadUrl": target})])
    with pytest.raises(UploadRejected, match="neither https"):
        upload(topview.client())
    assert topview.stored == []
