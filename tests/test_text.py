"""Secrets in URLs and logs, text that commands a terminal, floods of similar lines, errors."""

import base64
import logging
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline.errors import PipelineError
from topview_pipeline.text import (
    FirstOfEach,
    bare_url,
    forms_of,
    hide_queries_in_http_logs,
    in_common,
    in_few_lines,
    masked,
    one_line,
    printable,
    without_queries,
)

KEY = "tv/Key+1=="
QUERIES = ("TOKEN", "TOKEN&a=b", "a[0]=TOKEN", "$key=TOKEN")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://me:pass@host.test/a?b=c HTTP", "GET https://host.test/a?… HTTP"),
        ("ftp://me:p%40ss@host.test", "ftp://host.test"),
        ("ftp://me:p@ss@host.test", "ftp://host.test"),
        ("b'https://host.test/a?X-Sig=1', b'x'", "b'https://host.test/a?…', b'x'"),
        (
            "no 's3.test/a?X-Sig=1' (or s3.test/x?S=S~1, why?)",
            "no 's3.test/a?…' (or s3.test/x?… why?)",
        ),
        *((f"'https://host.test/a?{query}'", "'https://host.test/a?…'") for query in QUERIES),
        ("mail me@host.test: is it so? yes", "mail me@host.test: is it so? yes"),
    ],
)
def test_user_password_and_query_are_cut_out_and_nothing_else(text: str, shown: str) -> None:
    assert without_queries(text) == shown


def test_only_scheme_host_and_path_of_a_url_are_shown() -> None:
    assert bare_url("https://me:pass@host.test:444/a?b=c#d") == "https://host.test:444/a"


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


def control_characters(text: str) -> list[str]:
    return [one for one in text if unicodedata.category(one) == "Cc"]


@given(st.text())
def test_no_text_keeps_a_control_character_but_its_lines_and_tabs(text: str) -> None:
    assert set(control_characters(printable(text))) <= {"\n", "\t"}
    assert control_characters(one_line(text)) == []
    assert len(one_line(text).splitlines()) <= 1


@given(st.text(st.characters(exclude_categories=["Cc"])))
def test_text_without_control_characters_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_a_coloured_message_of_three_lines_is_one_line_without_colour() -> None:
    message = "no face\x1b[31m\r\nmug made, 0 credits\x07\u2028\x9b2Jend"
    assert one_line(message) == "no face?[31m mug made, 0 credits? ?2Jend"
    assert printable("one\r\ntwo\rthree") == "one\ntwo?three"


def lines(texts: list[str]) -> list[str]:
    return in_few_lines(texts, str, one=str, many=lambda group: f"{len(group)} of {group[0]}")


def test_few_similar_troubles_get_a_line_each_and_many_get_one() -> None:
    few = [f"row {number} is bad" for number in range(5)]
    assert lines(few) == few
    many = [f"row {number} is bad" for number in range(20_000)]
    assert lines([*many, "x"]) == ["20000 of row 0 is bad", "x"]


def test_what_many_have_in_common_names_none_of_them() -> None:
    """A hundred photos that hang were one line that named the first one's."""
    urls = [f"127.0.0.1/{number}.png: sent nothing for 8 s" for number in range(100)]
    assert in_common(urls) == "127.0.0.1/….png: sent nothing for 8 s"
    assert in_common(urls[:1]) == urls[0]
    assert in_common(["1 of 2", "1.5 of 2"]) == "… of 2"
    assert in_common(["no number", "no number"]) == "no number"


def test_thousands_of_different_troubles_are_twenty_lines() -> None:
    shown = lines([f"{'x' * number} is bad" for number in range(300)])
    assert len(shown) == 21
    assert shown[-1] == "... and 280 more"


def test_a_stream_is_cut_to_five_of_each_kind_and_a_hundred_in_all() -> None:
    few = FirstOfEach()
    assert [few.admit(f"row {number}") for number in range(7)] == [True] * 5 + [False] * 2
    assert few.admit("another")
    assert sum(few.admit("y" * number) for number in range(1, 300)) == 94


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            PipelineError("the disk is full", "/data", "Free space."),
            "/data: the disk is full. Free space.",
        ),
        (PipelineError("no such stage.", fix="Use scene."), "no such stage. Use scene."),
        (PipelineError("gone", "https://host.test/a"), "https://host.test/a: gone"),
        (PipelineError("the ledger is locked"), "the ledger is locked"),
    ],
)
def test_the_message_says_where_what_and_how_to_fix_it(error: PipelineError, sentence: str) -> None:
    assert str(error) == sentence
