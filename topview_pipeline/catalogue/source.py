"""Where a catalogue's rows come from: the interface that a source of your own has.

Not here: the sources that come with the package (`files`), what a row must be (`rules`).
"""

from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable


@runtime_checkable
class CatalogueSource(Protocol):
    """A catalogue somewhere: a database, a web service, a spreadsheet.

    It is opened anew for each reading, in any process and thread, so it keeps nothing between
    them. Whatever its methods raise ends the reading with one sentence that names `where` and the
    error.
    """

    @property
    def where(self) -> str:
        """Its name in messages, and where no other is set in the ledger.

        Always the same, without secrets.
        """

    def version(self) -> str | None:
        """A short text that changes whenever the rows do; None when only reading them tells.

        Asked once a minute, so it should be cheap: `max(updated_at)` with a count, a revision, an
        ETag. It is asked before and after the rows are read: a catalogue that changed meanwhile is
        read again.
        """

    def rows(self) -> Iterable[Mapping[str, object]]:
        """Every row, from column name to value, in an order that stays.

        The columns are those of a catalogue file, in any case; None, '' and a missing key mean
        empty. Files are named by absolute path or by URL. The order of new rows becomes the order
        of partitions in Dagster.
        """
