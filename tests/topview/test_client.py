"""The requests of every endpoint, how often each is sent, secrets, and connections that break."""

import asyncio
import io
import json
import logging
import traceback
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.topview.support import (
    BASE,
    KEY,
    NOW,
    PNG,
    TASK,
    UID,
    Answerer,
    Pauses,
    Replies,
    answering,
    client,
    envelope,
    html,
    http_answer,
    loopback,
    over_sockets,
    refusing,
    using,
)
from topview_pipeline.topview import errors, models
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.errors import Ambiguous, NotSent, Unavailable
from topview_pipeline.topview.http import within
from topview_pipeline.topview.models import Submitted

CUT_OUT = models.RemoveBackgroundRequest(product_image_file_id="dff8")
SCENE = models.ImageReplaceRequest(
    generate_image_mode="auto",
    product_image_without_background_file_id="722e",
    avatar_id="a1",
    image_edit_prompt="hold it",
)
VIDEO = models.Image2VideoRequest(
    replace_product_task_image_id="7e66", tts_text="hello", voice_id="zee"
)
SIGNED = "https://aigc.s3.test/a/b.png?X-Amz-Credential=EXAMPLE&X-Amz-Signature=SIGNATURE"


def submit_video(api: Replies) -> models.Submitted:
    return using(client(api), lambda http: http.submit("image2Video", VIDEO))


def query_video(api: Replies, sleep: Pauses | None = None) -> Any:
    return using(client(api, sleep=sleep), lambda http: http.query("image2Video", TASK))


def check(api: Replies, sleep: Pauses | None = None) -> models.CreditDetail:
    return using(client(api, sleep=sleep), lambda http: http.check_account())


def credit_log(api: Replies, start: datetime = NOW) -> list[models.CreditLogEntry]:
    async def read(http: TopviewClient) -> list[models.CreditLogEntry]:
        return [entry async for entry in http.credit_log(start=start)]

    return using(client(api), read)


# Submits


def test_a_submit_is_a_post_with_both_headers_and_the_body() -> None:
    api = Replies(envelope({"taskId": TASK, "status": "success", "errorMsg": None}))

    async def submit_all(http: TopviewClient) -> set[str]:
        return {
            (await http.submit("remove_background", CUT_OUT)).task_id,
            (await http.submit("image_replace", SCENE)).task_id,
            (await http.submit("image2Video", VIDEO)).task_id,
        }

    assert using(client(api), submit_all) == {TASK}
    assert api.paths == [
        "/v1/common_task/remove_background/submit",
        "/v2/product_avatar/task/image_replace/submit",
        "/v2/product_avatar/task/image2Video/submit",
    ]
    for request, body in zip(api.requests, (CUT_OUT, SCENE, VIDEO), strict=True):
        assert request.method == "POST"
        assert request.headers["Topview-Uid"] == UID
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        assert request.headers["Content-Type"] == "application/json"
        assert json.loads(request.content) == body.wire()


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (html(429), errors.Refused),
        (envelope(code="4004"), errors.Rejected),
        (html(401), errors.AccountError),
        (httpx.Response(302, headers={"Location": "https://x.test/login"}), errors.Ambiguous),
        (httpx.ConnectError("refused"), errors.NotSent),
        (ValueError("anything at all"), errors.Ambiguous),
    ],
)
def test_a_submit_is_sent_once_whatever_comes_back(
    response: httpx.Response | Exception, expected: type[errors.SubmitError]
) -> None:
    api = Replies(response)
    with pytest.raises(errors.SubmitError, match=r"^submitting image2Video: ") as caught:
        submit_video(api)
    assert type(caught.value) is expected
    assert len(api.requests) == 1


# Queries and other reads


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (envelope({"status": "success"}), errors.Unavailable),
        (envelope({"taskId": "another", "status": "success"}), errors.Unavailable),
        (httpx.ReadTimeout("slow"), errors.Unavailable),
        (envelope(code="4004"), errors.TaskUnknown),
    ],
)
def test_a_query_is_one_attempt_because_the_poller_is_the_retry(
    response: httpx.Response | Exception, expected: type[errors.QueryError]
) -> None:
    api, pauses = Replies(response), Pauses()
    with pytest.raises(errors.QueryError, match=f"^querying image2Video task {TASK}: ") as caught:
        query_video(api, pauses)
    assert type(caught.value) is expected
    assert (len(api.requests), pauses) == (1, [])


