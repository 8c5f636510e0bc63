"""What the ledger remembers beside the money: uploads, and what tasks took and cost."""

from __future__ import annotations

import statistics
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from topview_pipeline.ledger.database import Database
from topview_pipeline.ledger.schema import task, task_event, upload

_HISTORY_ROWS = 500
_adopted = sa.exists().where(task_event.c.task_id == task.c.id, task_event.c.what == "adopted")


@dataclass(frozen=True)
class CostSeen:
    """The highest credits of finished tasks of one kind and mode; None when there were none.

    Attributes:
        a_task: of one task.
        a_second: of one second of speech, where that was known.
    """

    a_task: float | None = None
    a_second: float | None = None

    def of(self, seconds: float | None) -> float | None:
        """For so many seconds of speech; without them, and without such tasks, for a whole one."""
        if seconds is not None and self.a_second is not None:
            return self.a_second * seconds
        return self.a_task

    def and_of(self, credits: float, seconds: float | None) -> CostSeen:  # noqa: A002
        """The same with one more task."""
        a_second = credits / seconds if seconds else 0.0
        return CostSeen(
            max(self.a_task or 0.0, credits), max(self.a_second or 0.0, a_second) or None
        )


class Uploads:
    """File ids that Topview gave for bytes of ours."""

    def __init__(self, database: Database, account: str) -> None:
        self._db = database
        self._account = account

    def find(self, sha256: str) -> str | None:
        """The file id of these bytes, if they were uploaded."""
        with self._db.read() as connection:
            return connection.scalar(
                sa.select(upload.c.file_id).where(
                    upload.c.account == self._account, upload.c.sha256 == sha256
                )
            )

    def remember(self, sha256: str, file_id: str, *, format: str) -> None:  # noqa: A002
        """Keep the file id of bytes just uploaded; the newest counts."""
        with self._db.write(lock=self._account) as connection:
            connection.execute(self._delete(sha256))
            connection.execute(
                upload.insert().values(
                    account=self._account,
                    sha256=sha256,
                    file_id=file_id,
                    format=format,
                    uploaded_at=self._db.now(connection),
                )
            )

    def forget(self, sha256: str, *, file_id: str) -> None:
        """Topview no longer knows this file id; a newer one of the same bytes stays."""
        with self._db.write(lock=self._account) as connection:
            connection.execute(self._delete(sha256).where(upload.c.file_id == file_id))

    def _delete(self, sha256: str) -> sa.Delete:
        return upload.delete().where(upload.c.account == self._account, upload.c.sha256 == sha256)


class History:
    """What finished tasks of an account took and cost."""

    def __init__(self, database: Database, account: str) -> None:
        self._db = database
        self._account = account

    def seconds(self, stage: str) -> list[float]:
        """Seconds from submit until seen done, of the stage's latest finished tasks.

        Without those that changed hands: they were seen whenever a run looked again.
        """
        query = (
            sa.select(task.c.pending_at, task.c.succeeded_at)
            .where(
                task.c.account == self._account,
                task.c.stage == stage,
                task.c.succeeded_at.is_not(None),
                task.c.pending_at.is_not(None),
                ~_adopted,
            )
            .order_by(task.c.id.desc())
            .limit(_HISTORY_ROWS)
        )
        with self._db.read() as connection:
            return [row.succeeded_at - row.pending_at for row in connection.execute(query)]

    def seen_late(self, row_ids: Collection[int] | None = None) -> frozenset[int]:
        """Rows whose end may have been seen long after it: how long they ran is not known.

        They changed hands before they were stored, so nobody watched them for a while; or they
        were rebuilt from the store, which does not tell.

        Args:
            row_ids: those that are asked about; None: all of the account.
        """
        on_its_way = sa.or_(task.c.stored_at.is_(None), task_event.c.at <= task.c.stored_at)
        query = (
            sa.select(task.c.id)
            .join(task_event, task_event.c.task_id == task.c.id)
            .where(
                task.c.account == self._account,
                sa.or_(
                    sa.and_(task_event.c.what == "adopted", on_its_way),
                    task_event.c.what == "rebuilt",
                ),
            )
        )
        if row_ids is not None:
            query = query.where(task.c.id.in_(list(row_ids)))
        with self._db.read() as connection:
            return frozenset(connection.scalars(query))

    def typical_seconds(self, stage: str) -> float | None:
        """The median of `seconds`; None while nothing of the stage was finished."""
        seconds = self.seconds(stage)
        return statistics.median(seconds) if seconds else None

    def cost_seen(self, stage: str, mode: str | None) -> CostSeen:
        """The most credits that finished tasks like this were booked with."""
        booked = task.c.cost_credits
        a_second = sa.case((task.c.seconds > 0, booked / task.c.seconds))
        query = sa.select(sa.func.max(booked), sa.func.max(a_second)).where(
            task.c.account == self._account,
            task.c.stage == stage,
            task.c.mode.is_(None) if mode is None else task.c.mode == mode,
            booked.is_not(None),
        )
        with self._db.read() as connection:
            row = connection.execute(query).one()
            return CostSeen(row[0], row[1])
