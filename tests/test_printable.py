"""Text of others that commands a terminal, or forges a line of a log."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline.printable import one_line, printable


def commands(text: str) -> list[str]:
    return [one for one in text if unicodedata.category(one) == "Cc"]


@given(st.text())
def test_no_text_keeps_a_control_character_but_its_lines_and_tabs(text: str) -> None:
    assert set(commands(printable(text))) <= {"\n", "\t"}
    assert commands(one_line(text)) == []
    assert len(one_line(text).splitlines()) <= 1


@given(st.text(st.characters(exclude_categories=["Cc"])))
def test_what_can_be_printed_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_a_coloured_message_of_three_lines_is_one_line_without_colour() -> None:
    told = "no face\x1b[31m\r\nmug made, 0 credits\x07\u2028\x9b2Jend"
    assert one_line(told) == "no face?[31m mug made, 0 credits? ?2Jend"
    assert printable("one\r\ntwo\rthree") == "one\ntwo?three"