def test_other_reads_are_repeated_a_few_times_with_the_pauses_that_the_server_asks_for() -> None:
    api = Replies(
        httpx.ConnectError("refused"),
        httpx.Response(429, headers={"Retry-After": "9"}),
        envelope(code="5003", headers={"Retry-After": "999"}),
        envelope({"uid": UID, "remainCredit": 3}),
    )
    pauses = Pauses()
    assert check(api, pauses).remain_credit == 3.0
    assert pauses == [0.5, 9.0, 30.0]
    dead = Replies(html(503))
    with pytest.raises(errors.Unavailable, match="HTTP 503 with text/html"):
        check(dead)
    assert len(dead.requests) == 4


@pytest.mark.parametrize(
    "response",
    [
        html(200),
        html(404),
        httpx.Response(301, headers={"Location": "https://www.topview.test/"}),
        httpx.Response(200, json={"code": 200, "data": {}}),
    ],
)
def test_a_wrong_base_url_is_named_and_no_redirect_is_followed(response: httpx.Response) -> None:
    api = Replies(response)
    with pytest.raises(errors.NotTopview, match="TOPVIEW_BASE_URL"):
        check(api)
    assert {request.url.host for request in api.requests} == {"api.topview.test"}


def test_a_key_of_another_account_is_refused_and_one_odd_page_of_a_gateway_proves_nothing() -> None:
    assert check(Replies(html(200), envelope({"uid": UID}))).uid == UID
    assert check(Replies(html(200), envelope({}))).uid is None  # an answer may lack the uid
    with pytest.raises(errors.AccountError, match="TOPVIEW_UID is EXAMPLEUID"):
        check(Replies(envelope({"uid": "SOMEBODYELSE", "remainCredit": 3})))


def test_the_servers_clock_is_that_of_the_last_read() -> None:
    api = Replies(envelope({}, headers={"Date": "Tue, 12 Aug 2025 07:00:00 GMT"}), envelope({}))

    async def read(http: TopviewClient) -> datetime | None:
        await http.check_account()
        return http.server_time

    assert using(client(api), read) == NOW
    assert using(client(api), read) is None


# Lists


def entries(*numbers: int) -> list[dict[str, object]]:
    return [{"taskId": f"t{n}", "costCredit": 1, "date": "2025-08-12 07:00:00"} for n in numbers]


def test_the_credit_log_is_read_to_its_end_although_pages_are_short() -> None:
    api = Replies(
        envelope({"total": 5, "data": entries(1, 2)}),
        envelope(code="5003"),
        envelope({"total": 5, "data": entries(3, 4)}),
        envelope({"total": 5, "data": entries(5)}),
    )
    log = credit_log(api, datetime(2025, 8, 12, 9, 0, tzinfo=timezone(timedelta(hours=2))))
    assert [entry.task_id for entry in log] == ["t1", "t2", "t3", "t4", "t5"]
    assert [request.url.params["pageNo"] for request in api.requests] == ["1", "2", "2", "3"]
    assert dict(api.requests[0].url.params) == {
        "pageSize": "100",
        "startTime": "2025-08-12 07:00:00",
        "pageNo": "1",
    }


def test_a_list_without_total_ends_with_an_empty_page() -> None:
    pages = [envelope({"data": entries(1)}), envelope({"data": entries(2)})]
    assert len(credit_log(Replies(*pages, envelope({"data": None})))) == 2


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ({"total": 9, "data": entries(1, 2)}, "page 2 repeats page 1"),
        ({"list": entries(1)}, "data: Field required"),
    ],
)
def test_a_log_that_cannot_be_read_is_not_taken_for_a_complete_one(
    page: object, message: str
) -> None:
    with pytest.raises(errors.Unavailable, match=message):
        credit_log(Replies(envelope(page)))


