"""Queries, credits, the account check and the lists."""

from datetime import datetime, timedelta, timezone
from typing import Any

import httpx
import pytest

from tests.topview.support import TASK, UID, Pauses, client, envelope, html, run
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.errors import (
    AccountError,
    NotTopview,
    QueryError,
    TaskUnknown,
    Unavailable,
)
from topview_pipeline.topview.models import CreditLogEntry, TaskStatus


class Api:
    """Answers with the given responses in turn, and remembers the requests."""

    def __init__(self, *responses: httpx.Response | Exception) -> None:
        self.responses = list(responses)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        response = self.responses.pop(0)
        if isinstance(response, Exception):
            raise response
        return response


async def _query(http: TopviewClient) -> Any:
    async with http:
        return await http.query_image2video(TASK)


async def _check(http: TopviewClient) -> Any:
    async with http:
        return await http.check_account()


async def _log(http: TopviewClient, **window: Any) -> list[CreditLogEntry]:
    async with http:
        return [entry async for entry in http.credit_log(**window)]


def test_each_kind_is_queried_at_its_own_path() -> None:
    api = Api(*[envelope({"taskId": TASK, "status": "running"}) for _ in range(3)])

    async def inside() -> list[TaskStatus]:
        async with client(api) as http:
            return [
                (await http.query_remove_background(TASK)).status,
                (await http.query_image_replace(TASK)).status,
                (await http.query_image2video(TASK)).status,
            ]

    assert run(inside()) == [TaskStatus.RUNNING] * 3
    assert [request.url.path for request in api.requests] == [
        "/v1/common_task/remove_background/query",
        "/v2/product_avatar/task/image_replace/query",
        "/v2/product_avatar/task/image2Video/query",
    ]
    assert all(request.url.params["taskId"] == TASK for request in api.requests)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (html(502), Unavailable),
        (html(200), Unavailable),
        (envelope("no object"), Unavailable),
        (envelope({"status": "success"}), Unavailable),
        (envelope({"taskId": "another", "status": "success"}), Unavailable),
        (httpx.ReadTimeout("slow"), Unavailable),
        (envelope(code="4004"), TaskUnknown),
        (envelope(code="401"), AccountError),
    ],
)
def test_a_query_is_one_attempt_because_the_poller_is_the_retry(
    response: httpx.Response | Exception, expected: type[QueryError]
) -> None:
    api, pauses = Api(response), Pauses()
    with pytest.raises(QueryError, match=f"^querying image2Video task {TASK}: ") as caught:
        run(_query(client(api, sleep=pauses)))
    assert type(caught.value) is expected
    assert (len(api.requests), pauses) == (1, [])


def test_other_reads_are_repeated_a_few_times() -> None:
    api = Api(
        httpx.ConnectError("refused"),
        httpx.Response(429, headers={"Retry-After": "9"}),
        envelope(code="5003", headers={"Retry-After": "999"}),
        envelope({"uid": UID, "remainCredit": 3}),
    )
    pauses = Pauses()
    assert run(_check(client(api, sleep=pauses))).remain_credit == 3.0
    assert pauses == [0.5, 9.0, 30.0]


def test_other_reads_give_up() -> None:
    api = Api(*[html(503)] * 4)
    with pytest.raises(Unavailable, match="HTTP 503 with text/html"):
        run(_check(client(api)))
    assert api.responses == []


def test_the_check_needs_our_uid() -> None:
    api = Api(envelope({"uid": "SOMEBODYELSE", "remainCredit": 3}))
    with pytest.raises(AccountError, match="TOPVIEW_UID is EXAMPLEUID"):
        run(_check(client(api)))


def test_the_check_is_content_with_an_answer_without_uid() -> None:
    assert run(_check(client(Api(envelope({}))))).uid is None


