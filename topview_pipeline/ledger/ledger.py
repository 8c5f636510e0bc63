"""The ledger of one account: the only entrance to its database."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from topview_pipeline.ledger.budget import Budget
from topview_pipeline.ledger.catalogue_state import CatalogueState, Retired
from topview_pipeline.ledger.database import Database, append_event
from topview_pipeline.ledger.history import History
from topview_pipeline.ledger.known_files import FileHashTable, Uploads
from topview_pipeline.ledger.reviews import Reviews
from topview_pipeline.ledger.schema import account, task, task_event
from topview_pipeline.ledger.tasks import Tasks
from topview_pipeline.ledger.unknowns import Unknowns
from topview_pipeline.ledger.workers import Orphans, Workers
from topview_pipeline.settings import DEFAULT_NAME
from topview_pipeline.text import origin_of


def account_id(base_url: str, uid: str) -> str:
    """Name of an account: a hash of origin and uid, never of the key.

    By the origin the sandbox's work is never taken for Topview's.
    """
    digest = hashlib.sha256(f"{origin_of(base_url)}\n{uid.strip()}".encode()).hexdigest()
    return digest[:16]


class Ledger:
    """The tasks of one account, and what belongs to them, as one of its pipelines sees them.

    Work, slots, credits and uploads are the account's: what is identical is paid once. Products,
    the results they use, their troubles and people's reviews are the pipeline's.
    """

    def __init__(
        self,
        url: str,
        *,
        base_url: str,
        uid: str,
        pipeline: str = DEFAULT_NAME,
        clock: Callable[[], float] | None = None,
        migrate: bool = True,
    ) -> None:
        """Open (and on first use create) the ledger.

        Args:
            url, clock, migrate: as `Database` takes them.
            pipeline: whose products these are.

        Raises:
            LedgerError: it cannot be opened or written, or has another schema.
        """
        self._database = Database(url, clock=clock, migrate=migrate)
        self.account = account_id(base_url, uid)
        self.pipeline = pipeline
        of = self._database, self.account, pipeline
        self.tasks = Tasks(*of)
        self.orphans = Orphans(*of)
        self.unknowns = Unknowns(*of)
        self.workers = Workers(*of)
        self.budget = Budget(*of)
        self.uploads = Uploads(*of)
        self.hashes = FileHashTable(self._database)
        self.catalogue = CatalogueState(*of)
        self.reviews = Reviews(*of)
        self.retired = Retired(*of)
        self.history = History(*of)
        self._register(base_url, uid)

    @property
    def where(self) -> str:
        """The ledger's address, without a password."""
        return self._database.where

    @property
    def is_remote(self) -> bool:
        return self._database.is_remote

    def now(self) -> float:
        """The ledger's clock, in seconds since the epoch."""
        return self._database.now()

    def store_id(self) -> str | None:
        """The store that the account's results are kept in; None before there was one."""
        mine = account.c.id == self.account
        return self._database.scalar(sa.select(account.c.store_id).where(mine))

    def remember_store(self, store_id: str, *, who: str, why: str = "") -> None:
        """Link the account to a store, with an event by which the ledger knows the pipeline."""
        mine = account.c.id == self.account
        with self._database.write(lock=self.account) as connection:
            before = connection.scalar(sa.select(account.c.store_id).where(mine))
            connection.execute(account.update().where(mine).values(store_id=store_id))
            now, of = self._database.now(connection), (self.pipeline, None)
            detail = {"store": store_id, "before": before, "why": why}
            append_event(connection, self.account, now, "store remembered", who, detail, product=of)

    def has_tasks(self) -> bool:
        query = sa.select(task.c.id).where(task.c.account == self.account).limit(1)
        return self._database.scalar(query) is not None

    def knows_pipeline(self) -> bool:
        """True if the pipeline began with this ledger, or a person adopted it for the pipeline."""
        of_pipeline = task_event.c.account == self.account, task_event.c.pipeline == self.pipeline
        query = sa.select(task_event.c.id).where(*of_pipeline).limit(1)
        return self._database.scalar(query) is not None

    def close(self) -> None:
        self._database.close()

    def _register(self, base_url: str, uid: str) -> None:
        mine = sa.select(account.c.id).where(account.c.id == self.account)
        if self._database.scalar(mine) is not None:
            return
        # Two processes may open a new ledger at once: the second finds the row of the first.
        with suppress(IntegrityError), self._database.write() as connection:
            row = {"id": self.account, "origin": base_url, "uid": uid}
            now = self._database.now(connection)
            connection.execute(account.insert(), {**row, "created_at": now})
