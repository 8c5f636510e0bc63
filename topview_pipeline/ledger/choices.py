"""People's preferences among the images of a result."""

from __future__ import annotations

import sqlalchemy as sa

from topview_pipeline.ledger.database import Database, upsert
from topview_pipeline.ledger.history import append_event
from topview_pipeline.ledger.schema import choice, task
from topview_pipeline.ledger.task_row import TaskState


class Choices:
    """The choices of one pipeline, by product and fingerprint of the result with the images."""

    def __init__(self, database: Database, account: str, pipeline: str) -> None:
        self._db = database
        self._account = account
        self._pipeline = pipeline

    def image_for(self, product_id: str, fingerprint: str) -> int | None:
        """The preferred image of a result, from 1."""
        query = sa.select(choice.c.image).where(
            choice.c.account == self._account,
            choice.c.pipeline == self._pipeline,
            choice.c.product_id == product_id,
            choice.c.fingerprint == fingerprint,
        )
        return self._db.scalar(query)

    def all(self) -> dict[tuple[str, str], int]:
        """Every preference, by (product, fingerprint)."""
        mine = choice.c.account == self._account, choice.c.pipeline == self._pipeline
        query = sa.select(choice).where(*mine)
        return {(row.product_id, row.fingerprint): row.image for row in self._db.rows(query)}

    def choose(self, product_id: str, fingerprint: str, image: int, *, who: str, why: str) -> None:
        """Keep a person's preference, image from 1; the newest counts.

        The result's row remembers every one of them, as an event.
        """
        chosen_from = sa.select(sa.func.max(task.c.id)).where(
            task.c.account == self._account,
            task.c.fingerprint == fingerprint,
            task.c.state.in_((TaskState.STORED, TaskState.SUCCEEDED)),
        )
        key = {"account": self._account, "pipeline": self._pipeline}
        key |= {"product_id": product_id, "fingerprint": fingerprint}
        with self._db.write(lock=self._account) as connection:
            upsert(connection, choice, [{**key, "image": image}])
            event = self._db.now(connection), "chosen", who, {"image": image, "why": why}
            task_id = connection.scalar(chosen_from)
            product = self._pipeline, product_id
            append_event(connection, self._account, *event, task_id=task_id, product=product)
