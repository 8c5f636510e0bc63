"""What may be shown of a URL and of a key, in a message or a library's log."""

from __future__ import annotations

import base64
import logging
from urllib.parse import quote

import pytest

from topview_pipeline.redaction import (
    bare_url,
    forms_of,
    hide_queries_in_http_logs,
    masked,
    without_queries,
)

KEY = "tv/Key+1=="


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://me:pass@host.test/a?b=c HTTP", "GET https://host.test/a?… HTTP"),
        ("ftp://me:p%40ss@host.test", "ftp://host.test"),
        ("b'https://host.test/a?X-Sig=1', b'x'", "b'https://host.test/a?…', b'x'"),
        ("mail me@host.test: is it so? yes", "mail me@host.test: is it so? yes"),
    ],
)
def test_user_password_and_query_are_cut_out_and_nothing_else(text: str, shown: str) -> None:
    assert without_queries(text) == shown


def test_of_a_url_no_user_is_shown() -> None:
    assert bare_url("https://me:pass@host.test/a?b=c#d") == "https://host.test/a"


@pytest.mark.parametrize(
    "repeated", [KEY, quote(KEY), quote(KEY, safe=""), base64.b64encode(KEY.encode()).decode()]
)
def test_a_key_is_masked_in_every_form_in_which_a_server_repeats_it(repeated: str) -> None:
    assert masked(f"Bearer {repeated} refused", forms_of(KEY)) == "Bearer *** refused"


@pytest.mark.parametrize("logger", ["httpx", "httpcore.http11"])
def test_libraries_log_urls_without_their_secrets(
    logger: str, caplog: pytest.LogCaptureFixture
) -> None:
    hide_queries_in_http_logs()
    with caplog.at_level(logging.DEBUG, logger):
        logging.getLogger(logger).debug("moved to %r", b"https://me:pass@host.test/a?Signature=1")
    assert caplog.messages == ["moved to b'https://host.test/a?…'"]
