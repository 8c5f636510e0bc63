"""A ledger's schema in its database: made, brought up to date, or refused.

The tables are in `schema.py`, the steps from one revision to the next in `migrations/`.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from topview_pipeline.ledger.errors import LedgerVersion
from topview_pipeline.ledger.schema import REVISIONS, ledger_info, metadata

VERSION_TABLE: Final = "ledger_version"
"""Not alembic's own name for it: Dagster's storage uses that one, perhaps in the same database."""

_version = sa.Table(
    VERSION_TABLE,
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)
_KNOWS_NO_REVISIONS: Final = "schema_version"
_FIRST: Final = "1"
_LATER: Final = "2"


def is_up_to_date(connection: sa.Connection, *, where: str) -> bool:
    """Whether the ledger has this program's schema; False also where there is none yet.

    Raises:
        LedgerVersion: a newer program wrote it, or the database belongs to something else.
    """
    return _found(connection, where) == REVISIONS[-1]


def bring_up_to_date(connection: sa.Connection, *, where: str) -> None:
    """Make the tables, or take the steps that are due, within the connection's transaction.

    The caller keeps others from doing the same meanwhile. Raises as `is_up_to_date`.
    """
    found = _found(connection, where)
    if found is None:
        metadata.create_all(connection, checkfirst=False)
        _stamp(connection, REVISIONS[-1])
        connection.execute(ledger_info.insert().values(key=_KNOWS_NO_REVISIONS, value=_LATER))
    elif found != REVISIONS[-1]:
        # 0.2 s, spared to all but the one process that upgrades.
        from topview_pipeline.ledger import migrations

        if not sa.inspect(connection).has_table(VERSION_TABLE):
            _stamp(connection, found)
        migrations.upgrade(connection)


def _found(connection: sa.Connection, where: str) -> str | None:
    """The revision of the ledger, or None where there is none."""
    inspector = sa.inspect(connection)
    if inspector.has_table(VERSION_TABLE):
        found = connection.scalar(sa.select(_version.c.version_num))
    elif inspector.has_table(ledger_info.name):
        written = connection.scalar(
            sa.select(ledger_info.c.value).where(ledger_info.c.key == _KNOWS_NO_REVISIONS)
        )
        found = REVISIONS[0] if written == _FIRST else written
    else:
        _refuse_another_programs_tables(inspector, where)
        return None
    if found not in REVISIONS:
        raise LedgerVersion(
            f"ledger {where} has schema {found}, this program knows {REVISIONS[-1]}; "
            "use the program that wrote it, or another TOPVIEW_LEDGER_URL"
        )
    return str(found)


def _refuse_another_programs_tables(inspector: sa.Inspector, where: str) -> None:
    theirs = sorted(set(inspector.get_table_names()) & set(metadata.tables))
    if theirs:
        raise LedgerVersion(
            f"{where} is no ledger and has a table {theirs[0]}; "
            "name a database of its own in TOPVIEW_LEDGER_URL"
        )


def _stamp(connection: sa.Connection, revision: str) -> None:
    _version.create(connection)
    connection.execute(_version.insert().values(version_num=revision))
