"""The Dagster resources. Each only opens what lives elsewhere; nothing is read at import.

Fields left empty come from the environment (`settings.py`) when the resource is used, so that one
`.env` serves Dagster and the command line alike. What they open is imported then, too: SQLAlchemy
and httpx take longer to load than all definitions together.
"""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeVar

import dagster as dg
from pydantic import Field

if TYPE_CHECKING:
    from topview_pipeline.artifacts import ArtifactStore
    from topview_pipeline.catalogue import Catalogue, Source
    from topview_pipeline.ledger import Ledger
    from topview_pipeline.settings import CatalogueDefaults
    from topview_pipeline.topview.client import TopviewClient

_T = TypeVar("_T")

_names: "Final[dict[tuple[type[CatalogueResource], str, str], str]]" = {}
"""What sources of one's own last said that they are called, by resource and setting."""


class TopviewResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # takes any value
    """The Topview account at TOPVIEW_BASE_URL. Only what calls Topview needs it."""

    uid: str = Field(description="Topview-Uid of the account; write EnvVar('TOPVIEW_UID').")
    api_key: str = Field(
        description="Key of the account; write EnvVar('TOPVIEW_API_KEY').", repr=False
    )

    def client(self) -> "TopviewClient":
        """A client of this account, not yet open: `async with resource.client() as client`.

        Raises:
            Failure: uid, key or base URL cannot work; it says which.
        """
        from topview_pipeline.settings import Settings
        from topview_pipeline.topview.client import TopviewClient

        base_url = Settings.from_environment().base_url
        try:
            return TopviewClient(
                base_url=base_url, uid=self.uid.strip(), api_key=self.api_key.strip()
            )
        except ValueError as error:
            raise dg.Failure(str(error), allow_retries=False) from error


class LedgerResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # takes any value
    """The ledger: what was ordered, submitted and paid. It needs no key."""

    url: str = Field(
        default="", description="SQLAlchemy URL. Empty: TOPVIEW_LEDGER_URL.", repr=False
    )

    def open(self, *, uid: str = "") -> "Ledger":
        """The ledger of an account at TOPVIEW_BASE_URL; without argument that of TOPVIEW_UID.

        Raises:
            SettingsError: no uid is given.
            LedgerError: it cannot be used.
        """
        from topview_pipeline.ledger import Ledger
        from topview_pipeline.settings import Settings, SettingsError

        settings = Settings.from_environment()
        uid = uid.strip() or settings.uid or ""
        if not uid:
            raise SettingsError(
                "TOPVIEW_UID",
                "it is not set, and the ledger is kept per account",
                "Set it to the account's Topview-Uid.",
            )
        return Ledger(self.url or settings.ledger_url, base_url=settings.base_url, uid=uid)


class ArtifactsResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # takes any value
    """The store that keeps what Topview made."""

    root: str = Field(
        default="", description="Directory or fsspec URL. Empty: TOPVIEW_ARTIFACTS.", repr=False
    )

    @cached_property
    def store(self) -> "ArtifactStore":
        """The store; one object for each resource."""
        from topview_pipeline.artifacts import ArtifactStore
        from topview_pipeline.settings import Settings

        return ArtifactStore(self.root or Settings.from_environment().artifacts)


class CatalogueResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # takes any value
    """The catalogue of products. `docs/catalogue_sources.md` says how to give it another source."""

    source: str = Field(
        default="",
        description="CSV or JSONL by path or URL, or python:module:attribute. "
        "Empty: TOPVIEW_CATALOGUE.",
        repr=False,
    )
    known_as: str = Field(
        default="",
        description="What the ledger knows it by. "
        "Empty: TOPVIEW_CATALOGUE_NAME, else its location.",
    )

    def open(self) -> "Source":
        """Where the rows come from; a subclass may return a CatalogueSource of its own.

        Raises:
            SettingsError: no catalogue is named.
            CatalogueError: an import path leads to none.
        """
        from topview_pipeline.catalogue import open_source

        return open_source(self._named())

    def read(
        self, *, seconds: float = 300.0, defaults: "CatalogueDefaults | None" = None
    ) -> "Catalogue":
        """Read it now, in at most so many seconds.

        Args:
            defaults: what rows get where their cells are empty; None: as the environment says.

        Raises:
            SettingsError: no catalogue is named.
            CatalogueError: it cannot be used at all, or does not answer in time; single bad rows
                are in `problems`.
        """
        from topview_pipeline.catalogue import read_catalogue
        from topview_pipeline.settings import Settings

        settings = Settings.from_environment()
        given = settings.defaults if defaults is None else defaults
        name = self.known_as or settings.catalogue_name
        return self._look(seconds, lambda source: read_catalogue(source, given, name=name))

    def version(self, *, seconds: float = 10.0) -> str | None:
        """A text that changes whenever its rows do; None when only reading it tells.

        Raises as `read` does.
        """
        from topview_pipeline.catalogue import version_of

        return self._look(seconds, version_of)

    def name(self, *, seconds: float = 5.0) -> str:
        """What the ledger knows it by, as `Catalogue.source`, without reading it.

        A file's name is in its setting. Of a source of one's own that cannot tell it now, it is
        what it last told in this process.

        Raises as `read` does.
        """
        from topview_pipeline.catalogue import CatalogueError, name_of, name_of_location
        from topview_pipeline.settings import PYTHON_SOURCE, Settings

        given = self.known_as or Settings.from_environment().catalogue_name
        if given:
            return given
        if not self._is_own() and not self._named().startswith(PYTHON_SOURCE):
            return name_of_location(self._named())
        key = type(self), repr(self), self._setting()
        try:
            _names[key] = self._look(seconds, name_of, what="name")
        except CatalogueError:
            if key not in _names:
                raise
        return _names[key]

    def _look(self, seconds: float, look: "Callable[[Source], _T]", *, what: str = "rows") -> _T:
        """What `look` sees in the source. Also what makes a source of one's own may hang."""
        from topview_pipeline.catalogue import name_of_location, within

        where = type(self).__name__ if self._is_own() else name_of_location(self._setting())
        return within(seconds, where, lambda: look(self.open()), what=what)

    def _is_own(self) -> bool:
        """Whether a subclass opens a source of its own."""
        return type(self).open is not CatalogueResource.open

    def _named(self) -> str:
        """What names the source. Raises SettingsError: nothing does."""
        from topview_pipeline.settings import SettingsError

        setting = self._setting()
        if not setting:
            raise SettingsError(
                "TOPVIEW_CATALOGUE",
                "it is not set",
                "Set it to the path or URL of your catalogue (CSV or JSONL).",
            )
        return setting

    def _setting(self) -> str:
        """What names the source; '' where nothing does."""
        from topview_pipeline.settings import Settings

        return self.source or Settings.from_environment().catalogue or ""
