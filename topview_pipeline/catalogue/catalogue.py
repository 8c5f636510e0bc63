"""The catalogue: opened, read whole into products, bad rows and notes, and guarded.

Not here: file formats (`rows`), the rules of one row (`product`).
"""

import difflib
import importlib
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, Protocol, runtime_checkable

from topview_pipeline.catalogue.product import COLUMNS, Product, product_of
from topview_pipeline.catalogue.references import mark_of, read, shown
from topview_pipeline.catalogue.rows import CatalogueError, Row, RowProblem, excerpt, rows_of
from topview_pipeline.errors import PipelineError
from topview_pipeline.setting_types import PYTHON_SOURCE, project_root
from topview_pipeline.settings import CatalogueDefaults
from topview_pipeline.text import reason_of

LARGEST_BYTES: Final = 64 * 2**20  # 100,000 products have some 30 MiB
_MOST_NOTES: Final = 20
LARGEST_SHARE: Final = 0.2  # more is more likely half a file or a slip in the settings
FEWEST: Final = 5  # fewer products than these are looked over at a glance and never refused
_ACCEPT: Final = (
    "if the change is intended, run once with accept_change (`topview-pipeline run "
    "--accept-change`)."
)


@runtime_checkable
class CatalogueSource(Protocol):
    """A catalogue of your own, as docs/catalogue.md explains; opened for each reading."""

    @property
    def where(self) -> str:
        """Its name in messages: always the same, without secrets."""

    def version(self) -> str | None:
        """A short text that changes whenever the rows do; None when only reading them shows it."""

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Every row, from column name to value, in an order that stays."""


class CatalogueFile:
    """The catalogue in the CSV, TSV or JSON Lines file at a path, http(s) or fsspec URL."""

    def __init__(self, location: str) -> None:
        self.location = location
        self.where = shown(location)

    def version(self) -> str | None:
        """The mark of the file; None when a server gives none."""
        return mark_of(self.location)


Source = CatalogueFile | CatalogueSource


def open_source(setting: str) -> Source:
    """The source that a setting names.

    Args:
        setting: Path, http(s) or fsspec URL of a file; or `python:module:attribute`, which names a
            CatalogueSource, or a class or function that makes one without arguments; else it raises
            CatalogueError.
    """
    if not setting.startswith(PYTHON_SOURCE):
        return CatalogueFile(setting)
    try:
        found = imported(setting)
        is_made = isinstance(found, CatalogueSource) and not isinstance(found, type)
        source: object = found if is_made else found()
    except Exception as error:
        # The user's own code: no common class.
        what = f"it cannot be opened ({reason_of(error)})"
        fix = (
            "Write python:package.module:attribute, importable from the project folder, "
            "and what it needs."
        )
        raise CatalogueError(what, setting, fix) from error
    if not isinstance(source, CatalogueSource):
        what = f"{type(source).__name__} is not a catalogue source"
        raise CatalogueError(what, setting, "Give it `where`, `version()` and `rows()`.")
    return source


def imported(setting: str) -> Any:
    """The object that `python:module:attribute` names, in the project folder or the environment."""
    module, _, attribute = setting.removeprefix(PYTHON_SOURCE).partition(":")
    root = str(project_root())
    if root not in sys.path:
        # Dagster's servers begin with it there; a console script does not.
        sys.path.append(root)
    return getattr(importlib.import_module(module), attribute)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The good rows as products, in the order of the source, and everything that was wrong."""

    source: str  # its name in messages
    products: Mapping[str, Product]  # by id
    problems: tuple[RowProblem, ...]  # rows that make no product; a row may have several
    warnings: tuple[str, ...]  # what was ignored: unknown columns, rows given twice
    version: str | None = None  # of the source, as it was read; None when it has none

    @property
    def product_ids(self) -> frozenset[str]:
        """Ids of all rows, bad ones included: a product whose row went bad is not gone."""
        return frozenset(self.products).union(
            problem.product_id for problem in self.problems if problem.product_id is not None
        )

    @property
    def names_all_products(self) -> bool:
        """False while a bad row has no id: it may be the row of any product that seems gone."""
        return all(problem.product_id is not None for problem in self.problems)


def read_catalogue(source: Source | str, defaults: CatalogueDefaults) -> Catalogue:
    """Read the catalogue of a source, or of the file at a path, http(s) or fsspec URL.

    A bad row is no error: it is in `problems`, and the others go on. `defaults` fill empty cells.
    Raises CatalogueError: there is none to work with, or it keeps changing while it is read.
    """
    if isinstance(source, str):
        source = CatalogueFile(source)
    for _ in range(2):
        version = version_of(source)
        catalogue = _read_once(source, defaults)
        if version_of(source) == version:
            return replace(catalogue, version=version)
    fix = "Try again when nothing writes to it."
    raise CatalogueError("it changes while it is read", source.where, fix)


def _read_once(source: Source, defaults: CatalogueDefaults) -> Catalogue:
    if isinstance(source, CatalogueFile):
        with _named(source):
            data = read(source.location, LARGEST_BYTES).data
        return parse_catalogue(data, source.location, defaults)
    with _named(source):
        # Whole: half a catalogue is none, the products of the other half would seem to be gone.
        rows = list(_numbered_rows(source))
    return _catalogue_of(rows, source.where, defaults, beside=None, unit="row")


def parse_catalogue(data: bytes, location: str, defaults: CatalogueDefaults) -> Catalogue:
    """Do as `read_catalogue` with bytes that were already read from the file at `location`."""
    rows = rows_of(data, location)
    return _catalogue_of(rows, shown(location), defaults, beside=location, unit="line")


