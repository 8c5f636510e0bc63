"""Reading an HTTP answer down to what decides: status, envelope, Retry-After. Judges nothing.

Topview's envelope is `{"code": "<string>", "message": "<string>", "result": ...}` on every answer.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from topview_pipeline.printable import one_line
from topview_pipeline.redaction import masked
from topview_pipeline.topview.fields import readable

_LONGEST_MESSAGE = 500
_LONGEST_WAIT = 3600.0


@dataclass(frozen=True)
class Envelope:
    """Topview's envelope.

    Attributes:
        code: As text; an old server's number 200 reads as "200".
        message: One line for people: the result's `errorMsg` if it has one, else `message`.
        result: As it came, but for its `errorMsg`, which is one such line as well.
    """

    code: str
    message: str
    result: Any


@dataclass(frozen=True)
class Answer:
    """An HTTP answer.

    Attributes:
        http_status: Its status.
        envelope: None when the body is no Topview envelope.
        retry_after: Seconds that the server asked to wait; None when it did not.
        content_type: Of the body, without parameters; "" when not given.
        date: When the server answered, by its own clock; None when it does not say.
    """

    http_status: int
    envelope: Envelope | None
    retry_after: float | None = None
    content_type: str = ""
    date: datetime | None = None

    @property
    def result(self) -> Any:
        """The envelope's result; None without an envelope."""
        return self.envelope.result if self.envelope else None


def read_answer(response: httpx.Response, *, now: datetime, hide: Collection[str] = ()) -> Answer:
    """Reduce `response`, whose body is read already, to an Answer.

    Args:
        response: A complete response.
        now: The time against which a Retry-After date counts.
        hide: Secrets to remove from the messages, should the server repeat them.
    """
    return Answer(
        http_status=response.status_code,
        envelope=_read_envelope(response, hide),
        retry_after=read_retry_after(response.headers.get("retry-after"), now=now),
        content_type=response.headers.get("content-type", "").split(";")[0].strip(),
        date=_http_date(response.headers.get("date", "")),
    )


def _read_envelope(response: httpx.Response, hide: Collection[str]) -> Envelope | None:
    try:
        body = response.json()
    except (ValueError, RecursionError):  # no JSON, or nested deeper than the parser goes
        return None
    if not isinstance(body, dict):
        return None
    code = body.get("code")
    if isinstance(code, bool) or not isinstance(code, str | int) or not str(code).strip():
        return None
    result = body.get("result")
    error_msg = ""
    if isinstance(result, dict) and isinstance(result.get("errorMsg"), str):
        error_msg = _presentable(result["errorMsg"], hide)
        result = {**result, "errorMsg": error_msg}
    return Envelope(
        code=_presentable(str(code), hide)[:32],
        message=error_msg or _presentable(body.get("message"), hide),
        result=result,
    )


def _presentable(message: object, hide: Collection[str]) -> str:
    if not isinstance(message, str):
        return ""
    return one_line(readable(masked(message, hide)))[:_LONGEST_MESSAGE]


def read_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Return the seconds of a Retry-After header, given as seconds or as an HTTP date.

    Between 0 and one hour; None when it is missing or unreadable.
    """
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        seconds = float(value)
    else:
        when = _http_date(value)
        if when is None:
            return None
        seconds = (when - now).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def _http_date(value: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, IndexError, OverflowError, TypeError):
        return None
    return when.replace(tzinfo=timezone.utc) if when.tzinfo is None else when
