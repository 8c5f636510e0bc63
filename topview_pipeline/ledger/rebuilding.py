"""Making a lost ledger's rows again, from what its store says of them.

Not here: reading the store (`recovery`), what its files look like (`producer.records`), and which
orders there have to be (`links`).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any, Final

import sqlalchemy as sa

from topview_pipeline.ledger.database import Database
from topview_pipeline.ledger.kept import KeptResult, KeptUse, Rebuilt
from topview_pipeline.ledger.links import Known, Link, Numbered, Rows, links_to_add
from topview_pipeline.ledger.schema import choice, orders, task, task_event
from topview_pipeline.ledger.states import LIVE, HeldReason, OrderState, TaskState
from topview_pipeline.ledger.wishes import NOT_HELD

_BATCH: Final = 1000
"""Rows in one statement."""
_REASON: Final = "rebuilt from the store"
_COLUMNS: Final = tuple(
    field.name for field in fields(KeptResult) if field.name not in ("state", "anew", "choice")
)


class Rebuilding:
    """Adds to the ledger of one account what it has lost."""

    def __init__(self, database: Database, account: str) -> None:
        self._db = database
        self._account = account

    def missing(self, results: Iterable[KeptResult]) -> list[KeptResult]:
        """Those without a row in the ledger, by Topview's task id and by live fingerprint.

        The oldest first: of several rows of one fingerprint the live one is the last.
        """
        with self._db.read() as connection:
            return self._missing(connection, results)

    def rebuild(
        self, results: Iterable[KeptResult], uses: Sequence[KeptUse], *, who: str, why: str
    ) -> Rebuilt:
        """Add rows, and closed orders that lead from products to them, in one transaction.

        What the ledger has already stays as it is, so a second time adds nothing; only holds for
        lost rows end. The rows count
        as told to Dagster, whose history is its own: a product whose materialization is missing
        there is told again by the next run, for nothing.
        """
        with self._db.write(lock=self._account) as connection:
            known = self._known(connection)
            added = self._missing(connection, results)
            _insert(connection, task, (self._task(kept) for kept in added))
            rows = self._rows(connection)
            links = links_to_add(added, uses, rows, known)
            _insert(connection, orders, (self._order(link) for link in links))
            event = {
                "account": self._account,
                "at": self._db.now(connection),
                "what": "rebuilt",
                "who": who,
                "detail": {"why": why},
            }
            numbers = (rows.by_topview_task[kept.topview_task_id].id for kept in added)
            _insert(connection, task_event, ({**event, "task_id": number} for number in numbers))
            choices = self._choose(connection, [*added, *uses], who=who)
            self._end_holds(connection)
        return Rebuilt(len(added), len(links), choices)

    def _missing(
        self, connection: sa.Connection, results: Iterable[KeptResult]
    ) -> list[KeptResult]:
        query = sa.select(task.c.topview_task_id, task.c.fingerprint, task.c.state).where(
            task.c.account == self._account
        )
        ids: set[str] = set()
        live: set[str] = set()
        for topview_task_id, fingerprint, state in connection.execute(query):
            ids.add(topview_task_id)
            if TaskState(state) in LIVE:
                live.add(fingerprint)
        missing = []
        for kept in sorted(results, key=lambda kept: (kept.reserved_at, kept.anew)):
            is_live = kept.state in LIVE
            if kept.topview_task_id in ids or (is_live and kept.fingerprint in live):
                continue
            ids.add(kept.topview_task_id)
            if is_live:
                live.add(kept.fingerprint)
            missing.append(kept)
        return missing

    def _task(self, kept: KeptResult) -> dict[str, Any]:
        return {
            **{name: getattr(kept, name) for name in _COLUMNS},
            "account": self._account,
            "state": kept.state.value,
            "notice_token": secrets.token_hex(16),
            "booked_at": kept.succeeded_at,
            "materialized_at": kept.stored_at,
        }

    def _rows(self, connection: sa.Connection) -> Rows:
        query = sa.select(
            task.c.id, task.c.generation, task.c.fingerprint, task.c.topview_task_id, task.c.state
        ).where(task.c.account == self._account)
        rows = Rows()
        for number, generation, fingerprint, topview_task_id, state in connection.execute(query):
            row = Numbered(number, generation)
            rows.by_topview_task[topview_task_id] = row
            if TaskState(state) in (TaskState.STORED, TaskState.SUCCEEDED):
                rows.by_fingerprint[fingerprint] = row
        return rows

    def _known(self, connection: sa.Connection) -> Known:
        until = sa.func.coalesce(orders.c.closed_at, self._db.now(connection))
        query = (
            sa.select(orders, until.label("until"), task.c.generation.label("reached"))
            .join(task, task.c.id == orders.c.task_id)
            .where(orders.c.account == self._account)
            .order_by(orders.c.id)
        )
        known = Known()
        for order in connection.execute(query):
            of = (order.product_id, order.stage)
            row = Numbered(order.task_id, order.reached)
            known.until[of, row] = order.until
            known.last[of] = Link(order.created_at, of, row, order.force, order.root_run_id)
        return known

    def _order(self, link: Link) -> dict[str, Any]:
        product_id, stage = link.of
        return {
            "account": self._account,
            "product_id": product_id,
            "stage": stage,
            "state": OrderState.DONE.value,
            "reason": _REASON,
            "force": link.force,
            "root_run_id": link.root_run_id,
            "generation": link.row.generation,
            "task_id": link.row.id,
            "created_at": link.at,
            "updated_at": link.at,
            "closed_at": link.at,
        }

    def _end_holds(self, connection: sa.Connection) -> None:
        """What waited for lost rows is looked at anew; what still lacks them is held again."""
        connection.execute(
            orders.update()
            .where(
                orders.c.account == self._account,
                orders.c.state == OrderState.OPEN.value,
                orders.c.held_reason == HeldReason.LOST_ROW.value,
            )
            .values(updated_at=self._db.now(connection), **NOT_HELD)
        )

    def _choose(
        self, connection: sa.Connection, kept: Iterable[KeptResult | KeptUse], *, who: str
    ) -> int:
        """The newest preference that a video followed, for each scene; those known already stay."""
        query = sa.select(choice).where(choice.c.account == self._account)
        known = {(row.product_id, row.fingerprint) for row in connection.execute(query)}
        newest: dict[tuple[str, str], dict[str, Any]] = {}
        for one in kept:
            found = one.choice
            if found is None or (one.product_id, found.scene) in known:
                continue
            before = newest.get((one.product_id, found.scene))
            if before is None or before["chosen_at"] <= found.chosen_at:
                newest[one.product_id, found.scene] = {
                    "account": self._account,
                    "product_id": one.product_id,
                    "fingerprint": found.scene,
                    "image": found.image,
                    "who": who,
                    "why": _REASON,
                    "chosen_at": found.chosen_at,
                }
        _insert(connection, choice, newest.values())
        return len(newest)


def _insert(connection: sa.Connection, table: sa.Table, rows: Iterable[dict[str, Any]]) -> None:
    for batch in _batches(rows):
        connection.execute(table.insert(), batch)


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
