"""Rows with their true lines, out of CSV or JSON Lines.

Not here: what a row means (`rules`). A row that cannot be read as one is a `RowProblem`; the rows
after it go on.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from topview_pipeline.catalogue.product import RowProblem, excerpt


class TableError(ValueError):
    """The text is no table at all: the message says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Row:
    """Cells by lower-case column name. CSV cells are text, JSON cells whatever the line holds."""

    line: int
    cells: Mapping[str, object]


def csv_rows(text: str) -> Iterator[Row | RowProblem]:
    """The rows of a CSV with a header; commas separate the cells, or semicolons."""
    columns, delimiter = _header(text)
    is_ended = text.endswith(("\n", "\r"))
    stream = io.StringIO(text, newline="")
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    is_header = True
    while True:
        before = reader.line_num
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield RowProblem(before + 1, None, None, _quoting(error, before + 1, reader.line_num))
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if is_header:
            is_header = False
        elif len(cells) > len(columns):
            reason = f"{len(cells)} cells under {len(columns)} columns; quote a cell that holds "
            yield RowProblem(before + 1, None, None, f"{reason}{delimiter!r} or a quote")
        elif len(cells) < len(columns) and not is_ended and stream.tell() == len(text):
            yield _cut_off(before + 1, cells, columns)
        else:
            yield Row(before + 1, dict(zip(columns, cells, strict=False)))


def _cut_off(line: int, cells: list[str], columns: list[str]) -> RowProblem:
    """A last row without all its cells and without an end: half a script would be paid for."""
    whole = dict(zip(columns, cells[:-1], strict=False))  # the last cell may be cut off too
    reason = (
        f"the file ends in it, after {len(cells)} of {len(columns)} cells; if that is all of the "
        "file, end it with a line break"
    )
    return RowProblem(line, None, whole.get("product_id", "").strip() or None, reason)


def _header(text: str) -> tuple[list[str], str]:
    """The column names and the delimiter: the one whose reading of the header has a product_id."""
    for delimiter in (",", ";"):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            first = next((cells for cells in reader if any(cell.strip() for cell in cells)), [])
        except csv.Error:
            continue
        columns = [_column(cell) for cell in first]
        if "product_id" in columns:
            twice = {name for name in columns if name and columns.count(name) > 1}
            if twice:
                names = ", ".join(map(excerpt, sorted(twice)))
                raise TableError(f"its header names a column twice: {names}. Remove one of them.")
            return columns, delimiter
    raise TableError(
        "its first line is no header with a product_id column. "
        "Name the columns there, separated by comma or semicolon, product_id among them."
    )


def _quoting(error: csv.Error, start: int, end: int) -> str:
    lines = f"; lines {start} to {end} were taken for one row" if end > start else ""
    return f"{error}{lines}; check the quotes, and write a quote inside a quoted cell twice"


def json_rows(text: str) -> Iterator[Row | RowProblem]:
    """The rows of JSON Lines: one object in each line, a product's columns as its keys."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            yield RowProblem(number, None, None, f"not JSON ({_why(error)})")
            continue
        if isinstance(value, dict):
            yield Row(number, value)
        else:
            reason = f"{excerpt(value)} is no JSON object with the columns as keys"
            yield RowProblem(number, None, None, reason)


def _why(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos + 1}"
    return str(error)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    cells = {_column(key): value for key, value in pairs}
    if len(cells) < len(pairs):
        raise ValueError("a key stands in it twice")
    return cells


def _column(name: str) -> str:
    return name.strip().lower()
