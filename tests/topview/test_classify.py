"""Every row of the table "what happened at submit", the same for reads, and arbitrary answers."""

import json
import ssl
import unicodedata
from datetime import datetime, timezone

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline.topview.classify import Call, Phase, classify
from topview_pipeline.topview.errors import (
    AccountError,
    Ambiguous,
    DownloadError,
    DownloadUnavailable,
    Incomplete,
    NotSent,
    NotTopview,
    QueryError,
    QueryRejected,
    Refused,
    Rejected,
    SubmitError,
    TaskUnknown,
    TopviewError,
    Unavailable,
    UploadError,
    UploadRejected,
    UploadUnavailable,
    UpstreamGone,
    UrlExpired,
)
from topview_pipeline.topview.wire import Answer, Envelope, read_answer

SUBMIT = Call(Phase.SUBMIT, "submitting image2Video")
SUBMIT_WITH_OURS = Call(Phase.SUBMIT, "submitting image2Video", carries_ids_of_ours=True)
NOW = datetime(2025, 8, 12, tzinfo=timezone.utc)

LISTED_REJECTED = ["4000", "4001", "4003", "4005", "4006", "6001"]
SENDABLE_AGAIN = (NotSent, Refused, UpstreamGone, AccountError)


def coded(code: str, status: int = 200, result: object = None) -> Answer:
    return Answer(status, Envelope(code, "a message", result))


def bare(status: int) -> Answer:
    return Answer(status, None)


def class_of(call: Call, outcome: Answer | Exception) -> type[TopviewError] | None:
    error = classify(call, outcome)
    return None if error is None else type(error)


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.PoolTimeout("full"),
        httpx.ProxyError("407"),
    ],
)
def test_a_submit_that_never_left_is_not_sent(error: Exception) -> None:
    assert class_of(SUBMIT, error) is NotSent


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadTimeout(""),
        httpx.WriteTimeout(""),
        httpx.ReadError(""),
        httpx.WriteError(""),
        httpx.CloseError(""),
        httpx.RemoteProtocolError("Server disconnected without sending a response."),
        httpx.LocalProtocolError(""),
        httpx.DecodingError(""),
        ssl.SSLError(),
        ConnectionResetError(),
        TimeoutError(),
        RuntimeError("anything"),
    ],
)
def test_a_submit_that_broke_later_may_be_paid(error: Exception) -> None:
    assert class_of(SUBMIT, error) is Ambiguous


@pytest.mark.parametrize("code", ["4007", "5003", "429"])
@pytest.mark.parametrize("status", [200, 400, 429, 503])
def test_a_busy_code_refuses_whatever_the_status(code: str, status: int) -> None:
    assert class_of(SUBMIT, coded(code, status)) is Refused


def test_http_429_refuses_without_an_envelope() -> None:
    assert class_of(SUBMIT, bare(429)) is Refused


def test_http_429_refuses_with_a_code_that_the_table_does_not_list() -> None:
    assert class_of(SUBMIT, coded("1015", 429)) is Refused


def test_4004_is_upstream_gone_only_with_an_id_of_ours() -> None:
    assert class_of(SUBMIT_WITH_OURS, coded("4004")) is UpstreamGone
    assert class_of(SUBMIT, coded("4004")) is Rejected


@pytest.mark.parametrize("code", LISTED_REJECTED)
@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
def test_a_wrong_request_is_rejected_whatever_the_status(code: str, status: int) -> None:
    assert class_of(SUBMIT_WITH_OURS, coded(code, status)) is Rejected


@pytest.mark.parametrize("code", ["4012", "4022", "1", "0", "abc", "403"])
@pytest.mark.parametrize("status", [200, 400, 403, 404, 422])
def test_an_unlisted_code_is_rejected(code: str, status: int) -> None:
    assert class_of(SUBMIT, coded(code, status)) is Rejected


@pytest.mark.parametrize(("code", "status"), [("5002", 200), ("500", 200), ("9999", 500)])
def test_an_unlisted_server_error_may_have_been_accepted(code: str, status: int) -> None:
    assert class_of(SUBMIT, coded(code, status)) is Ambiguous


@pytest.mark.parametrize("word", ["fail", "failed", "FAIL"])
@pytest.mark.parametrize("task_id", [None, ""])
def test_code_200_that_says_fail_without_task_is_rejected(word: str, task_id: object) -> None:
    answer = coded("200", result={"status": word, "taskId": task_id})
    assert class_of(SUBMIT, answer) is Rejected


