"""Topview's envelope, and the one place where an outcome becomes an error class. Pure.

Topview answers `{"code": "<string>", "message": "<string>", "result": ...}`. A readable envelope's
code decides before the HTTP status. A code that Topview's table does not list falls back to the
status, and to its own first digit: an unknown 5xxx is the server's trouble, so a submit that got it
may have been accepted.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from topview_pipeline.text import masked, one_line
from topview_pipeline.topview import errors
from topview_pipeline.topview.models import Submitted, TaskStatus

_Model = TypeVar("_Model", bound=BaseModel)

# Reading an answer

_LONGEST_MESSAGE = 500
_LONGEST_WAIT = 3600.0


@dataclass(frozen=True)
class Answer:
    """The parts of an HTTP answer that decide."""

    http_status: int
    code: str | None = None  # as text, also an old server's number; None: no Topview envelope
    message: str = ""  # one line for people: the result's `errorMsg` if it has one, else `message`
    result: Any = None  # as it came, but for its `errorMsg`, which is one such line as well
    retry_after: float | None = None  # seconds that the server asked to wait
    content_type: str = ""  # of the body, without parameters
    date: datetime | None = None  # the server's own time of the answer


def read_answer(response: httpx.Response, *, hide: Collection[str] = ()) -> Answer:
    """Reduce a complete response to an Answer.

    Args:
        response: Its body is read already.
        hide: Secrets to remove from the messages, should the server repeat them.
    """
    code, message, result = _read_envelope(response, hide)
    headers, date = response.headers, _http_date(response.headers.get("date", ""))
    return Answer(
        response.status_code,
        code,
        message,
        result,
        retry_after=_read_retry_after(headers.get("retry-after", ""), date),
        content_type=headers.get("content-type", "").split(";")[0].strip(),
        date=date,
    )


def _read_envelope(response: httpx.Response, hide: Collection[str]) -> tuple[str | None, str, Any]:
    """Return code, message and result; no code when the body is no envelope."""
    try:
        body = response.json()
    except (ValueError, RecursionError):  # no JSON, or nested deeper than the parser goes
        return None, "", None
    code = body.get("code") if isinstance(body, dict) else None
    if isinstance(code, bool) or not isinstance(code, str | int) or not str(code).strip():
        return None, "", None
    result, error_msg = body.get("result"), ""
    if isinstance(result, dict) and isinstance(result.get("errorMsg"), str):
        error_msg = _presentable(result["errorMsg"], hide)
        result = {**result, "errorMsg": error_msg}
    message = error_msg or _presentable(body.get("message"), hide)
    return _presentable(str(code), hide)[:32], message, result


def _presentable(message: object, hide: Collection[str]) -> str:
    if not isinstance(message, str):
        return ""
    # JSON can hold half characters, which nothing can print or store.
    text = masked(message, hide).encode("utf-8", "replace").decode()
    return one_line(text)[:_LONGEST_MESSAGE]


def _read_retry_after(value: str, date: datetime | None) -> float | None:
    """Return the seconds of a Retry-After header, at most one hour; a time counts from `date`."""
    if value.isascii() and value.isdigit():
        seconds = float(value)
    elif date is not None and (when := _http_date(value)) is not None:
        seconds = (when - date).total_seconds()
    else:
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def _http_date(value: str) -> datetime | None:
    try:
        return parsedate_to_datetime(value).replace(tzinfo=timezone.utc)  # always GMT
    except (ValueError, IndexError, OverflowError, TypeError):
        return None


# Classifying an outcome


class Phase(Enum):
    """The kind of an exchange."""

    SUBMIT = auto()
    QUERY = auto()  # of a task
    READ = auto()  # other reads: credits, lists
    CHECK = auto()  # the account check, which also proves that the base URL is Topview
    UPLOAD = auto()  # the two API calls around the PUT
    PUT = auto()  # of a file, to storage
    DOWNLOAD = auto()  # until the headers are here
    BODY = auto()  # of a download


_AT_STORAGE = (Phase.PUT, Phase.DOWNLOAD, Phase.BODY)


@dataclass(frozen=True)
class Call:
    """An exchange, as far as its classification and its error's message need it."""

    phase: Phase
    doing: str  # e.g. "submitting image2Video"; shown in errors
    carries_ids_of_ours: bool = False  # a submit that names an upload or an earlier task's result


class _Meaning(Enum):
    """The meaning of an outcome that is not good."""

    NOT_SENT = auto()
    BUSY = auto()  # nothing was done
    TROUBLE = auto()  # something may have been done
    NO_ENVELOPE = auto()  # or a result that is not as documented
    NOT_FOUND = auto()
    WRONG = auto()  # the request
    ACCOUNT = auto()


_ACCEPTED = "200"
_MEANINGS = {
    **dict.fromkeys(("429", "4007", "5003"), _Meaning.BUSY),
    **dict.fromkeys(("5000", "5001", "5004", "5005"), _Meaning.TROUBLE),
    **dict.fromkeys(("4000", "4001", "4003", "4005", "4006", "6001"), _Meaning.WRONG),
    **dict.fromkeys(("401", "4002", "4100"), _Meaning.ACCOUNT),
    "4004": _Meaning.NOT_FOUND,
}

# Raised before the first byte of the request is written, also through a proxy.
_BEFORE_SENDING = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)

