"""Tables in metadata: whole when they are short, else cut with the number of rows left out."""

from __future__ import annotations

import pytest

from topview_pipeline.defs.tables import MOST_ROWS, text_table


@pytest.mark.parametrize("rows", [0, 1, MOST_ROWS])
def test_what_fits_is_shown_whole(rows: int) -> None:
    table = text_table(("product", "why"), ((f"p{number}", "new") for number in range(rows)))
    assert [record.data["product"] for record in table.records] == [f"p{n}" for n in range(rows)]
    assert [column.name for column in table.schema.columns] == ["product", "why"]


def test_one_row_too_many_is_counted_and_not_dropped_silently() -> None:
    table = text_table(("product", "why"), [("p", "new")] * (MOST_ROWS + 1))
    assert len(table.records) == MOST_ROWS + 1
    assert table.records[-1].data == {"product": "... and 1 more", "why": ""}


def test_a_row_of_another_length_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="zip"):
        text_table(("product", "why"), [("p",)])
