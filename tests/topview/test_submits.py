"""What a submit sends, and that it is sent once whatever comes back."""

import httpx
import pytest

from tests.topview.support import KEY, TASK, UID, client, envelope, html, run, sent
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.errors import (
    AccountError,
    Ambiguous,
    NotSent,
    Refused,
    Rejected,
    SubmitError,
    UpstreamGone,
)
from topview_pipeline.topview.models import (
    Image2VideoRequest,
    ImageReplaceRequest,
    RemoveBackgroundRequest,
    Submitted,
)

VIDEO = Image2VideoRequest(replace_product_task_image_id="7e66", tts_text="hello", voice_id="zee")


def submit_video(http: TopviewClient, *ids_of_ours: str) -> Submitted:
    async def inside() -> Submitted:
        async with http:
            return await http.submit_image2video(VIDEO, ids_of_ours=ids_of_ours)

    return run(inside())


def test_a_submit_is_a_post_with_both_headers_and_the_body() -> None:
    requests: list[httpx.Request] = []

    def api(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return envelope({"taskId": TASK, "status": "success", "errorMsg": None, "noticeUuid": "n1"})

    async def inside() -> list[Submitted]:
        async with client(api) as http:
            return [
                await http.submit_remove_background(
                    RemoveBackgroundRequest(product_image_file_id="dff8")
                ),
                await http.submit_image_replace(
                    ImageReplaceRequest(
                        generate_image_mode="auto",
                        product_image_without_background_file_id="722e",
                        avatar_id="a1",
                        image_edit_prompt="hold it",
                    )
                ),
                await http.submit_image2video(VIDEO),
            ]

    submitted = run(inside())
    assert [(task.task_id, task.notice_uuid) for task in submitted] == [(TASK, "n1")] * 3
    assert [request.url.path for request in requests] == [
        "/v1/common_task/remove_background/submit",
        "/v2/product_avatar/task/image_replace/submit",
        "/v2/product_avatar/task/image2Video/submit",
    ]
    for request in requests:
        assert request.method == "POST"
        assert request.headers["Topview-Uid"] == UID
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        assert request.headers["Content-Type"] == "application/json"
    assert sent(requests[2]) == VIDEO.wire()


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (envelope(code="4007", message="Exists unfinished task"), Refused),
        (html(429), Refused),
        (envelope(code="4000"), Rejected),
        (envelope({"status": "fail", "taskId": None}), Rejected),
        (envelope(code="4100"), AccountError),
        (html(401), AccountError),
        (html(200), Ambiguous),
        (html(502), Ambiguous),
        (envelope(code="5000"), Ambiguous),
        (httpx.Response(302, headers={"Location": "https://elsewhere.test/login"}), Ambiguous),
        (httpx.DecodingError("no gzip"), Ambiguous),
        (httpx.ConnectError("refused"), NotSent),
        (httpx.ReadTimeout("slow"), Ambiguous),
        (ValueError("anything at all"), Ambiguous),
    ],
)
def test_a_submit_is_sent_once_whatever_comes_back(
    response: httpx.Response | Exception, expected: type[SubmitError]
) -> None:
    requests: list[httpx.Request] = []

    def api(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if isinstance(response, Exception):
            raise response
        return response

    with pytest.raises(SubmitError, match=r"^submitting image2Video: ") as caught:
        submit_video(client(api))
    assert type(caught.value) is expected
    assert len(requests) == 1


def test_4004_is_upstream_gone_only_with_ids_of_ours() -> None:
    def api(request: httpx.Request) -> httpx.Response:
        return envelope(code="4004", message="Resource not found!")

    with pytest.raises(UpstreamGone):
        submit_video(client(api), "7e66")
    with pytest.raises(Rejected):
        submit_video(client(api))


@pytest.mark.parametrize(
    ("header", "seconds"), [("12", 12.0), ("Tue, 12 Aug 2025 07:00:05 GMT", 5.0)]
)
def test_a_refused_submit_says_how_long_to_wait(header: str, seconds: float) -> None:
    def api(request: httpx.Request) -> httpx.Response:
        return envelope(code="4007", status=429, headers={"Retry-After": header})

    with pytest.raises(Refused) as caught:
        submit_video(client(api))
    assert (caught.value.retry_after, caught.value.code) == (seconds, "4007")
    assert caught.value.http_status == 429


def test_a_client_that_is_not_open_says_so() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        run(client().submit_image2video(VIDEO))