def version_of(source: Source) -> str | None:
    """The source's version; None when only reading it shows a change. Raises CatalogueError."""
    with _named(source):
        version = source.version()
    return None if version is None else str(version)


@contextmanager
def _named(source: Source) -> Iterator[None]:
    """Turn every failure of a source into a CatalogueError of one sentence."""
    try:
        yield
    except PipelineError as error:
        raise CatalogueError(error.what, error.where, error.fix) from error
    except Exception as error:
        # The user's own code: no common class.
        what = f"it cannot be read ({reason_of(error)})"
        fix = "Check that it can be reached from here."
        raise CatalogueError(what, source.where, fix) from error


def _numbered_rows(source: CatalogueSource) -> Iterator[Row | RowProblem]:
    """The rows of a source of the user's own, counted from 1."""
    rows: Iterable[object] = source.rows()
    for number, cells in enumerate(rows, start=1):
        if isinstance(cells, Mapping):
            yield Row(number, {str(column).strip().lower(): cells[column] for column in cells})
        else:
            reason = f"{excerpt(cells)} is not a mapping from column to value"
            yield RowProblem(number, None, None, reason, "row")


def _catalogue_of(
    rows: Iterable[Row | RowProblem],
    where: str,
    defaults: CatalogueDefaults,
    *,
    beside: str | None,
    unit: str,
) -> Catalogue:
    """The catalogue of these rows. Raises CatalogueError: there are none."""
    columns: dict[str, None] = {}
    found: dict[str, list[tuple[int, Product | None]]] = {}
    problems: list[RowProblem] = []
    doubts: list[RowProblem] = []
    for row in rows:
        if isinstance(row, RowProblem):
            problems.append(row)
            continue
        columns.update(dict.fromkeys(row.cells))
        product, noted = product_of(row, beside, defaults)
        noted = tuple(replace(one, unit=unit) for one in noted)
        (doubts if product else problems).extend(noted)
        product_id = product.product_id if product else noted[0].product_id
        if product_id is not None:
            found.setdefault(product_id, []).append((row.line, product))
    if not columns and not problems:
        raise CatalogueError("it has no products", where, "Add a row for each product.")
    products, contradictions, repeated = _one_of_each(found, unit)
    return Catalogue(
        source=where,
        products=MappingProxyType(products),
        problems=tuple(sorted([*problems, *contradictions], key=lambda problem: problem.line)),
        warnings=(*_unknown(columns), *repeated, *_few([*map(str, doubts)], "more like these")),
    )


def _one_of_each(
    found: Mapping[str, list[tuple[int, Product | None]]], unit: str
) -> tuple[dict[str, Product], list[RowProblem], list[str]]:
    """Products by id, rows that contradict each other (none is made), and notes on repeats."""
    products: dict[str, Product] = {}
    problems, notes = [], []
    for product_id, rows in found.items():
        (line, product), *others = rows
        if product is not None and all(other == product for _, other in others):
            products[product_id] = product
            notes += [f"{unit} {again} repeats {unit} {line} and is ignored" for again, _ in others]
            continue
        for one, _ in rows if others else ():
            place = f"{unit} {line if one != line else others[0][0]}"
            reason = f"{place} has the same id and other values; keep one of them"
            problems.append(RowProblem(one, "product_id", product_id, reason, unit))
    return products, problems, notes


def _unknown(columns: Iterable[str]) -> list[str]:
    """A note for each unknown column: a misspelt one would be missed in silence."""
    notes = []
    for column in (column for column in columns if column and column not in COLUMNS):
        close = difflib.get_close_matches(column, COLUMNS, n=1)
        hint = f"; is {close[0]} meant?" if close else ""
        notes.append(f"column {excerpt(column)} is unknown and ignored{hint}")
    return _few(notes, "more columns are unknown and ignored")


def _few(notes: Sequence[str], more: str) -> list[str]:
    """The first notes, and how many more there are."""
    left = len(notes) - _MOST_NOTES
    return [*notes[:_MOST_NOTES], *([f"{left} {more}"] if left > 0 else [])]


# Guards against a change of the catalogue or the settings that was not meant: a large one is
# refused until a run with `accept_change`.


class ChangeNotAccepted(CatalogueError):
    """So much changed that a person must accept it first; nothing is done until then."""


def check_gone(
    known: Collection[str], now: Collection[str], *, accept_change: bool, where: str
) -> None:
    """Raise ChangeNotAccepted if five or more of the `known` products, and over 20 %, are gone."""
    gone = set(known).difference(now)
    if not accept_change and _is_large(len(gone), len(known)):
        what = f"{len(gone)} of its {len(known)} products are gone, {_such_as(gone)}"
        raise ChangeNotAccepted(what, where, f"Restore them, or {_ACCEPT}")


def check_made_again(made: int, again: Collection[str], *, where: str) -> None:
    """Raise ChangeNotAccepted if a plan over the whole catalogue would make five or more products,
    and over 20 % of those made, again.
    """
    if _is_large(len(again), made):
        what = f"{len(again)} of its {made} products with results would be remade"
        fix = "Undo the change of the catalogue or the settings, try it with `--product`, or"
        raise ChangeNotAccepted(f"{what}, {_such_as(again)}", where, f"{fix} {_ACCEPT}")


def _is_large(some: int, whole: int) -> bool:
    return some >= FEWEST and some > LARGEST_SHARE * whole


def _such_as(ids: Collection[str]) -> str:
    return f"such as {', '.join(sorted(ids)[:3])}"
