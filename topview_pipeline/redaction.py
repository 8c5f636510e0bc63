"""Keeping secrets out of messages and logs: those of URLs, and keys that a server repeats.

The query of a signed URL is a password for its file. Nothing here knows Topview.
"""

import base64
import logging
import re
from collections.abc import Collection
from urllib.parse import quote, quote_plus

_QUERY = re.compile(r"\?[\w.%~+-]+=[^\s\"'<>]*")
_USER = re.compile(r"(?<=://)[^/?#@\s\"'<>]+@")
_HTTP_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)
"""Whoever logs a URL or an answer's headers. A filter counts for its own logger alone."""


def without_queries(text: str) -> str:
    """Return `text` with the query of every URL in it replaced by an ellipsis.

    User and password are left out, too.
    """
    return _QUERY.sub("?…", _USER.sub("", text))


def bare_url(url: object) -> str:
    """Return scheme, host and path of a URL: what may be shown of a signed one."""
    return _USER.sub("", re.split(r"[?#]", str(url), maxsplit=1)[0])


def forms_of(secret: str) -> frozenset[str]:
    """The forms in which a server may repeat a secret: plain, in a URL, in base64."""
    data = secret.encode()
    encoded = {base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()}
    return frozenset({secret, quote(secret), quote(secret, safe=""), quote_plus(secret), *encoded})


def masked(text: str, secrets: Collection[str]) -> str:
    """Return `text` with asterisks in place of the secrets."""
    for secret in sorted(secrets, key=len, reverse=True):  # one may be a part of another
        text = text.replace(secret, "***")
    return text


class _QueryFilter(logging.Filter):
    """Rewrites the URLs in a record; lets every record through."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = without_queries(record.getMessage()), None
        return True


_QUERY_FILTER = _QueryFilter()


def hide_queries_in_http_logs() -> None:
    """Make httpx and httpcore log URLs without their query; may be called any number of times.

    httpx logs every request's whole URL at INFO, and httpcore every answer's headers at DEBUG, the
    target of a redirect among them. Dagster is often told to keep such logs beside the run.
    """
    for name in _HTTP_LOGGERS:
        logging.getLogger(name).addFilter(_QUERY_FILTER)
