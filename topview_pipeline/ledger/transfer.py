"""A ledger copied into another database, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa

from topview_pipeline.ledger.database import Database, LedgerError
from topview_pipeline.ledger.schema import ledger_info, metadata, task, task_event, worker
from topview_pipeline.ledger.workers import is_recent

_AT_ONCE: Final = 1000
_TABLES: Final = [table for table in metadata.sorted_tables if table is not ledger_info]


def copy_ledger(source: str, target: str) -> tuple[str, dict[str, int]]:
    """Copy all accounts of a ledger into an empty one; return where that is, and its row counts.

    Nothing is written into the source, and nobody can write there meanwhile. Raises LedgerError
    if a worker is alive, the target has rows, or not all rows arrived.
    """
    if isinstance(file := _place(source), Path) and not file.is_file():
        raise LedgerError("there is no such file", f"ledger {file}", "Check the path of SOURCE.")
    if _place(source) == _place(target):
        raise LedgerError("source and target are one ledger", fix="Name an empty one as TARGET.")
    old, new = Database(source, migrate=False), Database(target)
    try:
        with old.write() as reading, new.write() as writing:
            if reading.dialect.name == "postgresql":
                reading.execute(sa.text("LOCK TABLE worker, task IN SHARE MODE"))
            _check_idle(reading, old.now(reading), old.where)
            if any(_counts(writing).values()):
                raise LedgerError(
                    "it has rows already",
                    f"ledger {new.where}",
                    "Name a database, or a file, that is empty.",
                )
            for table in _TABLES:
                for rows in reading.execute(sa.select(table)).mappings().partitions(_AT_ONCE):
                    writing.execute(table.insert(), [dict(row) for row in rows])
            _go_on_counting(writing)
            counts = _counts(writing)
            if counts != _counts(reading):
                raise LedgerError(f"not all rows of {old.where} arrived", f"ledger {new.where}")
        return new.where, counts
    finally:
        old.close()
        new.close()


def _place(url: str) -> object:
    """The file of a SQLite ledger, or server and database."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return Path(str(parsed.database)).resolve()
    return parsed.get_backend_name(), parsed.host, parsed.port, parsed.database


def _check_idle(connection: sa.Connection, now: float, where: str) -> None:
    runs = connection.scalars(sa.select(worker.c.run_id).where(is_recent(now))).all()
    if runs:
        raise LedgerError(
            f"{', '.join(run[:8] for run in runs)} is at work",
            f"ledger {where}",
            "Switch sensors and schedules off, let the runs end, and copy then.",
        )


def _counts(connection: sa.Connection) -> dict[str, int]:
    count = sa.func.count()
    return {
        table.name: connection.execute(sa.select(count).select_from(table)).scalar_one()
        for table in _TABLES
    }


def _go_on_counting(connection: sa.Connection) -> None:
    """Let PostgreSQL give the next row the number after the highest one. SQLite does so anyway."""
    if connection.dialect.name != "postgresql":
        return
    for table in (task, task_event):
        sequence = sa.func.pg_get_serial_sequence(table.name, "id")
        highest = sa.select(sa.func.max(table.c.id)).scalar_subquery()
        connection.execute(
            sa.select(sa.func.setval(sequence, sa.func.coalesce(highest, 1), highest.is_not(None)))
        )
