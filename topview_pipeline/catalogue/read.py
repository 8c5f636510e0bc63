"""Reading a catalogue: from a source to products, problems and notes.

Not here: the sources (`source`, `files`), what a row must be (`rules`), how long a source may take
(`waiting`).
"""

import difflib
import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from topview_pipeline.catalogue.errors import CatalogueError
from topview_pipeline.catalogue.files import CatalogueFile, rows_of
from topview_pipeline.catalogue.naming import name_of, name_of_location
from topview_pipeline.catalogue.opening import Source
from topview_pipeline.catalogue.product import Product, RowProblem, excerpt
from topview_pipeline.catalogue.rules import COLUMNS, product_of
from topview_pipeline.catalogue.source import CatalogueSource
from topview_pipeline.catalogue.tables import Row
from topview_pipeline.settings import CatalogueDefaults
from topview_pipeline.sources import shown

_MOST_NOTES = 20
_READINGS = 2


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The good rows as products by id, in the order of the source, and all that was wrong."""

    source: str
    """What messages and the ledger call it: the name it was given, else that of its location."""
    products: Mapping[str, Product]
    problems: tuple[RowProblem, ...]
    """Rows that make no product, in their order; a row may have several."""
    warnings: tuple[str, ...]
    """What was ignored: unknown columns, rows given twice."""
    columns: tuple[str, ...]
    """The columns that its rows have and that mean something; a file's, also when all are empty."""
    unknown_columns: tuple[str, ...]
    """Those that mean nothing."""
    sha256: str
    """Of what its rows say, column by column."""
    version: str | None = None
    """The source's version that was read; None when the source has none."""
    location_name: str | None = None
    """The name of its location."""
    begun: float | None = None
    """When its reading began, by `time.monotonic`; None when it took no time."""


def read_catalogue(
    source: Source | str, defaults: CatalogueDefaults, *, name: str | None = None
) -> Catalogue:
    """Read the catalogue of a source, or of the file at a path, http(s) or fsspec URL.

    Args:
        name: what it is to be known by; None: by its location.

    Raises CatalogueError when there is none to work with, or when it changes again and again while
    it is read. A bad row is no error: it is in `problems`, and the others go on.
    """
    if isinstance(source, str):
        source = CatalogueFile(source)
    for _ in range(_READINGS):
        begun = time.monotonic()
        version = _asked(source)
        catalogue = _read(source, defaults)
        if _asked(source) == version:
            known_as = name or catalogue.source
            return replace(catalogue, source=known_as, version=version, begun=begun)
    raise CatalogueError(
        "it changes while it is read", source.where, "Try again once nobody writes it any more."
    )


def parse_catalogue(data: bytes, location: str, defaults: CatalogueDefaults) -> Catalogue:
    """What `read_catalogue` does, of bytes that were already read from a file's `location`."""
    reading = _Reading(location, defaults, unit="line")
    reading.take(rows_of(data, location))
    return reading.catalogue(shown(location), name_of_location(location))


def version_of(source: Source) -> str | None:
    """The source's version; None when only reading it tells. Raises CatalogueError."""
    return _asked(source)


def _asked(source: Source) -> str | None:
    try:
        version = source.version()
    except CatalogueError:
        raise
    except Exception as error:
        raise _broken(source, error) from error
    return None if version is None else str(version)


def _read(source: Source, defaults: CatalogueDefaults) -> Catalogue:
    if isinstance(source, CatalogueFile):
        reading = _Reading(source.location, defaults, unit="line")
        reading.take(source.placed_rows())
    else:
        reading = _Reading(None, defaults, unit="row")
        reading.take(_numbered(source))
    return reading.catalogue(source.where, name_of(source))


def _numbered(source: CatalogueSource) -> Iterator[Row | RowProblem]:
    """The rows of a source of the user's own, counted from 1."""
    try:
        rows: Iterable[object] = source.rows()
        for number, cells in enumerate(rows, start=1):
            if isinstance(cells, Mapping):
                named = {str(column).strip().lower(): cells[column] for column in cells}
                yield Row(number, named)
            else:
                reason = f"{excerpt(cells)} is no mapping from column to value"
                yield RowProblem(number, None, None, reason, "row")
    except Exception as error:
        # Half a catalogue is none: the products of the other half would seem to have left.
        raise _broken(source, error) from error


def _broken(source: Source, error: Exception) -> CatalogueError:
    line = next(iter(str(error).splitlines()), "")
    return CatalogueError(
        f"it cannot be read ({type(error).__name__}: {line[:200]})",
        source.where,
        "Check that it can be reached from here.",
    )


class _Reading:
    """The rows so far, by product id."""

    def __init__(self, beside: str | None, defaults: CatalogueDefaults, *, unit: str) -> None:
        self._beside = beside
        self._defaults = defaults
        self._unit = unit
        self._digest = hashlib.sha256()
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
                self._digest.update(str(row).encode("utf-8", "surrogateescape"))
                self.problems.append(row)
                continue
            self._columns.update(dict.fromkeys(row.cells))
            self._digest.update(_line(row))
            made = product_of(row, self._beside, self._defaults)
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
            unit = self._unit
            self.repeated.append(f"{unit} {line} repeats {unit} {lines[0]} and is ignored")
        lines.append(line)

    def _take_problems(self, line: int, problems: tuple[RowProblem, ...]) -> None:
        self.problems.extend(replace(problem, unit=self._unit) for problem in problems)
        product_id = problems[0].product_id
        if product_id is not None:
            self._lines.setdefault(product_id, []).append(line)
            self._refused.add(product_id)

    def catalogue(self, where: str, name: str) -> Catalogue:
        """What came of the rows. Raises CatalogueError: there were none."""
        if not self.any_row:
            raise CatalogueError("it has no products", where, "Add a row for each product.")
        self._refuse_duplicates()
        unknown = tuple(column for column in self._columns if column and column not in COLUMNS)
        return Catalogue(
            source=name,
            location_name=name,
            products=MappingProxyType(self.products),
            problems=tuple(sorted(self.problems, key=lambda problem: problem.line)),
            warnings=(*_notes_of(unknown), *self.repeated),
            columns=tuple(column for column in self._columns if column in COLUMNS),
            unknown_columns=unknown,
            sha256=self._digest.hexdigest(),
        )

    def _refuse_duplicates(self) -> None:
        """Rows that contradict each other make nothing: which of them to pay for is not guessed."""
        for product_id in self._refused:
            lines = self._lines[product_id]
            self.products.pop(product_id, None)
            for line in lines if len(lines) > 1 else ():
                other = lines[0] if lines[0] != line else lines[1]
                place = f"{self._unit} {other}"
                reason = f"{place} has the same id and says something else; keep one of them"
                problem = RowProblem(line, "product_id", product_id, reason, self._unit)
                self.problems.append(problem)


def _notes_of(unknown: tuple[str, ...]) -> list[str]:
    """A note for each column that nobody reads: a misspelt one would be missed in silence."""
    notes = []
    for column in unknown[:_MOST_NOTES]:
        close = difflib.get_close_matches(column, COLUMNS, n=1)
        hint = f"; is {close[0]} meant?" if close else ""
        notes.append(f"column {excerpt(column)} is not known and ignored{hint}")
    if len(unknown) > _MOST_NOTES:
        notes.append(f"{len(unknown) - _MOST_NOTES} more columns are not known and ignored")
    return notes


def _line(row: Row) -> bytes:
    """A row in one form, whatever the order of its columns."""
    text = json.dumps(sorted(row.cells.items()), default=str, ensure_ascii=True)
    return f"{text}\n".encode()
