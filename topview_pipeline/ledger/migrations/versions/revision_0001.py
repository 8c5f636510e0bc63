"""The ledger of the first programs, which kept its version in `ledger_info` alone."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_LIVE = "'pending', 'reserved', 'stalled', 'stored', 'succeeded', 'unknown'"


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "account",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("uid", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("paused_at", sa.Float),
        sa.Column("paused_code", sa.Text),
        sa.Column("paused_message", sa.Text),
        sa.Column("paused_credits", sa.Float),
        sa.Column("probe_at", sa.Float),
        sa.Column("probe_wait", sa.Float),
        sa.Column("trial", sa.Boolean, nullable=False),
        sa.Column("trial_task", _id),
        sa.Column("slot_ceiling", sa.Integer),
        sa.Column("slot_ceiling_until", sa.Float),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "choice",
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("product_id", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("image", sa.Integer, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("chosen_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("account", "product_id", "fingerprint"),
    )
    op.create_table(
        "ledger_info",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "orders",
        sa.Column("id", _id, nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("product_id", sa.Text, nullable=False),
        sa.Column("stage", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("force", sa.Boolean, nullable=False),
        sa.Column("root_run_id", sa.Text, nullable=False),
        sa.Column("generation", sa.Integer),
        sa.Column("task_id", _id),
        sa.Column("owner", sa.String(32)),
        sa.Column("held_reason", sa.String(16)),
        sa.Column("held_detail", sa.Text),
        sa.Column("held_until", sa.Float),
        sa.Column("failure", sa.JSON),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("closed_at", sa.Float),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_orders_task_id", "orders", ["task_id"])
    op.create_index(
        "one_open_order",
        "orders",
        ["account", "product_id", "stage"],
        unique=True,
        **_where("state = 'open'"),
    )
    op.create_index("orders_by_state", "orders", ["account", "state", "held_until"])
    op.create_index("orders_of_product", "orders", ["account", "product_id", "stage", "closed_at"])
    op.create_table(
        "producer",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("run_id", sa.Text),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("boot_id", sa.Text, nullable=False),
        sa.Column("pid_namespace", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("process_started", sa.Float, nullable=False),
        sa.Column("started_at", sa.Float, nullable=False),
        sa.Column("lease_until", sa.Float, nullable=False),
        sa.Column("ended_at", sa.Float),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_producer_account", "producer", ["account"])
    op.create_table(
        "task",
        sa.Column("id", _id, nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("stage", sa.String(32), nullable=False),
        sa.Column("product_id", sa.Text, nullable=False),
        sa.Column("work", sa.String(64), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("root_run_id", sa.Text, nullable=False),
        sa.Column("owner", sa.String(32)),
        sa.Column("notice_token", sa.String(64), nullable=False),
        sa.Column("topview_task_id", sa.Text),
        sa.Column("request", sa.JSON),
        sa.Column("inputs", sa.JSON, nullable=False),
        sa.Column("mode", sa.String(32)),
        sa.Column("estimate", sa.Float),
        sa.Column("cost_credits", sa.Float),
        sa.Column("booked_at", sa.Float),
        sa.Column("queued_at", sa.Float, nullable=False),
        sa.Column("reserved_at", sa.Float, nullable=False),
        sa.Column("pending_at", sa.Float),
        sa.Column("last_query_at", sa.Float),
        sa.Column("succeeded_at", sa.Float),
        sa.Column("stored_at", sa.Float),
        sa.Column("closed_at", sa.Float),
        sa.Column("deadline_at", sa.Float, nullable=False),
        sa.Column("materialized_at", sa.Float),
        sa.Column("retryable", sa.Boolean),
        sa.Column("not_before", sa.Float),
        sa.Column("error_code", sa.Text),
        sa.Column("error_message", sa.Text),
        sa.Column("result", sa.JSON),
        sa.Column("artifacts", sa.JSON),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "one_live_task",
        "task",
        ["account", "fingerprint"],
        unique=True,
        **_where(f"state IN ({_LIVE})"),
    )
    op.create_index(
        "one_row_per_topview_task",
        "task",
        ["account", "topview_task_id"],
        unique=True,
        **_where("topview_task_id IS NOT NULL"),
    )
    op.create_index("task_by_fingerprint", "task", ["account", "fingerprint"])
    op.create_index("task_by_state", "task", ["account", "state"])
    op.create_index("task_by_work", "task", ["account", "work"])
    op.create_table(
        "task_event",
        sa.Column("id", _id, nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("task_id", _id),
        sa.Column("order_id", _id),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("what", sa.String(32), nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("detail", sa.JSON),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_task_event_order_id", "task_event", ["order_id"])
    op.create_index("ix_task_event_task_id", "task_event", ["task_id"])
    op.create_table(
        "upload",
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("file_id", sa.Text, nullable=False),
        sa.Column("format", sa.String(8), nullable=False),
        sa.Column("uploaded_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("account", "sha256"),
    )
    op.create_table(
        "order_run",
        sa.Column("order_id", _id, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("asked_at", sa.Float, nullable=False),
        sa.Column("left_at", sa.Float),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"]),
        sa.PrimaryKeyConstraint("order_id", "run_id"),
    )
    op.create_index("orders_of_run", "order_run", ["run_id"])
