"""The ledger's tables. What they mean is here; who writes them is in the modules beside.

Times are seconds since the epoch (UTC), by the database's clock. Text columns that hold one of a
closed set of words are described in `states.py`.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from topview_pipeline.ledger.columns import ForeignText
from topview_pipeline.ledger.states import LIVE, OrderState

REVISIONS: Final = ("0001", "0002", "0003")
"""The steps in `migrations/versions`, by which a ledger came to be; the last one gives this."""

metadata = sa.MetaData()
_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")

ledger_info = sa.Table(
    "ledger_info",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
"""A sign for programs that know no revisions: they leave a ledger alone whose version is not 1."""

account = sa.Table(
    "account",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("uid", sa.Text, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    # Pause: all submits of the account stop at once, whichever run met the refusal.
    sa.Column("paused_at", sa.Float),
    sa.Column("paused_code", ForeignText),
    sa.Column("paused_message", ForeignText),
    sa.Column("paused_credits", sa.Float),
    sa.Column("probe_at", sa.Float),
    sa.Column("probe_wait", sa.Float),
    # After a good probe one submit goes through; `trial_task` is that row.
    sa.Column("trial", sa.Boolean, nullable=False, default=False),
    sa.Column("trial_task", _id),
    # Code 4007: somebody else uses slots of this account.
    sa.Column("slot_ceiling", sa.Integer),
    sa.Column("slot_ceiling_until", sa.Float),
    # The store that this account's results are kept in, by its marker.
    sa.Column("store_id", sa.String(32)),
    # When Topview's credit log was last compared with the unknown rows.
    sa.Column("reconciled_at", sa.Float),
)
"""One Topview account: its row is what a reserving transaction locks (on PostgreSQL)."""

producer = sa.Table(
    "producer",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("account", sa.String(64), nullable=False, index=True),
    sa.Column("run_id", sa.Text),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("boot_id", sa.Text, nullable=False),
    sa.Column("pid_namespace", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("process_started", sa.Float, nullable=False),
    sa.Column("started_at", sa.Float, nullable=False),
    sa.Column("lease_until", sa.Float, nullable=False),
    sa.Column("ended_at", sa.Float),
    # When it was last refused a slot though it has work: other runs leave it its share.
    sa.Column("waiting_at", sa.Float),
    # The account's slots as that producer was configured with.
    sa.Column("waiting_slots", sa.Integer),
)
"""Who works: rows and orders name it as owner, so that one update renews all its leases."""

orders = sa.Table(
    "orders",
    metadata,
    sa.Column("id", _id, primary_key=True, autoincrement=True),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("product_id", sa.Text, nullable=False),
    sa.Column("stage", sa.String(32), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("force", sa.Boolean, nullable=False),
    sa.Column("root_run_id", sa.Text, nullable=False),
    sa.Column("generation", sa.Integer),
    sa.Column("task_id", _id, index=True),
    sa.Column("owner", sa.String(32)),
    # The run whose credit limit its tasks count against; None is no such limit.
    sa.Column("limit_run_id", sa.Text),
    sa.Column("held_reason", sa.String(16)),
    sa.Column("held_detail", ForeignText),
    sa.Column("held_until", sa.Float),
    # What did not fit under the credit limit: it is looked at again when there is room for it.
    sa.Column("held_credits", sa.Float),
    sa.Column("failure", sa.JSON),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.Column("closed_at", sa.Float),
    sa.Index(
        "one_open_order",
        "account",
        "product_id",
        "stage",
        unique=True,
        sqlite_where=sa.text(f"state = '{OrderState.OPEN.value}'"),
        postgresql_where=sa.text(f"state = '{OrderState.OPEN.value}'"),
    ),
    sa.Index("orders_of_product", "account", "product_id", "stage", "closed_at"),
    sa.Index("orders_by_state", "account", "state", "held_until"),
)
"""What is wanted, written down before the first submit."""

order_run = sa.Table(
    "order_run",
    metadata,
    sa.Column("order_id", _id, sa.ForeignKey("orders.id"), primary_key=True),
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("asked_at", sa.Float, nullable=False),
    # A run that was stopped, or whose order another run took up, asks no longer.
    sa.Column("left_at", sa.Float),
    sa.Index("orders_of_run", "run_id"),
)
"""Which runs ask for an order, or asked. An open order that none asks for is withdrawn."""

run_limit = sa.Table(
    "run_limit",
    metadata,
    sa.Column("account", sa.String(64), primary_key=True),
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("credits", sa.Float, nullable=False),
)
"""The most credits that the orders of a run may cost, whoever goes on with them."""

_live = ", ".join(f"'{state.value}'" for state in sorted(LIVE))

task = sa.Table(
    "task",
    metadata,
    sa.Column("id", _id, primary_key=True, autoincrement=True),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("stage", sa.String(32), nullable=False),
    sa.Column("product_id", sa.Text, nullable=False),
    # What shapes the output: `work` without the generation, `fingerprint` with it.
    sa.Column("work", sa.String(64), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("root_run_id", sa.Text, nullable=False),
    sa.Column("owner", sa.String(32)),
    sa.Column("notice_token", sa.String(64), nullable=False),
    sa.Column("topview_task_id", ForeignText),
    # As sent, ids included; and the data versions of what it was made from.
    sa.Column("request", sa.JSON),
    sa.Column("inputs", sa.JSON, nullable=False),
    sa.Column("mode", sa.String(32)),
    # Seconds of speech that it was sent with: videos are paid by the second.
    sa.Column("seconds", sa.Float),
    # Credits: reserved against the limits, then what Topview booked.
    sa.Column("limit_run_id", sa.Text),
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
    sa.Column("error_code", ForeignText),
    sa.Column("error_message", ForeignText),
    # The finished query's answer without its signed queries, and what lies in the store.
    sa.Column("result", sa.JSON),
    sa.Column("artifacts", sa.JSON),
    # What measuring them said; empty until somebody measured.
    sa.Column("quality", sa.JSON),
    sa.Index(
        "one_live_task",
        "account",
        "fingerprint",
        unique=True,
        sqlite_where=sa.text(f"state IN ({_live})"),
        postgresql_where=sa.text(f"state IN ({_live})"),
    ),
    sa.Index("task_by_fingerprint", "account", "fingerprint"),
    sa.Index("task_by_work", "account", "work"),
    sa.Index("task_by_state", "account", "state"),
    sa.Index("task_by_booking", "account", "booked_at"),
    sa.Index("task_by_run", "account", "run_id", "reserved_at"),
    sa.Index("task_by_limit", "account", "limit_run_id"),
    sa.Index(
        "one_row_per_topview_task",
        "account",
        "topview_task_id",
        unique=True,
        sqlite_where=sa.text("topview_task_id IS NOT NULL"),
        postgresql_where=sa.text("topview_task_id IS NOT NULL"),
    ),
)
"""One row an attempt to have Topview do a piece of work."""

upload = sa.Table(
    "upload",
    metadata,
    sa.Column("account", sa.String(64), primary_key=True),
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("file_id", ForeignText, nullable=False),
    sa.Column("format", sa.String(8), nullable=False),
    sa.Column("uploaded_at", sa.Float, nullable=False),
)
"""File ids that Topview gave for bytes of ours, so that the same bytes are uploaded once."""

choice = sa.Table(
    "choice",
    metadata,
    sa.Column("account", sa.String(64), primary_key=True),
    sa.Column("product_id", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.String(64), primary_key=True),
    sa.Column("image", sa.Integer, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("chosen_at", sa.Float, nullable=False),
)
"""A person's preference among the images of one fingerprint of replacedImages (from 1)."""

