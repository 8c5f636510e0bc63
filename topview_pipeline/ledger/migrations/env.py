"""Where alembic begins: it executes this file, with the connection that `upgrade` was given."""

from __future__ import annotations

from alembic import context

from topview_pipeline.ledger.schema import metadata
from topview_pipeline.ledger.versions import VERSION_TABLE


def take_the_steps() -> None:
    """The transaction is the caller's, so all steps are kept together or none is."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        version_table=VERSION_TABLE,
    )
    with context.begin_transaction():
        context.run_migrations()


if __name__ != "topview_pipeline.ledger.migrations.env":  # alembic calls it by another name
    take_the_steps()