@pytest.mark.parametrize(
    "response",
    [
        html(200),
        html(404),
        httpx.Response(301, headers={"Location": "https://www.topview.test/"}),
        httpx.Response(200, json={"hello": "world"}),
    ],
)
def test_a_wrong_base_url_is_named(response: httpx.Response) -> None:
    with pytest.raises(NotTopview, match="TOPVIEW_BASE_URL"):
        run(_check(client(Api(*[response] * 4))))


def test_a_foreign_json_api_with_a_code_is_not_topview() -> None:
    with pytest.raises(NotTopview):
        run(_check(client(Api(httpx.Response(200, json={"code": 200, "data": {}})))))


def test_one_odd_page_of_a_gateway_does_not_prove_a_wrong_base_url() -> None:
    assert run(_check(client(Api(html(200), envelope({"uid": UID}))))).uid == UID


def entries(*numbers: int) -> list[dict[str, object]]:
    return [{"taskId": f"t{n}", "costCredit": 1, "date": "2025-08-12 07:00:00"} for n in numbers]


def test_the_credit_log_is_read_to_its_end_although_pages_are_short() -> None:
    api = Api(
        envelope({"total": 5, "data": entries(1, 2)}),
        envelope(code="5003"),
        envelope({"total": 5, "data": entries(3, 4)}),
        envelope({"total": 5, "data": entries(5)}),
    )
    start = datetime(2025, 8, 12, 9, 0, tzinfo=timezone(timedelta(hours=2)))
    end = datetime(2025, 8, 13, 0, 0, 0, 1, tzinfo=timezone.utc)
    log = run(_log(client(api), task_type="pa2_image2video", start=start, end=end))
    assert [entry.task_id for entry in log] == ["t1", "t2", "t3", "t4", "t5"]
    assert [request.url.params["pageNo"] for request in api.requests] == ["1", "2", "2", "3"]
    assert dict(api.requests[0].url.params) == {
        "pageSize": "100",
        "taskType": "pa2_image2video",
        "startTime": "2025-08-12 07:00:00",
        "endTime": "2025-08-13 00:00:01",
        "pageNo": "1",
    }


def test_a_list_without_total_ends_with_an_empty_page() -> None:
    api = Api(
        envelope({"data": entries(1)}), envelope({"data": entries(2)}), envelope({"data": None})
    )
    assert len(run(_log(client(api)))) == 2


def test_a_server_that_ignores_the_page_number_is_not_taken_for_a_complete_log() -> None:
    api = Api(*[envelope({"total": 9, "data": entries(1, 2)}) for _ in range(9)])
    with pytest.raises(Unavailable, match="page 2 repeats page 1"):
        run(_log(client(api)))


def test_a_log_that_cannot_be_read_is_not_taken_for_an_empty_one() -> None:
    with pytest.raises(Unavailable):
        run(_log(client(Api(*[envelope({"list": entries(1)})] * 4))))


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        run(_log(client(Api()), start=datetime(2025, 8, 12)))  # noqa: DTZ001 (the bad input)


def test_lists_for_checking_a_catalogue() -> None:
    api = Api(
        envelope({"total": 2, "data": [{"voiceId": "v1"}, {"voiceId": "v2"}]}),
        envelope([{"captionId": "c1", "thumbnail": "https://x.test/c1.png"}]),
        envelope({"total": 1, "data": [{"avatarId": "a1", "minSubsType": "free"}]}),
    )

    async def inside() -> list[object]:
        async with client(api) as http:
            return [
                [voice.voice_id for voice in await http.voices()],
                [caption.caption_id for caption in await http.captions()],
                [avatar.avatar_id for avatar in await http.public_avatars()],
            ]

    assert run(inside()) == [["v1", "v2"], ["c1"], ["a1"]]
    assert [request.url.path for request in api.requests] == [
        "/v1/voice/query",
        "/v1/caption/list",
        "/v1/product_avatar/public_avatar/query",
    ]


def test_captions_that_are_no_list_are_not_taken_for_none() -> None:
    async def inside() -> object:
        async with client(Api(envelope({}))) as http:
            return await http.captions()

    with pytest.raises(Unavailable, match="reading the captions"):
        run(inside())
