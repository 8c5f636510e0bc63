"""The resource: one Topview pipeline, as its configuration describes it.

It only opens what lives elsewhere, and imports that when it is used: database and HTTP take longer
to load than all definitions together.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from topview_pipeline.defs.outline import Outline
from topview_pipeline.setting_types import SettingsError
from topview_pipeline.text import reason_of

if TYPE_CHECKING:
    from topview_pipeline.catalogue import Catalogue, InputFiles
    from topview_pipeline.defs.pipeline import Claim
    from topview_pipeline.ledger import Ledger
    from topview_pipeline.settings import PipelineConfig
    from topview_pipeline.store import Store
    from topview_pipeline.topview.client import TopviewClient
    from topview_pipeline.topview.http import OnAnswer


class TopviewResource:
    """A Topview account with its ledger, its store and its catalogue.

    Args:
        config: the pipeline's configuration, or a function that loads it when it is first needed.
        outline: its names in Dagster, where `config` is a function.
    """

    def __init__(
        self, config: PipelineConfig | Callable[[], PipelineConfig], outline: Outline | None = None
    ) -> None:
        self._given = config
        if outline is None:
            outline = Outline() if callable(config) else Outline.of_config(config)
        self.outline = outline
        self.claim: Claim | None = None
        """Its part in what pipelines of one location share, as far as known when it loads."""
        self._read: tuple[str, Catalogue] | None = None
        self.ready_for: str | None = None
        """The run before which ledger and store were checked in this process; see `check_ready`."""
        self.listeners: list[Callable[[object], None]] = []
        """Called with the plan of a run and each event of its engine, in this process."""
        self.is_stopping = False
        self.stop_reported = threading.Event()
        """Dagster knows of that stop: the run may end, and counts as cancelled."""
        self._stop_engine: Callable[[], None] | None = None

    @cached_property
    def config(self) -> PipelineConfig:
        """The configuration. Raises SettingsError if a setting cannot be used."""
        config = self._given() if callable(self._given) else self._given
        Outline.of_config(config)
        return config

    @cached_property
    def store(self) -> Store:
        """Keeps what Topview made."""
        from topview_pipeline.store import Store

        return Store(self.config.store)

    def client(self, on_answer: OnAnswer | None = None) -> TopviewClient:
        """A client of the account, not yet open: `async with topview.client() as client`."""
        from topview_pipeline.topview.client import TopviewClient

        uid, key = self.config.require_account()
        try:
            return TopviewClient(
                base_url=self.config.base_url,
                uid=uid,
                api_key=key,
                accelerate_uploads=self.config.accelerate_uploads,
                on_answer=on_answer,
            )
        except ValueError as error:
            raise self.config.wrong("base_url", str(error), "Set it to Topview's API.") from error
        except (OSError, ImportError) as error:  # of variables that httpx reads itself
            is_file = isinstance(error, OSError)
            name = "SSL_CERT_FILE or SSL_CERT_DIR" if is_file else "ALL_PROXY or HTTPS_PROXY"
            raise SettingsError(
                f"unusable ({reason_of(error)})", name, f"Correct {name}."
            ) from error

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The account's ledger, closed at the end. It needs a uid and no key."""
        from topview_pipeline.ledger import Ledger

        config = self.config
        ledger = Ledger(
            config.ledger_url,
            base_url=config.base_url,
            uid=config.require_uid(),
            pipeline=config.name,
            migrate=config.migrate,
        )
        with closing(ledger):
            yield ledger

    def catalogue(self, *, run_id: str | None = None, seconds: float = 300.0) -> Catalogue:
        """Read the catalogue, in at most so many seconds.

        Args:
            run_id: the steps of one run share what the first of them read.
        """
        from topview_pipeline.catalogue import open_source, read_catalogue, within

        if run_id is not None and self._read is not None and self._read[0] == run_id:
            return self._read[1]
        location = self.config.require_catalogue()
        found = within(
            seconds, location, lambda: read_catalogue(open_source(location), self.config.defaults)
        )
        if run_id is not None:
            self._read = run_id, found
        return found

    def catalogue_version(self, *, seconds: float = 10.0) -> str | None:
        """A text that changes whenever the rows do; None when only reading tells."""
        from topview_pipeline.catalogue import open_source, version_of, within

        location = self.config.require_catalogue()
        return within(seconds, location, lambda: version_of(open_source(location)))

    def notify(self, event: object) -> None:
        for listener in self.listeners:
            listener(event)

    def stop(self) -> None:
        """Let the run of this process send nothing more, and end. From any thread."""
        self.is_stopping = True
        stop_engine = self._stop_engine  # it may end in between
        if stop_engine is not None:
            stop_engine()

    @property
    def is_producing(self) -> bool:
        """An engine is at work in this process: something may be on its way to Topview."""
        return self._stop_engine is not None

    @contextmanager
    def producing(self, stop_engine: Callable[[], None]) -> Iterator[None]:
        """While the block runs, `stop` stops this engine; it does so now if it was called before.

        Args:
            stop_engine: may be called more than once, from any thread.
        """
        self._stop_engine = stop_engine
        try:
            if self.is_stopping:
                stop_engine()
            yield
        finally:
            self._stop_engine = None

    def files(
        self, ledger: Ledger | None, *, offline: bool = False, may_trust: bool = True
    ) -> InputFiles:
        """Reads and hashes what the catalogue names; the ledger, if any, remembers hashes.

        Args:
            offline: no server is asked.
            may_trust: False: `trust_photos_for` does not count, as something is made of the files.
        """
        from topview_pipeline.catalogue import InputFiles

        return InputFiles(
            None if ledger is None else ledger.hashes,
            offline=offline,
            trust_seconds=self.config.trust_photos_for if may_trust else 0.0,
        )
