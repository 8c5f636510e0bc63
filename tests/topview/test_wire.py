"""What counts as an envelope, and what Retry-After says."""

import json
from datetime import datetime, timezone

import httpx
import pytest

from topview_pipeline.topview.wire import read_answer, read_retry_after

NOW = datetime(2025, 8, 12, 7, 0, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"[]",
        b"null",
        b"{}",
        b'{"code": null}',
        b'{"code": true}',
        b'{"code": ""}',
        b'{"code": 200.0}',
        b'{"code": {}}',
        b'{"code": "200", "result"',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"code": ' + b"1" * 5000 + b"}",
    ],
)
def test_what_is_no_envelope(body: bytes) -> None:
    assert read_answer(httpx.Response(200, content=body), now=NOW).envelope is None


@pytest.mark.parametrize(("code", "read"), [('"200"', "200"), ("200", "200"), ('" 4007 "', "4007")])
def test_a_code_may_be_text_or_number(code: str, read: str) -> None:
    body = f'{{"code": {code}}}'
    envelope = read_answer(httpx.Response(500, text=body), now=NOW).envelope
    assert envelope is not None
    assert (envelope.code, envelope.message, envelope.result) == (read, "", None)


def test_a_message_is_one_short_line_without_our_secrets() -> None:
    message = f"key sk-EXAMPLE\n\tis\x00 wrong\ud800\x1b[31m {'long ' * 500}"
    body = json.dumps({"code": "401", "message": message})
    response = httpx.Response(200, text=body)
    envelope = read_answer(response, now=NOW, hide=("sk-EXAMPLE",)).envelope
    assert envelope is not None
    assert envelope.message.startswith("key *** is wrong??[31m long long")
    assert len(envelope.message) <= 500


@pytest.mark.parametrize("error_msg", [None, "", " ", ["x"]])
def test_the_message_is_the_results_error_when_it_has_one(error_msg: object) -> None:
    body = {"code": "200", "message": "Success", "result": {"errorMsg": "resolutions: 480, 720."}}
    envelope = read_answer(httpx.Response(200, json=body), now=NOW).envelope
    assert envelope is not None
    assert envelope.message == "resolutions: 480, 720."
    body["result"] = {"errorMsg": error_msg}
    envelope = read_answer(httpx.Response(200, json=body), now=NOW).envelope
    assert envelope is not None
    assert envelope.message == "Success"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("999999", 3600.0),
        ("Tue, 12 Aug 2025 07:00:40 GMT", 40.0),
        ("Tue, 12 Aug 2025 06:00:00 GMT", 0.0),
        ("Tue, 12 Aug 2025 07:00:40 -0000", 40.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("-5", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        ("Tue, 99 Aug 2025 07:00:40 GMT", None),
        (None, None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert read_retry_after(header, now=NOW) == seconds


@pytest.mark.parametrize("told", ["", "soon", "Tue, 99 Aug 2025 07:00:00 GMT"])
def test_a_server_that_does_not_say_the_time(told: str) -> None:
    assert read_answer(httpx.Response(200, headers={"Date": told}), now=NOW).date is None


def test_the_servers_own_time_is_read() -> None:
    answer = read_answer(
        httpx.Response(200, headers={"Date": "Tue, 12 Aug 2025 07:00:00 GMT"}), now=NOW
    )
    assert answer.date == NOW