def test_a_charge_of_an_unreadable_task_is_a_charge_without_a_name() -> None:
    """Neither is the log lost, nor may it prove that nothing was charged."""
    log = [*entries(1), {**entries(2)[0], "taskId": {"id": "t2"}}]
    found = credit_log(Replies(envelope({"total": 2, "data": log})))
    assert [(one.task_id, one.cost_credit) for one in found] == [("t1", 1), (None, 1)]


def test_lists_for_checking_a_catalogue_lack_odd_entries_only() -> None:
    api = Replies(
        envelope({"total": 3, "data": [{"voiceId": "v1"}, {"voiceId": ""}, {"voiceId": "v2"}]}),
        envelope({"total": 1, "data": [{"voiceId": "own"}]}),
        envelope([{"captionId": "c1", "thumbnail": "https://x.test/c1.png"}, None]),
    )

    async def read(http: TopviewClient) -> list[list[str]]:
        return [
            [voice.voice_id for voice in await http.voices()],
            [voice.voice_id for voice in await http.voices(custom=True)],
            [caption.caption_id for caption in await http.captions()],
        ]

    assert using(client(api), read) == [["v1", "v2"], ["own"], ["c1"]]
    assert [request.url.raw_path.decode().split("&pageNo")[0] for request in api.requests] == [
        "/v1/voice/query?pageSize=100",
        "/v1/voice/query?isCustom=true&pageSize=100",
        "/v1/caption/list",
    ]


def test_captions_that_are_no_list_are_not_taken_for_none() -> None:
    with pytest.raises(errors.Unavailable, match="reading the captions"):
        using(client(Replies(envelope({}))), lambda http: http.captions())
    with pytest.raises(errors.Unavailable, match="captionId: Field required"):
        using(client(Replies(envelope([{"id": "c1"}]))), lambda http: http.captions())


# Secrets


def test_an_error_drops_signatures_from_its_parts() -> None:
    error = errors.TopviewError(
        f"broke at {SIGNED}", doing=f"downloading {SIGNED}", http_status=500
    )
    for text in (str(error), repr(error), error.where, error.what):
        assert "SIGNATURE" not in text


@pytest.mark.parametrize("shown", [repr, str, lambda http: repr(vars(http))])
def test_a_client_does_not_show_its_key(shown: Callable[[TopviewClient], str]) -> None:
    text = shown(client())
    assert KEY not in text
    assert "Bearer" not in text


def test_a_key_that_the_server_repeats_is_masked() -> None:
    with pytest.raises(errors.QueryRejected, match=r"Bearer \*\*\* refused"):
        query_video(Replies(envelope(code="4006", message=f"Bearer {KEY} refused")))


def test_an_unreadable_result_is_described_without_its_urls() -> None:
    images = [{"imageId": [SIGNED], "url": SIGNED}]
    api = Replies(envelope({"taskId": TASK, "replaceProductResult": images}))
    with pytest.raises(errors.QueryError, match=r"replaceProductResult\.0\.imageId") as caught:
        using(client(api), lambda http: http.query("image_replace", TASK))
    assert "SIGNATURE" not in "".join(traceback.format_exception(caught.value))


def test_httpx_does_not_log_signatures(caplog: pytest.LogCaptureFixture) -> None:
    http = client(media=Replies(httpx.Response(200, content=PNG)))
    with caplog.at_level(logging.DEBUG):
        using(http, lambda h: h.download(SIGNED, io.BytesIO(), max_bytes=1000, expect="image"))
    assert "GET https://aigc.s3.test/a/b.png" in caplog.text
    assert "SIGNATURE" not in caplog.text


@pytest.mark.parametrize("base_url", ["http://api.topview.ai", "http://127.0.0.1.evil.test"])
def test_the_key_never_travels_in_the_clear(base_url: str) -> None:
    with pytest.raises(ValueError, match="must be https"):
        TopviewClient(base_url=base_url, uid=UID, api_key=KEY)