@pytest.mark.parametrize(
    "answer",
    [
        coded("401"),
        coded("401", 401),
        bare(401),
        coded("4002"),
        coded("4100"),
        coded("40100", 401),
    ],
)
@pytest.mark.parametrize(
    "phase", [Phase.SUBMIT, Phase.QUERY, Phase.READ, Phase.CHECK, Phase.UPLOAD]
)
def test_refused_credentials_or_credits_are_the_accounts_trouble(
    phase: Phase, answer: Answer
) -> None:
    assert class_of(Call(phase, "calling"), answer) is AccountError


@pytest.mark.parametrize("word", ["success", "fail", None, 7])
@pytest.mark.parametrize("status", [200, 202, 401, 429, 500])
def test_code_200_with_a_task_id_is_accepted_whatever_else_it_says(
    status: int, word: object
) -> None:
    answer = coded("200", status, {"taskId": "8aa992b4", "status": word})
    assert classify(SUBMIT, answer) is None


@pytest.mark.parametrize("code", ["5000", "5001", "5004", "5005"])
def test_server_trouble_at_submit_may_have_been_accepted(code: str) -> None:
    assert class_of(SUBMIT_WITH_OURS, coded(code)) is Ambiguous


@pytest.mark.parametrize("status", [200, 301, 302, 307, 400, 403, 404, 408, 500, 502, 503, 504])
def test_a_submit_answered_without_envelope_may_have_been_accepted(status: int) -> None:
    assert class_of(SUBMIT, bare(status)) is Ambiguous


@pytest.mark.parametrize(
    "result", [None, [], "text", {}, {"status": "success"}, {"taskId": ""}, {"taskId": "a\x00b"}]
)
def test_code_200_with_neither_task_nor_fail_may_have_been_accepted(result: object) -> None:
    assert class_of(SUBMIT, coded("200", result=result)) is Ambiguous


@pytest.mark.parametrize("code", ["4000", "4004", "4007", "4100", "0", "401"])
def test_an_error_code_beside_a_task_id_contradicts_itself_and_may_be_paid(code: str) -> None:
    assert class_of(SUBMIT_WITH_OURS, coded(code, 429, {"taskId": "8aa9"})) is Ambiguous


QUERY_ROWS = [
    (coded("4004"), TaskUnknown),
    (coded("4004", 404), TaskUnknown),
    (coded("4000"), QueryRejected),
    (coded("6001"), QueryRejected),
    (coded("4012"), QueryRejected),
    (coded("4007"), Unavailable),
    (coded("5000"), Unavailable),
    (coded("5003"), Unavailable),
    (coded("5999"), Unavailable),
    (coded("1", 502), Unavailable),
    (coded("1", 408), Unavailable),
    (coded("1", 429), Unavailable),
    (bare(200), Unavailable),
    (bare(302), Unavailable),
    (bare(404), Unavailable),
    (bare(408), Unavailable),
    (bare(429), Unavailable),
    (bare(502), Unavailable),
    (httpx.ConnectError(""), Unavailable),
    (httpx.ReadTimeout(""), Unavailable),
    (RuntimeError(""), Unavailable),
]


@pytest.mark.parametrize(("outcome", "expected"), QUERY_ROWS)
def test_a_query_that_gives_nothing_never_fails_the_task(
    outcome: Answer | Exception, expected: type[TopviewError]
) -> None:
    assert class_of(Call(Phase.QUERY, "querying"), outcome) is expected


@pytest.mark.parametrize(
    ("phase", "outcome", "expected"),
    [
        (Phase.READ, coded("4004"), QueryRejected),
        (Phase.READ, bare(200), Unavailable),
        (Phase.CHECK, bare(200), NotTopview),
        (Phase.CHECK, bare(301), NotTopview),
        (Phase.CHECK, bare(404), NotTopview),
        (Phase.CHECK, bare(429), Unavailable),
        (Phase.CHECK, bare(503), Unavailable),
        (Phase.CHECK, httpx.ConnectError(""), Unavailable),
        (Phase.CHECK, coded("4000"), QueryRejected),
        (Phase.UPLOAD, coded("4004"), UploadUnavailable),
        (Phase.UPLOAD, coded("4000"), UploadRejected),
        (Phase.UPLOAD, coded("5003"), UploadUnavailable),
        (Phase.UPLOAD, httpx.ReadError(""), UploadUnavailable),
        (Phase.PUT, bare(403), UploadUnavailable),
        (Phase.PUT, bare(307), UploadUnavailable),
        (Phase.PUT, bare(500), UploadUnavailable),
        (Phase.PUT, bare(413), UploadRejected),
        (Phase.PUT, httpx.WriteTimeout(""), UploadUnavailable),
        (Phase.DOWNLOAD, bare(400), UrlExpired),
        (Phase.DOWNLOAD, bare(403), UrlExpired),
        (Phase.DOWNLOAD, bare(404), UrlExpired),
        (Phase.DOWNLOAD, bare(429), DownloadUnavailable),
        (Phase.DOWNLOAD, bare(503), DownloadUnavailable),
        (Phase.DOWNLOAD, bare(206), DownloadUnavailable),
        (Phase.DOWNLOAD, httpx.ConnectError(""), DownloadUnavailable),
        (Phase.BODY, httpx.ReadError(""), Incomplete),
    ],
)
def test_other_phases(
    phase: Phase, outcome: Answer | Exception, expected: type[TopviewError]
) -> None:
    assert class_of(Call(phase, "calling"), outcome) is expected


