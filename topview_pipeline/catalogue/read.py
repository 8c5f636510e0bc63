"""Reading a catalogue: from a path or URL to products, problems and notes.

Not here: the file formats (`tables`), what a row must be (`rules`).
"""

import difflib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from urllib.parse import urlsplit

from topview_pipeline.catalogue.product import Product, RowProblem, excerpt
from topview_pipeline.catalogue.rules import COLUMNS, product_of
from topview_pipeline.catalogue.tables import Row, TableError, csv_rows, json_rows
from topview_pipeline.settings import CatalogueDefaults
from topview_pipeline.sources import SourceError, is_url, read_limited, shown

LARGEST_BYTES = 64 * 2**20
"""A catalogue of 100,000 products has some 30 MiB; what is larger is most likely the wrong file."""

_MOST_NOTES = 20


class CatalogueError(ValueError):
    """There is no catalogue to work with: what is wrong, where, and how to mend it."""

    def __init__(self, what: str, where: str, mend: str) -> None:
        super().__init__(f"catalogue {where}: {what}. {mend}")
        self.what, self.where, self.mend = what, where, mend


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The good rows as products by id, in the order of the file, and all that was wrong with it."""

    source: str
    """Where it was read, without the secrets that a URL may carry."""
    products: Mapping[str, Product]
    problems: tuple[RowProblem, ...]
    """Rows that make no product, in the order of the file; a row may have several."""
    warnings: tuple[str, ...]
    """What was ignored: unknown columns, rows given twice."""
    sha256: str
    """Of the bytes that were read."""


def read_catalogue(source: str, defaults: CatalogueDefaults) -> Catalogue:
    """Read the catalogue at `source`, a path, http(s) or fsspec URL.

    Raises CatalogueError when there is none to work with. A bad row is no error: it is in
    `problems`, and the others go on.
    """
    try:
        data = read_limited(source, LARGEST_BYTES)
    except SourceError as error:
        raise CatalogueError(error.what, error.where, error.mend) from error
    return parse_catalogue(data, source, defaults)


def parse_catalogue(data: bytes, source: str, defaults: CatalogueDefaults) -> Catalogue:
    """What `read_catalogue` does, of bytes that were already read from `source`."""
    where = shown(source)
    text = _decoded(data, where)
    reading = _Reading(source, defaults)
    try:
        reading.take(json_rows(text) if _is_json(source, text) else csv_rows(text))
    except TableError as error:
        what, _, mend = str(error).partition(". ")
        raise CatalogueError(what, where, mend) from error
    if not reading.any_row:
        raise CatalogueError("it has no products", where, "Add a row for each product.")
    reading.refuse_duplicates()
    return Catalogue(
        source=where,
        products=MappingProxyType(reading.products),
        problems=tuple(sorted(reading.problems, key=lambda problem: problem.line)),
        warnings=(*reading.unknown_columns(), *reading.repeated),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _decoded(data: bytes, where: str) -> str:
    """The text. Bytes that are not UTF-8 become what `rules` refuses: only their rows fail."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise CatalogueError("it is UTF-16", where, "Save it as CSV UTF-8.")
    text = data.decode("utf-8-sig", "surrogateescape")
    if not text.strip():
        raise CatalogueError("it is empty", where, "Add a header and a row for each product.")
    return text


def _is_json(source: str, text: str) -> bool:
    """By suffix; a source without a telling one, such as an export link, by its first character."""
    path = urlsplit(shown(source)).path if is_url(source) else source
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return True
    return suffix != ".csv" and text.lstrip().startswith("{")


class _Reading:
    """The rows so far, by product id."""

    def __init__(self, source: str, defaults: CatalogueDefaults) -> None:
        self._source = source
        self._defaults = defaults
        self._columns: dict[str, None] = {}
        self._lines: dict[str, list[int]] = {}
        self._refused: set[str] = set()
        self.any_row = False
        self.products: dict[str, Product] = {}
        self.problems: list[RowProblem] = []
        self.repeated: list[str] = []

    def take(self, rows: Iterable[Row | RowProblem]) -> None:
        for row in rows:
            self.any_row = True
            if isinstance(row, RowProblem):
                self.problems.append(row)
                continue
            self._columns.update(dict.fromkeys(row.cells))
            made = product_of(row, self._source, self._defaults)
            if isinstance(made, Product):
                self._take_product(row.line, made)
            else:
                self._take_problems(row.line, made)

    def _take_product(self, line: int, product: Product) -> None:
        lines = self._lines.setdefault(product.product_id, [])
        first = self.products.setdefault(product.product_id, product)
        if first != product:
            self._refused.add(product.product_id)
        elif lines:
            self.repeated.append(f"line {line} repeats line {lines[0]} and is ignored")
        lines.append(line)

    def _take_problems(self, line: int, problems: tuple[RowProblem, ...]) -> None:
        self.problems.extend(problems)
        product_id = problems[0].product_id
        if product_id is not None:
            self._lines.setdefault(product_id, []).append(line)
            self._refused.add(product_id)

    def refuse_duplicates(self) -> None:
        """Rows that contradict each other make nothing: which of them to pay for is not guessed."""
        for product_id in self._refused:
            lines = self._lines[product_id]
            self.products.pop(product_id, None)
            for line in lines if len(lines) > 1 else ():
                other = lines[0] if lines[0] != line else lines[1]
                reason = f"line {other} has the same id and says something else; keep one of them"
                self.problems.append(RowProblem(line, "product_id", product_id, reason))

    def unknown_columns(self) -> list[str]:
        """A note for each column that nobody reads: a misspelt one would be missed in silence."""
        unknown = [column for column in self._columns if column and column not in COLUMNS]
        notes = []
        for column in unknown[:_MOST_NOTES]:
            close = difflib.get_close_matches(column, COLUMNS, n=1)
            hint = f"; is {close[0]} meant?" if close else ""
            notes.append(f"column {excerpt(column)} is not known and ignored{hint}")
        if len(unknown) > _MOST_NOTES:
            notes.append(f"{len(unknown) - _MOST_NOTES} more columns are not known and ignored")
        return notes
