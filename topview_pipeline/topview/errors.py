"""The errors of Topview. The class of an error is the decision what to do about it.

    TopviewError
    ├── SubmitError                 raised by `submit`
    │   ├── NotSent                 nothing was created: send it again, with backoff
    │   ├── Refused                 nothing was created: wait (`retry_after`), send it again
    │   ├── UpstreamGone            an id of ours in the request is dead: renew it, send once more
    │   ├── Rejected                the request's own fault: final until someone fixes it
    │   ├── Ambiguous               the answer was lost, it may be paid: never send it again
    │   └── AccountError
    ├── QueryError                  raised by `query` and the other reads
    │   ├── Unavailable             no usable answer: ask again (`retry_after`)
    │   ├── TaskUnknown             Topview does not know the task (yet): no failure
    │   ├── QueryRejected           Topview answered another code: asking again will not help
    │   └── AccountError
    ├── UploadError                 raised by upload
    │   ├── UploadUnavailable       upload it again later
    │   ├── UploadRejected          these bytes in this format will not be taken
    │   └── AccountError            credentials or credits: the run submits nothing more
    ├── DownloadError               raised by download
    │   ├── UrlExpired              query the task for a newly signed URL
    │   ├── Incomplete              the bytes ended early: download it again
    │   ├── DownloadUnavailable     download it again later
    │   ├── TooLarge                more bytes than the caller allows
    │   ├── WrongType               the bytes are not the kind of media that was expected
    │   └── ForbiddenUrl            neither https nor the configured base's own origin
    └── NotTopview                  the base URL answers, but not as Topview does

AccountError is one class under three parents, because any call may end with it and the way out is
always the same. `envelope` decides which answer becomes which class, and nothing else does.
"""

from typing import Any, ClassVar

from topview_pipeline.errors import PipelineError
from topview_pipeline.text import one_line, without_queries


class TopviewError(PipelineError):
    """A call to Topview failed.

    `str()` gives what the caller was doing (`where`), the verdict and the reason, in one line. It
    holds no key, no query of a signed URL and no control character.
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
            code, http_status: Those of the answer, when there was a readable one.
            retry_after: Seconds that the server asked to wait, when it did.
        """
        self.code, self.http_status, self.retry_after = code, http_status, retry_after
        facts = [f"code {code}"] if code is not None else []
        if http_status not in (None, 200):
            facts.append(f"HTTP {http_status}")
        suffix = f" ({', '.join(facts)})" if facts else ""
        what = one_line(without_queries(f"{self.verdict}: {message}{suffix}"))
        super().__init__(what, without_queries(doing))


class SubmitError(TopviewError):
    """A submit did not give a task id."""


class NotSent(SubmitError):
    verdict = "not sent, nothing was created"


class Refused(SubmitError):
    verdict = "refused for now, nothing was created"


class UpstreamGone(SubmitError):
    """Ids die at Topview. A second 4004, after the id was renewed, is the request's fault."""

    verdict = "an id in the request is gone at Topview, nothing was created"


class Rejected(SubmitError):
    verdict = "rejected, the same request is not sent again"


class Ambiguous(SubmitError):
    """The task may exist, and it may be paid. Topview has no idempotency key."""

    verdict = "the answer was lost, the task may exist and is not sent again"


class QueryError(TopviewError):
    """A read gave no result."""


class Unavailable(QueryError):
    verdict = "no usable answer, ask again"


class TaskUnknown(QueryError):
    """4004 to a query. It happens right after a submit, so it says nothing about the task."""

    verdict = "Topview does not know the task, ask again until its deadline"


class QueryRejected(QueryError):
    verdict = "rejected"


class UploadError(TopviewError):
    """A file did not reach Topview."""


class UploadUnavailable(UploadError):
    verdict = "not uploaded, try again later"


class UploadRejected(UploadError):
    verdict = "upload rejected"


class AccountError(SubmitError, QueryError, UploadError):
    """Credentials are refused (HTTP 401, codes 401 and 4002) or credits are used up (4100).

    Nothing was created. The run submits nothing more; tasks that already run are still queried.
    """

    verdict = "the account was refused"

    def __init__(self, message: str, *, doing: str, code: str | None = None, **facts: Any) -> None:
        super().__init__(message, doing=doing, code=code, **facts)
        self.fix = (
            "Buy credits at Topview, or wait for those of the plan; then run again."
            if code == "4100"
            else "Copy TOPVIEW_UID and TOPVIEW_API_KEY from Topview's API page once more, the key "
            "without the word Bearer."
        )


class DownloadError(TopviewError):
    """A result did not arrive."""


class UrlExpired(DownloadError):
    verdict = "the URL no longer works, query for a new one"


class Incomplete(DownloadError):
    verdict = "cut short, download it again"


class DownloadUnavailable(DownloadError):
    verdict = "not downloaded, try again later"


class TooLarge(DownloadError):
    verdict = "too large"


class WrongType(DownloadError):
    verdict = "not the expected media"


class ForbiddenUrl(DownloadError):
    verdict = "URL not allowed"


class NotTopview(TopviewError):
    verdict = "this is not Topview, TOPVIEW_BASE_URL must be its API"