@pytest.mark.parametrize("phase", [Phase.QUERY, Phase.READ, Phase.CHECK, Phase.UPLOAD])
def test_a_good_envelope_is_no_error(phase: Phase) -> None:
    assert classify(Call(phase, "reading"), coded("200")) is None


def test_the_message_says_what_was_done_the_verdict_and_the_reason() -> None:
    error = classify(SUBMIT, Answer(429, Envelope("4007", "Exists unfinished task", None), 30.0))
    assert str(error) == (
        "submitting image2Video: refused for now, nothing was created: "
        "Exists unfinished task (code 4007, HTTP 429)"
    )
    assert error is not None
    assert error.retry_after == 30.0


texts = st.text() | st.sampled_from(
    ["half \ud800 character", "nul \x00", "?a=SIGNATURE", "\x1b[31mred\nand a line\x9b2J"]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
codes = st.sampled_from(
    ["200", 200, "4007", 4004, "5000", "401", "0", "", " ", True, None, 200.0, "9" * 99]
)
task_ids = st.sampled_from(["8aa992b4", "1798", 1798, "", None, True]) | json_values
results = json_values | st.fixed_dictionaries(
    {}, optional={"taskId": task_ids, "status": json_values, "errorMsg": json_values}
)
envelopes = st.fixed_dictionaries(
    {}, optional={"code": codes | json_values, "message": json_values, "result": results}
)
bodies = st.binary() | (envelopes | json_values).map(lambda value: json.dumps(value).encode())
calls = st.builds(
    Call, st.sampled_from(Phase), st.just("calling"), carries_ids_of_ours=st.booleans()
)
FAMILIES: dict[Phase, type[TopviewError] | tuple[type[TopviewError], ...]] = {
    Phase.SUBMIT: SubmitError,
    Phase.QUERY: QueryError,
    Phase.READ: QueryError,
    Phase.CHECK: (QueryError, NotTopview),
    Phase.UPLOAD: UploadError,
    Phase.PUT: UploadError,
    Phase.DOWNLOAD: DownloadError,
    Phase.BODY: DownloadError,
}


@given(call=calls, status=st.integers(100, 599), body=bodies, retry_after=st.text())
def test_any_answer_gets_one_class_of_the_calls_own_family(
    call: Call, status: int, body: bytes, retry_after: str
) -> None:
    headers = [(b"retry-after", retry_after.encode("latin-1", "replace"))]
    response = httpx.Response(status, content=body, headers=headers)
    error = classify(call, read_answer(response, now=NOW))
    assert error is None or isinstance(error, FAMILIES[call.phase])
    str(error).encode("utf-8")
    assert "SIGNATURE" not in str(error)
    assert not [one for one in str(error) if unicodedata.category(one) == "Cc"]


def test_a_broken_exchange_commands_no_terminal_with_the_bytes_that_broke_it() -> None:
    broken = httpx.RemoteProtocolError("illegal status line: \x1b[2J\r\nmug made")
    error = classify(Call(Phase.QUERY, "asking"), broken)
    assert error.message == "RemoteProtocolError: illegal status line: ?[2J mug made"


@given(status=st.integers(100, 599), body=bodies, ours=st.booleans())
def test_what_may_be_paid_is_never_sent_again(status: int, body: bytes, ours: bool) -> None:
    """An independent reading of the body: only these facts allow another submit."""
    call = Call(Phase.SUBMIT, "submitting", carries_ids_of_ours=ours)
    error = classify(call, read_answer(httpx.Response(status, content=body), now=NOW))
    if not isinstance(error, SENDABLE_AGAIN):
        return
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    has_code = (
        isinstance(value, dict)
        and isinstance(value.get("code"), (str, int))
        and not isinstance(value["code"], bool)
        and str(value["code"]).strip() != ""
    )
    code = str(value["code"]).strip() if has_code else None
    assert status in (401, 429) or code in {"4007", "5003", "429", "4004", "401", "4002", "4100"}
    if has_code:
        assert code != "200"
        result = value.get("result")
        task_id = result.get("taskId") if isinstance(result, dict) else None
        assert task_id not in ("8aa992b4", "1798", 1798)
