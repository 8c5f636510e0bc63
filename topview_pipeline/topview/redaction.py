"""Keeping signed URLs out of messages and logs: the query of one is a password for its file.

Nothing here knows Topview. API keys are removed where an answer is read (wire.py).
"""

import logging
import re

import httpx

_QUERY = re.compile(r"\?[\w.%~+-]+=[^\s\"'<>]*")


def without_queries(text: str) -> str:
    """Return `text` with the query of every URL in it replaced by an ellipsis."""
    return _QUERY.sub("?…", text)


def bare_url(url: httpx.URL | str) -> str:
    """Return scheme, host and path of `url`: what may be shown of a signed URL."""
    if isinstance(url, str):
        return re.split(r"[?#]", url, maxsplit=1)[0]
    return str(url.copy_with(query=None, fragment=None, userinfo=b""))


class _QueryFilter(logging.Filter):
    """Rewrites the URLs among a record's arguments; lets every record through."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                bare_url(arg) if isinstance(arg, httpx.URL) else arg for arg in record.args
            )
        return True


_QUERY_FILTER = _QueryFilter()


def hide_queries_in_httpx_log() -> None:
    """Make httpx log URLs without their query; may be called any number of times.

    httpx logs every request's whole URL at INFO, and Dagster is often told to keep that level.
    """
    logging.getLogger("httpx").addFilter(_QUERY_FILTER)
