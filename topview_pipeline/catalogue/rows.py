"""Rows with their true lines, out of the bytes of a CSV, TSV or JSON Lines file.

A row that cannot be read is a `RowProblem`, and the rows after it go on. Not here: what a row means
(`product`), where the bytes come from (`catalogue`).
"""

import codecs
import csv
import difflib
import io
import json
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from topview_pipeline.catalogue.references import shown
from topview_pipeline.errors import PipelineError

_SAVE_AS: Final = "Open it in its own program and save it as CSV UTF-8."
_PICTURE: Final = ("a picture or other media", "Name the table that lists your pictures.")
_JSON_LIST: Final = ("one JSON list", "Write one object in each line (JSON Lines).")
_FOREIGN: Final[Mapping[bytes, tuple[str, str]]] = {
    b"\xff\xfe": ("UTF-16 text", "Save it as CSV UTF-8."),
    b"\xfe\xff": ("UTF-16 text", "Save it as CSV UTF-8."),
    b"PK\x03\x04": ("an Excel file, another spreadsheet or an archive", _SAVE_AS),
    b"\xd0\xcf\x11\xe0": ("an old Excel file", _SAVE_AS),
    b"%PDF": ("a PDF", "Export the table in it as CSV UTF-8."),
    b"\x89PNG": _PICTURE,
    b"\xff\xd8\xff": _PICTURE,
    b"GIF8": _PICTURE,
    b"RIFF": _PICTURE,
    b"\x1f\x8b": ("compressed (gzip)", "Unpack it."),
    b"<": ("a web page or XML", "Use the address that downloads the CSV itself."),
    b"[{": _JSON_LIST,
    b"[[": _JSON_LIST,
    b"[]": _JSON_LIST,
}
"""First bytes, without blanks, of files that people take for a catalogue."""
_REPR: Final = reprlib.Repr()  # repr itself fails on deeply nested lists
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 60


class CatalogueError(PipelineError):
    """There is no catalogue to work with."""

    def __str__(self) -> str:
        return f"catalogue{' ' if self.where else ': '}{super().__str__()}"


@dataclass(frozen=True, slots=True)
class Row:
    """Cells by lower-case column name. CSV cells are text, JSON cells whatever the line holds."""

    line: int  # where the row begins in the file, from 1; without a file the row's number
    cells: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A reason why a row makes no product."""

    line: int
    column: str | None
    product_id: str | None
    reason: str
    unit: str = "line"  # or "row", for a source that is no file

    def __str__(self) -> str:
        place = f"{self.unit} {self.line}" + (f", column {self.column}" if self.column else "")
        product = f" (product {excerpt(self.product_id)})" if self.product_id else ""
        return f"{place}{product}: {self.reason}"


def excerpt(value: object) -> str:
    """A value as it may stand in a one-line message: quoted, escaped, at most 60 characters."""
    text = _REPR.repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def rows_of(data: bytes, location: str) -> Iterator[Row | RowProblem]:
    """Yield the rows of a file's bytes. Raises CatalogueError: they are no table."""
    where = shown(location)
    begin = b"".join(data[:256].removeprefix(codecs.BOM_UTF8).split())
    for first, (kind, fix) in _FOREIGN.items():
        if begin.startswith(first):
            raise CatalogueError(f"it is {kind}, not CSV or JSON Lines in UTF-8", where, fix)
    # Bytes that are not UTF-8 become what `product` refuses: only their rows fail.
    text = data.decode("utf-8-sig", "surrogateescape")
    if not text.strip():
        raise CatalogueError("it is empty", where, "Add a header and a row for each product.")
    # An export link has no suffix.
    is_json = where.lower().endswith((".jsonl", ".ndjson")) or text.lstrip().startswith("{")
    yield from _json_rows(text, where) if is_json else _csv_rows(text, where)


def _csv_rows(text: str, where: str) -> Iterator[Row | RowProblem]:
    columns, delimiter = _header(text, where)
    is_ended = text.endswith(("\n", "\r"))
    stream = io.StringIO(text, newline="")
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    is_header = True
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield RowProblem(line, None, None, _quoting(error, line, reader.line_num))
            continue
        if not "".join(cells).strip():
            continue
        if is_header:
            is_header = False
        elif len(cells) > len(columns):
            reason = f"{len(cells)} cells under {len(columns)} columns; quote a cell that holds "
            yield RowProblem(line, None, None, f"{reason}{delimiter!r} or a quote")
        elif len(cells) < len(columns) and not is_ended and stream.tell() == len(text):
            yield _cut_off(line, cells, columns)
        else:
            yield Row(line, dict(zip(columns, cells, strict=False)))


def _header(text: str, where: str) -> tuple[list[str], str]:
    """The column names and the delimiter: the one with which the header has a product_id."""
    seen: list[str] = []
    for delimiter in (",", ";", "\t"):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            first = next((cells for cells in reader if any(cell.strip() for cell in cells)), [])
        except csv.Error:
            continue
        columns = [cell.strip().lower() for cell in first]
        if "product_id" in columns:
            twice = [name for name in columns if name and columns.count(name) > 1]
            if twice:
                what = f"its header names the column {excerpt(twice[0])} twice"
                raise CatalogueError(what, where, "Remove one of them.")
            return columns, delimiter
        seen += columns
    fix = "Name the columns there, separated by comma, semicolon or tab, product_id among them."
    if near := difflib.get_close_matches("product_id", seen, n=1):
        fix = f"Is {excerpt(near[0])} meant to be product_id? {fix}"
    raise CatalogueError("its first line is not a header with a product_id column", where, fix)


def _quoting(error: csv.Error, start: int, end: int) -> str:
    lines = f"; lines {start} to {end} were read as one row" if end > start else ""
    if "field limit" in str(error):
        most = f"a cell has more than {csv.field_size_limit():,} characters"
        return f"{most}{lines}; shorten it, or close the quote that opens it"
    return f"{error}{lines}; check the quotes, and write a quote inside a quoted cell twice"


def _cut_off(line: int, cells: list[str], columns: list[str]) -> RowProblem:
    """A last row without all its cells and without an end: half a script would be paid for."""
    whole = dict(zip(columns, cells[:-1], strict=False))  # the last cell may be cut off too
    reason = (
        f"the file ends in this row, after {len(cells)} of {len(columns)} cells; if the file is "
        "complete, end it with a line break"
    )
    return RowProblem(line, None, whole.get("product_id", "").strip() or None, reason)


def _json_rows(text: str, where: str) -> Iterator[Row | RowProblem]:
    if text.lstrip()[:2].strip() == "{" and _is_json(text):
        what = "it is one JSON object in several lines, not CSV or JSON Lines in UTF-8"
        raise CatalogueError(what, where, _JSON_LIST[1])
    for line, source in enumerate(text.split("\n"), start=1):
        if not source.strip():
            continue
        try:
            value = json.loads(source, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            yield RowProblem(line, None, None, f"not JSON ({getattr(error, 'msg', error)})")
            continue
        if isinstance(value, dict):
            yield Row(line, value)
        else:
            reason = f'{excerpt(source.strip())} is not a JSON object like {{"product_id": "mug"}}'
            yield RowProblem(line, None, None, reason)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    cells = {key.strip().lower(): value for key, value in pairs}
    if len(cells) < len(pairs):
        raise ValueError("it has a key twice")
    return cells
