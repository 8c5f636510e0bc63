"""What can go wrong with Topview. The class of an error is the decision what to do about it.

    TopviewError
    ├── SubmitError                 raised by submit_*
    │   ├── NotSent                 nothing was created: send it again, with backoff
    │   ├── Refused                 nothing was created: wait (`retry_after`), send it again
    │   ├── UpstreamGone            an id of ours in the request is dead: make it anew
    │   ├── Rejected                the request's own fault: final until somebody mends it
    │   ├── Ambiguous               the answer was lost, it may be paid: never send it again
    │   └── AccountError
    ├── QueryError                  raised by query_* and the other reads
    │   ├── Unavailable             no usable answer: ask again (`retry_after`)
    │   ├── TaskUnknown             Topview does not know the task (yet): no failure
    │   ├── QueryRejected           Topview answered another code: asking again will not help
    │   └── AccountError
    ├── UploadError                 raised by upload
    │   ├── UploadUnavailable       upload it again later
    │   ├── UploadRejected          these bytes in this format will not be taken
    │   └── AccountError            credentials, credits: all submits of the account stop
    ├── DownloadError               raised by download
    │   ├── UrlExpired              query the task for a newly signed URL
    │   ├── Incomplete              the bytes ended early: download it again
    │   ├── DownloadUnavailable     download it again later
    │   ├── TooLarge                more bytes than the caller allows
    │   ├── WrongType               the bytes are not the kind of media that was expected
    │   └── ForbiddenUrl            neither https nor the configured base's own origin
    └── NotTopview                  the base URL answers, but not as Topview does

AccountError is one class under three parents, because any call may end with it and the way out is
always the same. Which answer becomes which class is decided in classify.py and nowhere else.
"""

from typing import ClassVar

from topview_pipeline.printable import one_line
from topview_pipeline.redaction import without_queries


class TopviewError(Exception):
    """A call did not do what it was for.

    `str()` gives what the caller was doing, the verdict and the reason, in one line. It holds no
    key, no query of a signed URL and no control character.
    """

    verdict: ClassVar[str] = "failed"

    def __init__(
        self,
        message: str,
        *,
        doing: str,
        code: str | None = None,
        http_status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        """
        Args:
            message: The reason: Topview's own words, or what broke.
            doing: What the caller was doing, e.g. "submitting image2Video".
            code: Topview's code, when there was a readable envelope.
            http_status: The HTTP status, when there was an answer.
            retry_after: Seconds that the server asked to wait, when it did.
        """
        self.message = one_line(without_queries(message))
        self.doing = without_queries(doing)
        self.code = without_queries(code) if code is not None else None
        self.http_status = http_status
        self.retry_after = retry_after
        super().__init__(self.message)

    def __str__(self) -> str:
        facts = []
        if self.code is not None:
            facts.append(f"code {self.code}")
        if self.http_status not in (None, 200):
            facts.append(f"HTTP {self.http_status}")
        suffix = f" ({', '.join(facts)})" if facts else ""
        return f"{self.doing}: {self.verdict}: {self.message}{suffix}"


class SubmitError(TopviewError):
    """A submit did not give a task id."""


class NotSent(SubmitError):
    """The request never left: nothing was created. Send it again with backoff."""

    verdict = "not sent, nothing was created"


class Refused(SubmitError):
    """Topview is busy or the account's slots are full (4007, 5003, HTTP 429): nothing was created.

    Wait `retry_after` seconds, or as the caller sees fit when it is None, and send it again.
    """

    verdict = "refused for now, nothing was created"


class UpstreamGone(SubmitError):
    """4004 to a request that carries an id of an upload or of an earlier task: nothing was created.

    Ids die at Topview. Make the id anew and send once more; a second 4004 is the request's fault.
    """

    verdict = "an id in the request is gone at Topview, nothing was created"


class Rejected(SubmitError):
    """Topview says that the request is wrong, or that its content is not allowed.

    The same request gets the same answer, so it is not sent again until somebody mends it.
    """

    verdict = "rejected, the same request is not sent again"


class Ambiguous(SubmitError):
    """The answer was lost: the task may exist, and it may be paid.

    Never sent again by a machine. There is no idempotency key at Topview.
    """

    verdict = "the answer was lost, the task may exist and is not sent again"


class QueryError(TopviewError):
    """A read gave no result."""


class Unavailable(QueryError):
    """Network, timeout, 408, 429, 5xx, or an answer that nobody can read. Ask again."""

    verdict = "no usable answer, ask again"


class TaskUnknown(QueryError):
    """4004 to a query. It happens right after a submit, so it says nothing about the task."""

    verdict = "Topview does not know the task, ask again until its deadline"


class QueryRejected(QueryError):
    """Another code than 200. Asking the same again will not help."""

    verdict = "rejected"


class UploadError(TopviewError):
    """A file did not reach Topview."""


class UploadUnavailable(UploadError):
    """Network, timeout, busy server, or a credential that ran out. Upload it again later."""

    verdict = "not uploaded, try again later"


class UploadRejected(UploadError):
    """The format, the size or the bytes are refused. Uploading the same again will not help."""

    verdict = "upload rejected"


class AccountError(SubmitError, QueryError, UploadError):
    """Credentials are refused (HTTP 401, codes 401 and 4002) or credits are used up (4100).

    Nothing was created. All submits of the account stop until a probe succeeds; tasks that already
    run are still queried.
    """

    verdict = "the account was refused"


class DownloadError(TopviewError):
    """A result is not here yet, or not to be had from this URL."""


class UrlExpired(DownloadError):
    """The URL's signature ran out or is dead (403, and 400, 404, 410). Query for a new URL."""

    verdict = "the URL no longer works, query for a new one"


class Incomplete(DownloadError):
    """The connection was cut, or fewer bytes came than were announced."""

    verdict = "cut short, download it again"


class DownloadUnavailable(DownloadError):
    """Network, timeout, 408, 429 or 5xx before the first byte."""

    verdict = "not downloaded, try again later"


class TooLarge(DownloadError):
    """More bytes than the caller's limit."""

    verdict = "too large"


class WrongType(DownloadError):
    """The first bytes are not those of the expected kind of media."""

    verdict = "not the expected media"


class ForbiddenUrl(DownloadError):
    """The URL, or a redirect from it, is neither https nor of the configured base's own origin."""

    verdict = "URL not allowed"


class NotTopview(TopviewError):
    """The base URL answers something that is no Topview envelope: it is the wrong base URL."""

    verdict = "this is not Topview, TOPVIEW_BASE_URL must be its API"
