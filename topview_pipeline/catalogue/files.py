"""A catalogue in a file: CSV or JSON Lines, by path, http(s) or fsspec URL.

Not here: the formats themselves (`tables`).
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from topview_pipeline.catalogue.errors import CatalogueError
from topview_pipeline.catalogue.product import RowProblem
from topview_pipeline.catalogue.tables import Row, TableError, csv_rows, json_rows
from topview_pipeline.sources import SourceError, is_url, mark_of, read_limited, shown

LARGEST_BYTES = 64 * 2**20
"""A catalogue of 100,000 products has some 30 MiB; what is larger is most likely the wrong file."""


class CatalogueFile:
    """The catalogue at `location`, a path, http(s) or fsspec URL."""

    def __init__(self, location: str) -> None:
        self.location = location

    @property
    def where(self) -> str:
        """The location without the secrets that a URL may carry."""
        return shown(self.location)

    def version(self) -> str | None:
        """Size and time of a file, ETag or Last-Modified of a URL; None when a server has none."""
        try:
            return mark_of(self.location)
        except SourceError as error:
            raise CatalogueError(error.what, error.where, error.mend) from error

    def placed_rows(self) -> Iterator[Row | RowProblem]:
        """The rows with their lines; what is no row is a problem, and the rows after it go on.

        Raises:
            CatalogueError: there is no table to work with.
        """
        try:
            data = read_limited(self.location, LARGEST_BYTES)
        except SourceError as error:
            raise CatalogueError(error.what, error.where, error.mend) from error
        yield from rows_of(data, self.location)


def rows_of(data: bytes, location: str) -> Iterator[Row | RowProblem]:
    """The rows of a file's bytes. Raises CatalogueError: they are no table."""
    where = shown(location)
    text = _decoded(data, where)
    try:
        yield from json_rows(text) if _is_json(location, text) else csv_rows(text)
    except TableError as error:
        what, _, mend = str(error).partition(". ")
        raise CatalogueError(what, where, mend) from error


def _decoded(data: bytes, where: str) -> str:
    """The text. Bytes that are not UTF-8 become what `rules` refuses: only their rows fail."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise CatalogueError("it is UTF-16", where, "Save it as CSV UTF-8.")
    text = data.decode("utf-8-sig", "surrogateescape")
    if not text.strip():
        raise CatalogueError("it is empty", where, "Add a header and a row for each product.")
    return text


def _is_json(location: str, text: str) -> bool:
    """By suffix; a source without a telling one, such as an export link, by its first character."""
    path = urlsplit(shown(location)).path if is_url(location) else location
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return True
    return suffix != ".csv" and text.lstrip().startswith("{")