catalogue_product = sa.Table(
    "catalogue_product",
    metadata,
    sa.Column("account", sa.String(64), primary_key=True),
    # Hash of the source's name: PostgreSQL indexes no text of any length.
    sa.Column("catalogue", sa.String(64), primary_key=True),
    sa.Column("product_id", sa.String(255), primary_key=True),
    # None while the catalogue has it.
    sa.Column("left_at", sa.Float),
)
"""The products that a catalogue had when it was last obeyed, and those that left it."""

catalogue_seen = sa.Table(
    "catalogue_seen",
    metadata,
    sa.Column("account", sa.String(64), primary_key=True),
    sa.Column("catalogue", sa.String(64), primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("columns", sa.JSON, nullable=False),
    sa.Column("seen_at", sa.Float, nullable=False),
    sa.Column("name", sa.Text),
    # What its location alone would be called.
    sa.Column("location", sa.Text),
    sa.Column("unknown_columns", sa.JSON),
    sa.Column("held", sa.Text),
    sa.Column("held_at", sa.Float),
)
"""What a catalogue was when it was last obeyed, and why it is not obeyed since."""

catalogue_recipe = sa.Table(
    "catalogue_recipe",
    metadata,
    sa.Column("account", sa.String(64), primary_key=True),
    sa.Column("catalogue", sa.String(64), primary_key=True),
    sa.Column("recipe", sa.JSON, nullable=False),
    sa.Column("since", sa.Float, nullable=False),
)
"""What a catalogue's products were last made by beside their rows: defaults and stage versions."""

accepted_change = sa.Table(
    "accepted_change",
    metadata,
    sa.Column("account", sa.String(64), primary_key=True),
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("accepted_at", sa.Float, nullable=False),
)
"""Large changes that a person meant, by the hash of what changed."""

task_event = sa.Table(
    "task_event",
    metadata,
    sa.Column("id", _id, primary_key=True, autoincrement=True),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("task_id", _id, index=True),
    sa.Column("order_id", _id, index=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("what", sa.String(32), nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("detail", sa.JSON),
)
"""Append-only: every move of a row and every act of a person, with who and why."""