def test_a_key_that_is_shown_masked_may_be_ours_unless_the_rest_of_it_differs() -> None:
    ours = ["sk-EXAMPLE", " sk-EXAMPLE ", "sk-****PLE", "sk-...PLE", "********", "sk-\u2026LE"]
    others = ["sk-OTHER", "sk-EXAMPLE2", "sk-****XYZ", "pk-****PLE"]
    http = TopviewClient(base_url=BASE, uid=UID, api_key=SecretStr(KEY))
    assert [key for key in ours + others if http.is_own_key(SecretStr(key))] == ours


# Real sockets

ACCEPTED = http_answer({"taskId": TASK, "status": "success", "errorMsg": None})
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + PNG[:100]


async def submit(url: str, **limits: float) -> Submitted:
    async with over_sockets(url, **limits) as http:
        return await http.submit("remove_background", CUT_OUT)


def submitted_to(answer: Answerer, **limits: float) -> list[int]:
    """The requests of each connection of a server to which one submit goes."""

    async def inside() -> list[int]:
        async with loopback(answer) as server:
            await submit(server.url, **limits)
            return server.per_connection

    return asyncio.run(inside())


async def reset(writer: asyncio.StreamWriter, _nth: int) -> None:
    writer.transport.abort()


LOST = [
    *(answering(), reset, answering(HALF), answering(b"SSH-2.0-OpenSSH\r\n")),
    *(answering(stall=60.0), answering(HALF, stall=60.0)),
]


@pytest.mark.parametrize("answer", LOST)
def test_an_answer_that_is_lost_after_sending_may_be_paid_and_is_sent_once(
    answer: Answerer,
) -> None:
    async def inside() -> None:
        async with loopback(answer) as server:
            with pytest.raises(Ambiguous):
                await submit(server.url, read=0.1)
            assert server.per_connection == [1]

    asyncio.run(inside())


def test_a_server_that_trickles_is_cut_at_the_whole_time() -> None:
    async def trickle(writer: asyncio.StreamWriter, _nth: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    with pytest.raises(Ambiguous, match=r"took longer than 0\.2 seconds"):
        submitted_to(trickle, whole=0.2)


def test_a_refused_connection_and_a_failed_tls_handshake_were_not_sent() -> None:
    async def inside() -> None:
        async with loopback(answering()) as server:
            await submit(server.url.replace("http:", "https:"), connect=0.2)

    with refusing() as url, pytest.raises(NotSent):
        asyncio.run(submit(url))
    with pytest.raises(NotSent):
        asyncio.run(inside())


def test_a_server_that_closes_kept_connections_loses_no_submit() -> None:
    """The race of keep-alive: the server closes while the next request is on its way."""

    async def answer_once(writer: asyncio.StreamWriter, nth: int) -> None:
        if nth > 1:
            writer.transport.abort()
        else:
            writer.write(ACCEPTED)

    async def inside() -> list[int]:
        async with loopback(answer_once) as server, over_sockets(server.url) as http:
            await http.query("remove_background", TASK)
            for _ in range(3):
                await http.submit("remove_background", CUT_OUT)
            with pytest.raises(Unavailable):  # a query may reuse its connection: it costs nothing
                await http.query("remove_background", TASK)
            return server.per_connection

    assert asyncio.run(inside()) == [2, 1, 1, 1]


def test_a_cancelled_submit_passes_the_cancellation_on() -> None:
    async def inside() -> None:
        async with loopback(answering(stall=60.0)) as server:
            task = asyncio.create_task(submit(server.url))
            while server.per_connection != [1]:
                await asyncio.sleep(0)
            task.cancel()
            await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(inside())


def test_a_proxy_of_the_environment_is_not_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with refusing() as url:
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.setenv("ALL_PROXY", url)
        assert submitted_to(answering(ACCEPTED, keep=True)) == [1]


def test_a_cancellation_that_comes_with_the_answer_is_not_swallowed() -> None:
    """Otherwise a run that ends waits for a poll that goes on for an hour."""

    async def inside() -> bool:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        caller = asyncio.ensure_future(within(60.0, answer))
        await asyncio.sleep(0)
        answer.set_result("done")
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait({caller})
        return caller.cancelled()

    assert asyncio.run(inside())
