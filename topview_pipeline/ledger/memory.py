"""What the ledger remembers beside the money: uploads, choices, and how long tasks take."""

from __future__ import annotations

import sqlalchemy as sa

from topview_pipeline.ledger.database import Database
from topview_pipeline.ledger.schema import choice, task, task_event, upload
from topview_pipeline.ledger.states import TaskState

_HISTORY_ROWS = 500
_adopted = sa.exists().where(task_event.c.task_id == task.c.id, task_event.c.what == "adopted")


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


class Choices:
    """Which of several scenes a person prefers."""

    def __init__(self, database: Database, account: str) -> None:
        self._db = database
        self._account = account

    def find(self, product_id: str, fingerprint: str) -> int | None:
        """The preferred image, from 1, of this fingerprint of replacedImages."""
        with self._db.read() as connection:
            return connection.scalar(
                sa.select(choice.c.image).where(
                    choice.c.account == self._account,
                    choice.c.product_id == product_id,
                    choice.c.fingerprint == fingerprint,
                )
            )

    def all(self) -> dict[tuple[str, str], int]:
        """Every preference, by (product, fingerprint of replacedImages)."""
        query = sa.select(choice).where(choice.c.account == self._account)
        with self._db.read() as connection:
            return {
                (row.product_id, row.fingerprint): row.image for row in connection.execute(query)
            }


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

    def highest_cost(self, stage: str, mode: str | None) -> float | None:
        """The most credits a stored task of this kind and mode was booked with."""
        query = sa.select(sa.func.max(task.c.cost_credits)).where(
            task.c.account == self._account,
            task.c.stage == stage,
            task.c.mode.is_(None) if mode is None else task.c.mode == mode,
            task.c.state.in_((TaskState.STORED.value, TaskState.SUCCEEDED.value)),
        )
        with self._db.read() as connection:
            highest: float | None = connection.scalar(query)
            return highest
