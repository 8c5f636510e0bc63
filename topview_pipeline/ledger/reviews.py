"""People's decisions about results: the image that they choose, and if the next stage may go on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa

from topview_pipeline.ledger.database import Part, append_event, upsert
from topview_pipeline.ledger.schema import portions, review, task
from topview_pipeline.ledger.task_row import NO_REVIEW, Review, TaskState

Key = tuple[str, str]
"""A product, and the fingerprint of its result that the decision is about."""

NO_REASONS: Final[Mapping[Key, str]] = MappingProxyType({})


class Reviews(Part):
    """The decisions of one pipeline. A new result has another fingerprint, and none of them."""

    def of(self, product_id: str, fingerprint: str) -> Review:
        with self._db.read() as connection:
            of = connection, self._account, self._pipeline, product_id
            return reviews_of(*of, {fingerprint}).get(fingerprint, NO_REVIEW)

    def all(self) -> dict[Key, Review]:
        return _by_key(self._db.rows(self._mine))

    def choose(self, product_id: str, fingerprint: str, image: int, *, who: str, why: str) -> None:
        """Prefer an image, from 1, which approves of it."""
        self.decide({(product_id, fingerprint): Review(image, "approved")}, who=who, why=why)

    def decide(
        self,
        decisions: Mapping[Key, Review],
        *,
        who: str,
        why: str,
        whys: Mapping[Key, str] = NO_REASONS,
    ) -> None:
        """Keep decisions, all or none; the newest counts, and an image chosen before stays.

        The result's row remembers every one of them, as an event, with `whys` or else `why`.
        """
        if not decisions:
            return
        with self._db.write(lock=self._account) as connection:
            now = self._db.now(connection)
            before = _by_key(connection.execute(self._mine))
            task_ids = dict(self._task_ids(connection, decisions))
            rows = []
            for key in sorted(decisions):
                (product_id, fingerprint), new = key, decisions[key]
                old = before.get(key, NO_REVIEW)
                values = {"account": self._account, "pipeline": self._pipeline}
                values |= {"product_id": product_id, "fingerprint": fingerprint}
                image, decision = new.image or old.image, new.decision or old.decision
                rows.append({**values, "image": image, "decision": decision})
                what = "chosen" if new.image else str(new.decision)
                append_event(
                    connection,
                    self._account,
                    now,
                    what,
                    who,
                    {"image": image, "why": whys.get(key, why)},
                    task_id=task_ids.get(fingerprint),
                    product=(self._pipeline, product_id),
                )
            upsert(connection, review, rows)

    @property
    def _mine(self) -> sa.Select[Any]:
        return sa.select(review).where(*self._of_pipeline(review))

    def _task_ids(
        self, connection: sa.Connection, decisions: Mapping[Key, Review]
    ) -> Iterator[tuple[str, int]]:
        for some in portions({fingerprint for _, fingerprint in decisions}):
            query = sa.select(task.c.fingerprint, sa.func.max(task.c.id)).where(
                task.c.account == self._account,
                task.c.fingerprint.in_(some),
                task.c.state.in_((TaskState.STORED, TaskState.SUCCEEDED)),
            )
            for row in connection.execute(query.group_by(task.c.fingerprint)):
                yield row[0], row[1]


def reviews_of(
    connection: sa.Connection,
    account: str,
    pipeline: str,
    product_id: str,
    fingerprints: Iterable[str],
) -> dict[str, Review]:
    """The decisions about a product's results, by fingerprint, within a transaction."""
    query = sa.select(review.c.fingerprint, review.c.image, review.c.decision).where(
        review.c.account == account,
        review.c.pipeline == pipeline,
        review.c.product_id == product_id,
        review.c.fingerprint.in_(fingerprints),
    )
    return {row[0]: Review(*row[1:]) for row in connection.execute(query)}


def _by_key(rows: Any) -> dict[Key, Review]:
    return {(row.product_id, row.fingerprint): Review(row.image, row.decision) for row in rows}
