"""Who works on an account: registering a producer, its lease, and whether another still lives."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from topview_pipeline.ledger.database import Database
from topview_pipeline.ledger.owner import LEASE_SECONDS, Owner
from topview_pipeline.ledger.schema import producer


class Producers:
    """Leases of the producers of one account."""

    def __init__(self, database: Database, account: str, *, observer: Owner | None = None) -> None:
        self._db = database
        self._account = account
        self._observer = observer or Owner()

    def start(self, owner: Owner, *, run_id: str) -> bool:
        """Register a producer, its lease starts now; False when it is registered already."""
        try:
            with self._db.write() as connection:
                now = self._db.now(connection)
                connection.execute(
                    producer.insert().values(
                        id=owner.id,
                        account=self._account,
                        run_id=run_id,
                        host=owner.host,
                        boot_id=owner.boot_id,
                        pid_namespace=owner.pid_namespace,
                        pid=owner.pid,
                        process_started=owner.process_started,
                        started_at=now,
                        lease_until=now + LEASE_SECONDS,
                    )
                )
        except IntegrityError:
            return False
        return True

    def renew(self, owner: Owner) -> None:
        """Extend the lease; due every `owner.RENEW_SECONDS`."""
        with self._db.write() as connection:
            connection.execute(
                producer.update()
                .where(producer.c.id == owner.id)
                .values(lease_until=self._db.now(connection) + LEASE_SECONDS)
            )

    def end(self, owner: Owner) -> None:
        """The producer is gone and says so."""
        with self._db.write() as connection:
            connection.execute(
                producer.update()
                .where(producer.c.id == owner.id)
                .values(ended_at=self._db.now(connection))
            )

    def is_alive(self, owner_id: str | None) -> bool:
        """Whether a producer named in a row still works; None is nobody."""
        if owner_id is None:
            return False
        with self._db.read() as connection:
            row = connection.execute(sa.select(producer).where(producer.c.id == owner_id)).first()
            if row is None:
                return False
            return self._observer.is_alive(row._asdict(), now=self._db.now(connection))

    def is_dead(self, run_id: str) -> bool:
        """Whether a run had a producer that is proven dead and did not end by itself."""
        alive = self._of_run(run_id)
        return bool(alive) and not any(alive)

    def is_at_work(self, run_id: str) -> bool:
        """Whether a run has a living producer."""
        return any(self._of_run(run_id))

    def _of_run(self, run_id: str) -> list[bool]:
        """For each producer of a run that did not end by itself, whether it lives."""
        with self._db.read() as connection:
            now = self._db.now(connection)
            rows = connection.execute(
                sa.select(producer).where(
                    producer.c.account == self._account,
                    producer.c.run_id == run_id,
                    producer.c.ended_at.is_(None),
                )
            ).all()
            return [self._observer.is_alive(row._asdict(), now=now) for row in rows]
