"""The class of every outcome: submits, reads and files by their tables, and arbitrary answers."""

import json
import ssl
import unicodedata
from collections.abc import Callable, Sequence

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline.topview import errors
from topview_pipeline.topview.envelope import (
    Answer,
    Call,
    Phase,
    classify,
    classify_exception,
    read_answer,
)

SUBMIT = Call(Phase.SUBMIT, "submitting image2Video")
OURS = Call(Phase.SUBMIT, "submitting image2Video", carries_ids_of_ours=True)
QUERY, READ, CHECK, UPLOAD, PUT, DOWNLOAD, BODY = (
    Call(phase, "calling") for phase in Phase if phase is not Phase.SUBMIT
)
TASK = {"taskId": "8aa992b4"}
SENDABLE_AGAIN = (errors.NotSent, errors.Refused, errors.UpstreamGone, errors.AccountError)

Outcome = Answer | Exception


def coded(codes: str, *statuses: int, result: object = None) -> list[Answer]:
    """Answers with each code at each HTTP status, 200 without one."""
    return [
        Answer(status, code, "a message", result)
        for code in codes.split()
        for status in statuses or (200,)
    ]


def bare(*statuses: int) -> list[Answer]:
    """Answers without an envelope."""
    return [Answer(status) for status in statuses]


def broken(*classes: Callable[[str], Exception]) -> list[Exception]:
    return [error("broken") for error in classes]


def results(*values: object) -> list[Answer]:
    return [Answer(200, "200", "Success", value) for value in values]