_VERDICTS: dict[tuple[Phase, _Meaning], type[errors.TopviewError]] = {
    (Phase.SUBMIT, _Meaning.NOT_SENT): errors.NotSent,
    (Phase.SUBMIT, _Meaning.BUSY): errors.Refused,
    (Phase.SUBMIT, _Meaning.NOT_FOUND): errors.Rejected,  # UpstreamGone, if it carries ids of ours
    (Phase.SUBMIT, _Meaning.WRONG): errors.Rejected,
    (Phase.QUERY, _Meaning.NOT_FOUND): errors.TaskUnknown,
    (Phase.QUERY, _Meaning.WRONG): errors.QueryRejected,
    (Phase.READ, _Meaning.NOT_FOUND): errors.QueryRejected,
    (Phase.READ, _Meaning.WRONG): errors.QueryRejected,
    (Phase.CHECK, _Meaning.NO_ENVELOPE): errors.NotTopview,
    (Phase.CHECK, _Meaning.NOT_FOUND): errors.QueryRejected,
    (Phase.CHECK, _Meaning.WRONG): errors.QueryRejected,
    (Phase.UPLOAD, _Meaning.WRONG): errors.UploadRejected,  # but 4004 can mean "not here yet"
    (Phase.PUT, _Meaning.WRONG): errors.UploadRejected,
    (Phase.DOWNLOAD, _Meaning.WRONG): errors.UrlExpired,
}
_ANY_OTHER: dict[Phase, type[errors.TopviewError]] = {
    Phase.SUBMIT: errors.Ambiguous,
    Phase.QUERY: errors.Unavailable,
    Phase.READ: errors.Unavailable,
    Phase.CHECK: errors.Unavailable,
    Phase.UPLOAD: errors.UploadUnavailable,
    Phase.PUT: errors.UploadUnavailable,
    Phase.DOWNLOAD: errors.DownloadUnavailable,
    Phase.BODY: errors.Incomplete,
}


def classify_exception(call: Call, error: Exception) -> errors.TopviewError:
    """Return the error that an exchange without an answer is; `error` was raised instead."""
    is_unsent = isinstance(error, _BEFORE_SENDING)
    verdict = _verdict(call, _Meaning.NOT_SENT if is_unsent else _Meaning.TROUBLE)
    name = type(error).__name__
    return verdict(f"{name}: {error}" if str(error) else name, doing=call.doing)


def classify(call: Call, answer: Answer) -> errors.TopviewError | None:
    """Return the error that `answer` to `call` is, or None when it is a good one."""
    meaning = _meaning(call.phase, answer)
    if meaning is None:
        return None
    return _verdict(call, meaning)(
        _message(call.phase, answer),
        doing=call.doing,
        code=answer.code,
        http_status=answer.http_status,
        retry_after=answer.retry_after,
    )


def parse_result(call: Call, result: object, model: type[_Model]) -> _Model:
    """Read the result of a good envelope, or an entry of its list; else raise a TopviewError."""
    try:
        return model.model_validate(result)
    except ValidationError as error:
        fields = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'result'}: {one['msg']}" for one in error.errors()
        )
        verdict = _verdict(call, _Meaning.NO_ENVELOPE)
        raise verdict(f"unreadable: {fields}", doing=call.doing) from error


def _verdict(call: Call, meaning: _Meaning) -> type[errors.TopviewError]:
    if meaning is _Meaning.ACCOUNT:
        return errors.AccountError
    if meaning is _Meaning.NOT_FOUND and call.carries_ids_of_ours:
        return errors.UpstreamGone
    return _VERDICTS.get((call.phase, meaning), _ANY_OTHER[call.phase])


def _meaning(phase: Phase, answer: Answer) -> _Meaning | None:
    """Return the meaning of an answer, None for a good one."""
    if phase in _AT_STORAGE:
        return _meaning_at_storage(phase, answer.http_status)
    if answer.code is None:
        # A redirect lands here too: a gateway answered, and nothing says what happened behind it.
        return _meaning_of_status(answer.http_status) or _Meaning.NO_ENVELOPE
    if phase is Phase.SUBMIT and _names_a_task(answer.result):
        # Any other code contradicts the task id, and a task with an id may be paid.
        return None if answer.code == _ACCEPTED else _Meaning.TROUBLE
    if answer.code == _ACCEPTED:
        if phase is not Phase.SUBMIT:
            return None
        return _Meaning.WRONG if _says_fail(answer.result) else _Meaning.NO_ENVELOPE
    if answer.code in _MEANINGS:
        return _MEANINGS[answer.code]
    of_code = _Meaning.TROUBLE if answer.code.startswith("5") else _Meaning.WRONG
    return _meaning_of_status(answer.http_status) or of_code


def _meaning_of_status(status: int) -> _Meaning | None:
    if status >= 500:
        return _Meaning.TROUBLE
    statuses = {401: _Meaning.ACCOUNT, 408: _Meaning.TROUBLE, 429: _Meaning.BUSY}
    return statuses.get(status)


def _meaning_at_storage(phase: Phase, status: int) -> _Meaning | None:
    if status == 200 or (phase is Phase.PUT and 200 <= status < 300):
        return None
    # 403 to a PUT: the credential ran out, a new one helps. 3xx: storage being moved.
    may_pass = status in (408, 425, 429) or (phase is Phase.PUT and status == 403)
    return _Meaning.WRONG if 400 <= status < 500 and not may_pass else _Meaning.TROUBLE


def _names_a_task(result: Any) -> bool:
    try:
        Submitted.model_validate(result)
    except ValidationError:
        return False
    return True


def _says_fail(result: Any) -> bool:
    status = result.get("status") if isinstance(result, dict) else None
    return TaskStatus.parse(str(status)) is TaskStatus.FAIL


def _message(phase: Phase, answer: Answer) -> str:
    if phase in _AT_STORAGE:
        return "storage answered with an error"
    if answer.code is None:
        body = answer.content_type or "a body of no stated type"
        return f"HTTP {answer.http_status} with {body} instead of a Topview answer"
    return answer.message or "no message"
