"""The steps that bring a ledger's schema up to date, in the form that alembic knows.

To change the schema: change `schema.py`, add a revision in `versions/`, name it in
`schema.REVISIONS`. A revision that was released is not changed any more; it repeats what it needs
of the schema instead of importing it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory


def upgrade(connection: sa.Connection, *, to: str = "head") -> None:
    """Take every step that a ledger lacks, within the connection's transaction.

    Args:
        to: the last step; a test stops earlier.
    """
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def revisions() -> tuple[str, ...]:
    """The names of all steps, the first one first."""
    steps = ScriptDirectory.from_config(_config()).walk_revisions()
    return tuple(step.revision for step in steps)[::-1]


def _config() -> Config:
    """In place of an alembic.ini, which would be one more file to find and to trust."""
    config = Config()
    config.set_main_option("script_location", "topview_pipeline.ledger:migrations")
    return config
