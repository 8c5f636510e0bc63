"""Which of several scenes a person prefers, and what those scenes were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from topview_pipeline.ledger.database import Database
from topview_pipeline.ledger.schema import choice, task, task_event
from topview_pipeline.ledger.states import TaskState

_KEPT = (TaskState.STORED.value, TaskState.SUPERSEDED.value)


@dataclass(frozen=True)
class Choice:
    """A person's preference: the image, from 1, and when it was chosen."""

    image: int
    chosen_at: float


@dataclass(frozen=True)
class ChosenScene(Choice):
    """A preference with the scene that it is of.

    Attributes:
        fingerprint: of replacedImages.
        result: Topview's answer with the images; None when the ledger has it no longer.
    """

    fingerprint: str
    result: Mapping[str, Any] | None


class Choices:
    """People's preferences among the images of replacedImages, for one account."""

    def __init__(self, database: Database, account: str) -> None:
        self._db = database
        self._account = account

    def find(self, product_id: str, fingerprint: str) -> Choice | None:
        """The preferred image of this fingerprint of replacedImages."""
        query = sa.select(choice).where(self._of(product_id, fingerprint))
        with self._db.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else Choice(row.image, row.chosen_at)

    def all(self) -> dict[tuple[str, str], int]:
        """Every preference, by (product, fingerprint of replacedImages)."""
        query = sa.select(choice).where(choice.c.account == self._account)
        with self._db.read() as connection:
            return {
                (row.product_id, row.fingerprint): row.image for row in connection.execute(query)
            }

    def scenes(self, product_id: str | None = None) -> dict[str, list[ChosenScene]]:
        """Every preference with its scene, by product; of one product, or of all."""
        query = (
            sa.select(choice, task.c.result)
            .outerjoin(
                task,
                sa.and_(
                    task.c.account == choice.c.account,
                    task.c.fingerprint == choice.c.fingerprint,
                    task.c.state.in_(_KEPT),
                ),
            )
            .where(choice.c.account == self._account)
            .order_by(choice.c.product_id, choice.c.fingerprint, task.c.id)
        )
        if product_id is not None:
            query = query.where(choice.c.product_id == product_id)
        newest: dict[tuple[str, str], ChosenScene] = {}
        with self._db.read() as connection:
            for row in connection.execute(query):
                key = row.product_id, row.fingerprint
                newest[key] = ChosenScene(row.image, row.chosen_at, row.fingerprint, row.result)
        found: dict[str, list[ChosenScene]] = {}
        for (of_product, _), chosen in newest.items():
            found.setdefault(of_product, []).append(chosen)
        return found

    def choose(self, product_id: str, fingerprint: str, image: int, *, who: str, why: str) -> None:
        """Keep a person's preference, image from 1; the newest counts.

        The scene's row remembers every one of them, with who and why.
        """
        with self._db.write(lock=self._account) as connection:
            now = self._db.now(connection)
            connection.execute(choice.delete().where(self._of(product_id, fingerprint)))
            connection.execute(
                choice.insert().values(
                    account=self._account,
                    product_id=product_id,
                    fingerprint=fingerprint,
                    image=image,
                    who=who,
                    why=why,
                    chosen_at=now,
                )
            )
            scene = sa.select(sa.func.max(task.c.id)).where(
                task.c.account == self._account,
                task.c.fingerprint == fingerprint,
                task.c.state.in_(_KEPT),
            )
            connection.execute(
                task_event.insert().values(
                    account=self._account,
                    task_id=connection.scalar(scene),
                    at=now,
                    what="chosen",
                    who=who,
                    detail={"product": product_id, "image": image, "why": why},
                )
            )

    def _of(self, product_id: str, fingerprint: str) -> sa.ColumnElement[bool]:
        return sa.and_(
            choice.c.account == self._account,
            choice.c.product_id == product_id,
            choice.c.fingerprint == fingerprint,
        )
