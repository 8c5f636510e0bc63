"""The one place where an answer or a broken exchange becomes an error class. Pure.

A readable envelope's code decides before the HTTP status. A code that Topview's table does not list
falls back to the status, and to its own first digit: an unknown 5xxx is the server's trouble, so a
submit that got it may have been accepted.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import overload

import httpx
from pydantic import ValidationError

from topview_pipeline.topview.errors import (
    AccountError,
    Ambiguous,
    DownloadUnavailable,
    Incomplete,
    NotSent,
    NotTopview,
    QueryRejected,
    Refused,
    Rejected,
    TaskUnknown,
    TopviewError,
    Unavailable,
    UploadRejected,
    UploadUnavailable,
    UpstreamGone,
    UrlExpired,
)
from topview_pipeline.topview.models import Submitted
from topview_pipeline.topview.wire import Answer, Envelope


class Phase(Enum):
    """What kind of exchange it was."""

    SUBMIT = auto()
    QUERY = auto()  # of a task
    READ = auto()  # other reads: credits, lists
    CHECK = auto()  # the account check, which also proves that the base URL is Topview
    UPLOAD = auto()  # the two API calls around the PUT
    PUT = auto()  # of a file, to storage
    DOWNLOAD = auto()  # until the headers are here
    BODY = auto()  # of a download


@dataclass(frozen=True)
class Call:
    """An exchange, as far as its classification and its error's message need it.

    Attributes:
        phase: Its kind.
        doing: In words, e.g. "submitting image2Video"; shown in errors.
        carries_ids_of_ours: A submit that names an upload or an earlier task's result.
    """

    phase: Phase
    doing: str
    carries_ids_of_ours: bool = False


class _Meaning(Enum):
    """What a code other than 200 says, whatever was tried."""

    ACCOUNT = auto()
    BUSY = auto()  # nothing was done
    SERVER_TROUBLE = auto()  # something may have been done
    NOT_FOUND = auto()
    WRONG = auto()  # the request


_ACCEPTED = "200"
_MEANINGS = {
    "401": _Meaning.ACCOUNT,
    "4002": _Meaning.ACCOUNT,
    "4100": _Meaning.ACCOUNT,
    "429": _Meaning.BUSY,
    "4007": _Meaning.BUSY,
    "5003": _Meaning.BUSY,
    "5000": _Meaning.SERVER_TROUBLE,
    "5001": _Meaning.SERVER_TROUBLE,
    "5004": _Meaning.SERVER_TROUBLE,
    "5005": _Meaning.SERVER_TROUBLE,
    "4004": _Meaning.NOT_FOUND,
    "4000": _Meaning.WRONG,
    "4001": _Meaning.WRONG,
    "4003": _Meaning.WRONG,
    "4005": _Meaning.WRONG,
    "4006": _Meaning.WRONG,
    "6001": _Meaning.WRONG,
}

# Raised before the first byte of the request is written, also through a proxy.
_BEFORE_SENDING = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
)

_WHEN_BROKEN: dict[Phase, type[TopviewError]] = {
    Phase.SUBMIT: Ambiguous,
    Phase.QUERY: Unavailable,
    Phase.READ: Unavailable,
    Phase.CHECK: Unavailable,
    Phase.UPLOAD: UploadUnavailable,
    Phase.PUT: UploadUnavailable,
    Phase.DOWNLOAD: DownloadUnavailable,
    Phase.BODY: Incomplete,
}


@overload
def classify(call: Call, outcome: Exception) -> TopviewError: ...


@overload
def classify(call: Call, outcome: Answer) -> TopviewError | None: ...


def classify(call: Call, outcome: Answer | Exception) -> TopviewError | None:
    """Return the error that `outcome` of `call` is, or None when it is a good answer.

    Args:
        call: What was tried.
        outcome: The answer, or what was raised instead of one.
    """
    if isinstance(outcome, Exception):
        broken = _class_of_exception(call.phase, outcome)
        return broken(_reason(outcome), doing=call.doing)
    verdict = _class_of_answer(call, outcome)
    if verdict is None:
        return None
    envelope = outcome.envelope
    return verdict(
        _message(outcome),
        doing=call.doing,
        code=envelope.code if envelope else None,
        http_status=outcome.http_status,
        retry_after=outcome.retry_after,
    )


def _class_of_exception(phase: Phase, error: Exception) -> type[TopviewError]:
    if phase is Phase.SUBMIT and isinstance(error, _BEFORE_SENDING):
        return NotSent
    return _WHEN_BROKEN[phase]


def _class_of_answer(call: Call, answer: Answer) -> type[TopviewError] | None:
    if call.phase is Phase.SUBMIT:
        return _class_of_submit(answer, call.carries_ids_of_ours)
    if call.phase is Phase.PUT:
        return _class_of_put(answer.http_status)
    if call.phase in (Phase.DOWNLOAD, Phase.BODY):
        return _class_of_download(answer.http_status)
    return _class_of_read(call.phase, answer)


def _class_of_submit(answer: Answer, ids_of_ours: bool) -> type[TopviewError] | None:
    status, envelope = answer.http_status, answer.envelope
    if envelope is None:
        # A redirect lands here too: a gateway answered, and nothing says what happened behind it.
        return {401: AccountError, 429: Refused}.get(status, Ambiguous)
    if _names_a_task(envelope):
        # Any other code contradicts the task id; what has an id may be paid.
        return None if envelope.code == _ACCEPTED else Ambiguous
    if envelope.code == _ACCEPTED:
        return Rejected if _says_fail(envelope) else Ambiguous
    classes: dict[_Meaning, type[TopviewError]] = {
        _Meaning.ACCOUNT: AccountError,
        _Meaning.BUSY: Refused,
        _Meaning.SERVER_TROUBLE: Ambiguous,
        _Meaning.NOT_FOUND: UpstreamGone if ids_of_ours else Rejected,
        _Meaning.WRONG: Rejected,
    }
    return classes[_meaning(envelope.code, status)]


def _class_of_read(phase: Phase, answer: Answer) -> type[TopviewError] | None:
    status, envelope = answer.http_status, answer.envelope
    again = _WHEN_BROKEN[phase]
    if envelope is None:
        if status == 401:
            return AccountError
        temporary = status >= 500 or status in (408, 429)
        return NotTopview if phase is Phase.CHECK and not temporary else again
    if envelope.code == _ACCEPTED:
        return None
    rejected = UploadRejected if phase is Phase.UPLOAD else QueryRejected
    # To an upload's check, 4004 can mean "not here yet".
    not_found: type[TopviewError] = {Phase.QUERY: TaskUnknown, Phase.UPLOAD: UploadUnavailable}.get(
        phase, rejected
    )
    classes: dict[_Meaning, type[TopviewError]] = {
        _Meaning.ACCOUNT: AccountError,
        _Meaning.BUSY: again,
        _Meaning.SERVER_TROUBLE: again,
        _Meaning.NOT_FOUND: not_found,
        _Meaning.WRONG: rejected,
    }
    return classes[_meaning(envelope.code, status)]


def _meaning(code: str, status: int) -> _Meaning:
    if code in _MEANINGS:
        return _MEANINGS[code]
    if status in (401, 429):
        return _Meaning.ACCOUNT if status == 401 else _Meaning.BUSY
    if status >= 500 or status == 408 or code.startswith("5"):
        return _Meaning.SERVER_TROUBLE
    return _Meaning.WRONG


def _class_of_put(status: int) -> type[TopviewError] | None:
    if 200 <= status < 300:
        return None
    # 403: the credential ran out, a new one helps. 3xx: storage being moved.
    if status < 400 or status in (403, 408, 429) or status >= 500:
        return UploadUnavailable
    return UploadRejected


def _class_of_download(status: int) -> type[TopviewError] | None:
    if status == 200:
        return None
    if 400 <= status < 500 and status not in (408, 425, 429):
        return UrlExpired
    return DownloadUnavailable


def _names_a_task(envelope: Envelope) -> bool:
    try:
        Submitted.model_validate(envelope.result)
    except ValidationError:
        return False
    return True


def _says_fail(envelope: Envelope) -> bool:
    result = envelope.result
    word = result.get("status") if isinstance(result, dict) else None
    return isinstance(word, str) and word.strip().lower() in ("fail", "failed")


def _reason(error: Exception) -> str:
    name = type(error).__name__
    return f"{name}: {error}" if str(error) else name


def _message(answer: Answer) -> str:
    envelope = answer.envelope
    if envelope is None:
        body = answer.content_type or "a body of no stated type"
        return f"HTTP {answer.http_status} with {body} instead of a Topview answer"
    return envelope.message or "no message"
