"""Credit limits, fair shares of slots, the store that belongs to a ledger, catalogues seen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add columns that may be empty, and tables: rows stay as they are."""
    op.create_table(
        "accepted_change",
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("accepted_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("account", "sha256"),
    )
    op.create_table(
        "catalogue_product",
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("catalogue", sa.String(64), nullable=False),
        sa.Column("product_id", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("account", "catalogue", "product_id"),
    )
    op.create_table(
        "catalogue_seen",
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("catalogue", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("columns", sa.JSON, nullable=False),
        sa.Column("seen_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("account", "catalogue"),
    )
    op.create_table(
        "catalogue_recipe",
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("catalogue", sa.String(64), nullable=False),
        sa.Column("recipe", sa.JSON, nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("account", "catalogue"),
    )
    op.create_table(
        "run_limit",
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("credits", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("account", "run_id"),
    )
    op.add_column("account", sa.Column("store_id", sa.String(32)))
    op.add_column("account", sa.Column("reconciled_at", sa.Float))
    op.add_column("orders", sa.Column("limit_run_id", sa.Text))
    op.add_column("orders", sa.Column("held_credits", sa.Float))
    op.add_column("producer", sa.Column("waiting_at", sa.Float))
    op.add_column("producer", sa.Column("waiting_slots", sa.Integer))
    op.add_column("task", sa.Column("seconds", sa.Float))
    op.add_column("task", sa.Column("limit_run_id", sa.Text))
    op.add_column("task", sa.Column("quality", sa.JSON))
    op.create_index("task_by_booking", "task", ["account", "booked_at"])
    op.create_index("task_by_limit", "task", ["account", "limit_run_id"])
    op.create_index("task_by_run", "task", ["account", "run_id", "reserved_at"])
    # Programs that know no revisions go by this: they refuse every version but their own, 1.
    info = sa.table("ledger_info", sa.column("key"), sa.column("value"))
    op.execute(info.update().where(info.c.key == "schema_version").values(value="2"))
