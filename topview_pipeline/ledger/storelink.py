"""Which artifact store an account's results lie in, as the ledger remembers it.

Not here: whether ledger and store fit together (`pairing`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from topview_pipeline.ledger.database import Database
from topview_pipeline.ledger.schema import account, task, task_event
from topview_pipeline.ledger.states import TaskState


class StoreLink:
    """The link from one account to its store."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._db = database
        self._account = account_id

    @property
    def where(self) -> str:
        """The ledger's address, without a password."""
        return self._db.where

    def remembered(self) -> str | None:
        """The store's id; None when this account was never linked to one."""
        query = sa.select(account.c.store_id).where(account.c.id == self._account)
        with self._db.read() as connection:
            found: str | None = connection.scalar(query)
            return found

    def remember(self, store_id: Callable[[], str], *, who: str, detail: Mapping[str, Any]) -> str:
        """Link the account to a store, with an event when that is news.

        Args:
            store_id: called within the transaction, so that of two runs that begin at the same
                moment only one gives a new store its id.
            who: who says so.
            detail: what else stands in the event.
        """
        with self._db.write(lock=self._account) as connection:
            found = store_id()
            mine = account.c.id == self._account
            before = connection.scalar(sa.select(account.c.store_id).where(mine))
            if before != found:
                connection.execute(account.update().where(mine).values(store_id=found))
                connection.execute(
                    task_event.insert().values(
                        account=self._account,
                        at=self._db.now(connection),
                        what="paired",
                        who=who,
                        detail={"store": found, "before": before, **detail},
                    )
                )
        return found

    def has_tasks(self) -> bool:
        """Whether the ledger knows of any task of the account."""
        query = sa.select(task.c.id).where(task.c.account == self._account).limit(1)
        with self._db.read() as connection:
            return connection.execute(query).first() is not None

    def count_stored(self) -> int:
        """How many rows say that their files are in the store."""
        with self._db.read() as connection:
            return int(connection.scalar(self._stored(sa.func.count())) or 0)

    def stored_files(self) -> list[Sequence[Mapping[str, Any]]]:
        """The artifacts of each stored row."""
        with self._db.read() as connection:
            return [files or () for files in connection.scalars(self._stored(task.c.artifacts))]

    def _stored(self, what: sa.ColumnElement[Any]) -> sa.Select[Any]:
        return sa.select(what).where(
            task.c.account == self._account, task.c.state == TaskState.STORED.value
        )