NEVER_LEFT = broken(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
BROKE_LATER = [
    *broken(httpx.ReadTimeout, httpx.WriteTimeout, httpx.ReadError, httpx.WriteError),
    *broken(httpx.CloseError, httpx.RemoteProtocolError, httpx.LocalProtocolError),
    *broken(httpx.DecodingError, ssl.SSLError, ConnectionResetError, TimeoutError, RuntimeError),
]
SUBMITS: list[tuple[Call, type[errors.TopviewError], Sequence[Outcome]]] = [
    (SUBMIT, errors.NotSent, NEVER_LEFT),
    (SUBMIT, errors.Ambiguous, BROKE_LATER),
    # A listed code decides whatever the status.
    (OURS, errors.Refused, coded("4007 5003 429", 200, 400, 429, 503)),
    (OURS, errors.Rejected, coded("4000 4001 4003 4005 4006 6001", 200, 400, 401, 429, 500)),
    (OURS, errors.UpstreamGone, coded("4004", 200, 404, 500)),
    (SUBMIT, errors.Rejected, coded("4004", 200, 404, 500)),
    (OURS, errors.Ambiguous, coded("5000 5001 5004 5005", 200, 400, 500)),
    # An unlisted one: the status decides, then its own first digit.
    (SUBMIT, errors.Refused, coded("1015", 429)),
    (SUBMIT, errors.Rejected, coded("4012 4022 1 0 abc 403", 200, 400, 403, 404, 422)),
    (SUBMIT, errors.Ambiguous, [*coded("5002 500", 200, 400), *coded("9999", 408, 500, 502)]),
    # Without an envelope a gateway answered, and nothing says what happened behind it.
    (SUBMIT, errors.Refused, bare(429)),
    (SUBMIT, errors.Ambiguous, bare(200, 301, 302, 307, 400, 403, 404, 408, 500, 502, 503, 504)),
    # Code 200 needs a task id, or the word fail and no id.
    (SUBMIT, errors.Rejected, results({"status": "fail", "taskId": None}, {"status": "FAILED"})),
    (SUBMIT, errors.Ambiguous, results(None, [], "text", {}, {"status": "success"})),
    (SUBMIT, errors.Ambiguous, results({"taskId": ""}, {"taskId": "a\x00b"})),
    # An error code beside a task id contradicts itself: it may be paid.
    (OURS, errors.Ambiguous, coded("4000 4004 4007 4100 0 401", 200, 429, result=TASK)),
]
READS: list[tuple[Call, type[errors.TopviewError], Sequence[Outcome]]] = [
    (QUERY, errors.TaskUnknown, coded("4004", 200, 404)),
    (QUERY, errors.QueryRejected, coded("4000 6001 4012")),
    (QUERY, errors.Unavailable, [*coded("4007 5000 5003 5999"), *coded("1", 408, 429, 502)]),
    (QUERY, errors.Unavailable, bare(200, 302, 404, 408, 429, 502)),
    (QUERY, errors.Unavailable, [*NEVER_LEFT, *BROKE_LATER]),
    (READ, errors.QueryRejected, coded("4004 4000")),
    (READ, errors.Unavailable, [*bare(200), *coded("5001")]),
    (CHECK, errors.NotTopview, bare(200, 301, 404)),
    (CHECK, errors.Unavailable, [*bare(408, 429, 503), *NEVER_LEFT]),
    (CHECK, errors.QueryRejected, coded("4000 4004")),
]
FILES: list[tuple[Call, type[errors.TopviewError], Sequence[Outcome]]] = [
    (UPLOAD, errors.UploadUnavailable, [*coded("4004 5003"), *bare(200, 503), *BROKE_LATER]),
    (UPLOAD, errors.UploadRejected, coded("4000")),
    (PUT, errors.UploadUnavailable, [*bare(307, 403, 408, 429, 500), *NEVER_LEFT, *BROKE_LATER]),
    (PUT, errors.UploadRejected, bare(400, 413)),
    (DOWNLOAD, errors.UrlExpired, bare(400, 403, 404, 410)),
    (DOWNLOAD, errors.DownloadUnavailable, [*bare(206, 302, 408, 429, 503), *NEVER_LEFT]),
    (BODY, errors.Incomplete, BROKE_LATER),
]
REFUSED = [*coded("401 4002 4100", 200, 500), *coded("1", 401), *bare(401)]
ACCOUNTS = [(call, errors.AccountError, REFUSED) for call in (SUBMIT, QUERY, READ, CHECK, UPLOAD)]


@pytest.mark.parametrize(("call", "expected", "outcomes"), [*SUBMITS, *READS, *FILES, *ACCOUNTS])
def test_an_outcome_has_the_class_that_decides_what_is_sent_again(
    call: Call, expected: type[errors.TopviewError], outcomes: Sequence[Outcome]
) -> None:
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            assert type(classify_exception(call, outcome)) is expected, outcome
        else:
            assert type(classify(call, outcome)) is expected, outcome


@pytest.mark.parametrize("word", ["success", "fail", None, 7])
def test_code_200_with_a_task_id_is_accepted_whatever_else_it_says(word: object) -> None:
    for answer in coded("200", 200, 202, 401, 429, 500, result={**TASK, "status": word}):
        assert classify(SUBMIT, answer) is None


def test_a_good_answer_is_no_error() -> None:
    good = [(call, answer) for call in (QUERY, READ, CHECK, UPLOAD) for answer in coded("200")]
    stored = [(PUT, answer) for answer in bare(200, 201, 204)]
    for call, answer in [*good, *stored, (DOWNLOAD, Answer(200))]:
        assert classify(call, answer) is None


# Messages


def test_the_message_says_what_was_done_the_verdict_and_the_reason() -> None:
    answer = Answer(429, "4007", "Exists unfinished task", retry_after=30.0)
    error = classify(SUBMIT, answer)
    assert error is not None
    assert error.retry_after == 30.0
    assert str(error) == (
        "submitting image2Video: refused for now, nothing was created: "
        "Exists unfinished task (code 4007, HTTP 429)"
    )


@pytest.mark.parametrize(
    ("call", "answer", "reason"),
    [
        (SUBMIT, Answer(502, content_type="text/html"), "HTTP 502 with text/html instead of a"),
        (SUBMIT, Answer(200), "HTTP 200 with a body of no stated type instead of a Topview answer"),
        (SUBMIT, Answer(200, "4000"), "no message (code 4000)"),
        (PUT, Answer(403), "storage answered with an error (HTTP 403)"),
    ],
)
def test_an_answer_without_words_is_described(call: Call, answer: Answer, reason: str) -> None:
    assert reason in str(classify(call, answer))


def test_a_broken_exchange_commands_no_terminal_with_the_bytes_that_broke_it() -> None:
    error = httpx.RemoteProtocolError("illegal status line: \x1b[2J\r\nmug made")
    message = "RemoteProtocolError: illegal status line: ?[2J mug made"
    assert str(classify_exception(QUERY, error)).endswith(message)


# Arbitrary answers

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
any_results = json_values | st.fixed_dictionaries(
    {}, optional={"taskId": task_ids, "status": json_values, "errorMsg": json_values}
)
envelopes = st.fixed_dictionaries(
    {}, optional={"code": codes | json_values, "message": json_values, "result": any_results}
)
bodies = st.binary() | (envelopes | json_values).map(lambda value: json.dumps(value).encode())
calls = st.sampled_from([SUBMIT, OURS, QUERY, READ, CHECK, UPLOAD, PUT, DOWNLOAD, BODY])
FAMILIES: dict[Phase, tuple[type[errors.TopviewError], ...]] = {
    Phase.SUBMIT: (errors.SubmitError,),
    Phase.CHECK: (errors.QueryError, errors.NotTopview),
    **dict.fromkeys((Phase.QUERY, Phase.READ), (errors.QueryError,)),
    **dict.fromkeys((Phase.UPLOAD, Phase.PUT), (errors.UploadError,)),
    **dict.fromkeys((Phase.DOWNLOAD, Phase.BODY), (errors.DownloadError,)),
}


@given(call=calls, status=st.integers(100, 599), body=bodies, retry_after=st.text())
def test_any_answer_gets_one_class_of_the_calls_own_family(
    call: Call, status: int, body: bytes, retry_after: str
) -> None:
    headers = [(b"retry-after", retry_after.encode("latin-1", "replace"))]
    error = classify(call, read_answer(httpx.Response(status, content=body, headers=headers)))
    assert error is None or isinstance(error, FAMILIES[call.phase])
    str(error).encode("utf-8")
    assert "SIGNATURE" not in str(error)
    assert not [one for one in str(error) if unicodedata.category(one) == "Cc"]


@given(status=st.integers(100, 599), body=bodies, ours=st.booleans())
def test_what_may_be_paid_is_never_sent_again(status: int, body: bytes, ours: bool) -> None:
    """An independent reading of the body: only these facts allow another submit."""
    call = Call(Phase.SUBMIT, "submitting", carries_ids_of_ours=ours)
    error = classify(call, read_answer(httpx.Response(status, content=body)))
    if not isinstance(error, SENDABLE_AGAIN):
        return
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    given_code = value.get("code") if isinstance(value, dict) else None
    code = str(given_code).strip() if type(given_code) in (str, int) else ""
    assert status in (401, 429) or code in {"4007", "5003", "429", "4004", "401", "4002", "4100"}
    if code:
        assert code != "200"
        result = value.get("result")
        task_id = result.get("taskId") if isinstance(result, dict) else None
        assert task_id not in ("8aa992b4", "1798", 1798)


# Reading an answer


BAD_CODES = (b"null", b"true", b'""', b"200.0", b"{}", b"1" * 5000)
NO_ENVELOPES = [
    *(b"", b"<html></html>", b"[]", b"null", b"{}", b"\xff\xfe\x00", b"[" * 100_000),
    *(b'{"code": "200", "result"', *(b'{"code": %s}' % code for code in BAD_CODES)),
]


@pytest.mark.parametrize("body", NO_ENVELOPES)
def test_a_body_that_is_no_envelope_has_no_code(body: bytes) -> None:
    assert read_answer(httpx.Response(200, content=body)).code is None


@pytest.mark.parametrize(("code", "text"), [('"200"', "200"), ("200", "200"), ('" 4007 "', "4007")])
def test_a_code_may_be_text_or_number(code: str, text: str) -> None:
    assert read_answer(httpx.Response(500, text=f'{{"code": {code}}}')) == Answer(
        500, text, content_type="text/plain"
    )


def test_a_message_is_one_short_line_without_our_secrets() -> None:
    message = f"key sk-EXAMPLE\n\tis\x00 wrong\ud800\x1b[31m {'long ' * 500}"
    response = httpx.Response(200, text=json.dumps({"code": "401", "message": message}))
    answer = read_answer(response, hide=("sk-EXAMPLE",))
    assert answer.message.startswith("key *** is? wrong??[31m long long")
    assert len(answer.message) <= 500


@pytest.mark.parametrize("error_msg", ["resolutions: 480, 720.", None, " ", ["x"]])
def test_the_message_is_the_results_error_when_it_has_one(error_msg: object) -> None:
    body = {"code": "200", "message": "Success", "result": {"errorMsg": error_msg}}
    message = error_msg if error_msg == "resolutions: 480, 720." else "Success"
    assert read_answer(httpx.Response(200, json=body)).message == message


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        *[("30", 30.0), ("0", 0.0), ("999999", 3600.0), ("9" * 999, 3600.0)],
        *[("-5", None), ("inf", None), ("soon", None), ("", None)],
        ("Tue, 12 Aug 2025 07:00:40 GMT", 40.0),
        ("Tue, 12 Aug 2025 06:00:00 GMT", 0.0),
        ("Tue, 12 Aug 2025 07:00:40 -0000", 40.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("Tue, 99 Aug 2025 07:00:40 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_at_most_an_hour(
    header: str, seconds: float | None
) -> None:
    headers = {"Retry-After": header, "Date": "Tue, 12 Aug 2025 07:00:00 GMT"}
    assert read_answer(httpx.Response(503, headers=headers)).retry_after == seconds
