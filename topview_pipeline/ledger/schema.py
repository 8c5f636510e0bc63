"""The ledger's tables. Times are seconds since the epoch (UTC), by the database's clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from topview_pipeline.ledger.task_row import LIVE, Task, TaskState

VERSION: Final = 2
"""Version of the tables. A ledger of another version is refused; there are no migrations."""

T = TypeVar("T")
metadata = sa.MetaData()
_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_json = sa.JSON(none_as_null=True)
_AT_ONCE: Final = 500

ledger_info = sa.Table(
    "ledger_info",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
"""The schema's version."""

account = sa.Table(
    "account",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("uid", sa.Text, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    # The store that this account's results are kept in, by its marker.
    sa.Column("store_id", sa.Text),
    # When Topview's credit log was last compared with the unknown rows.
    sa.Column("reconciled_at", sa.Float),
)
"""One Topview account: its row is what a writer of the account locks (on PostgreSQL)."""

worker = sa.Table(
    "worker",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("account", sa.String(64), nullable=False, index=True),
    sa.Column("pipeline", sa.String(255), nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("started_at", sa.Float, nullable=False),
    sa.Column("heartbeat_at", sa.Float, nullable=False),
    sa.Column("served_at", sa.Float, nullable=False),
    sa.Column("short_at", sa.Float),
)
"""Engines at work: when each last got a slot, and when it last asked for one in vain.

One that ends takes its row away; the row of one that died stays.
"""

_state = sa.Enum(
    TaskState,
    values_callable=lambda states: [state.value for state in states],
    native_enum=False,
    length=16,
)
_has_id = "topview_task_id IS NOT NULL"
_live = f"state IN ({', '.join(repr(state.value) for state in sorted(LIVE))})"


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> sa.Index:
    rows = sa.text(where)
    return sa.Index(name, *columns, unique=unique, sqlite_where=rows, postgresql_where=rows)


task = sa.Table(
    "task",
    metadata,
    sa.Column("id", _id, primary_key=True, autoincrement=True),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("pipeline", sa.String(255), nullable=False),
    sa.Column("stage", sa.String(64), nullable=False),
    sa.Column("product_id", sa.Text, nullable=False),
    sa.Column("work", sa.String(64), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("state", _state, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("root_run_id", sa.Text, nullable=False),
    sa.Column("queued_at", sa.Float, nullable=False),
    sa.Column("reserved_at", sa.Float, nullable=False),
    sa.Column("deadline_at", sa.Float, nullable=False),
    sa.Column("worker", sa.String(64)),
    sa.Column("topview_task_id", sa.Text),
    sa.Column("mode", sa.String(32)),
    sa.Column("canary_group", sa.String(64)),
    sa.Column("seconds", sa.Float),
    sa.Column("credit_limit", sa.Float),
    sa.Column("estimate", sa.Float),
    sa.Column("cost_credits", sa.Float),
    sa.Column("booked_at", sa.Float),
    sa.Column("pending_at", sa.Float),
    sa.Column("last_query_at", sa.Float),
    sa.Column("succeeded_at", sa.Float),
    sa.Column("stored_at", sa.Float),
    sa.Column("closed_at", sa.Float),
    sa.Column("reported_at", sa.Float),
    sa.Column("retryable", sa.Boolean),
    sa.Column("not_before", sa.Float),
    sa.Column("error_code", sa.Text),
    sa.Column("error_message", sa.Text),
    # The long ones last: SQLite reads a row from its beginning, and plans need the short ones.
    sa.Column("request", _json),
    sa.Column("inputs", _json, nullable=False),
    sa.Column("result", _json),
    sa.Column("artifacts", _json),
    sa.Column("quality", _json),
    _partial("one_live_task", "account", "fingerprint", where=_live, unique=True),
    _partial("one_row_a_task", "account", "topview_task_id", where=_has_id, unique=True),
    sa.Index("task_by_fingerprint", "account", "fingerprint"),
    sa.Index("task_by_work", "account", "work"),
    sa.Index("task_by_product", "account", "pipeline", "product_id", "stage"),
    sa.Index("task_by_stage", "account", "stage"),
    _partial("task_by_canary_group", "account", "canary_group", where="canary_group IS NOT NULL"),
    sa.Index("task_by_state", "account", "state", "pipeline", "reported_at"),
    _partial("task_by_worker", "account", "worker", where="worker IS NOT NULL"),
    # With the credits in them, so that adding up a day or a run reads no row.
    sa.Index("task_by_booking", "account", "booked_at", "cost_credits", "estimate"),
    sa.Index("task_by_root_run", "account", "root_run_id", "booked_at", "cost_credits", "estimate"),
)
"""One row an attempt; its columns are the fields of `task_row.Task`, in that order.

It belongs to the account, and so does the work; `pipeline` is the one whose product asked first.
"""

task_event = sa.Table(
    "task_event",
    metadata,
    sa.Column("id", _id, primary_key=True, autoincrement=True),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("task_id", _id, index=True),
    sa.Column("pipeline", sa.String(255)),
    sa.Column("product_id", sa.Text),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("what", sa.String(32), nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("detail", _json),
    # A condition on the pipeline makes SQLite take this index.
    _partial("event_by_product", "account", "pipeline", "product_id", where="pipeline IS NOT NULL"),
)
"""Append-only: every move of a row and every act of a person, with who and why.

"reported" with a pipeline's product says which row its stage uses from then on.
"""

upload = sa.Table(
    "upload",
    metadata,
    sa.Column("account", sa.String(64), primary_key=True),
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("file_id", sa.Text, nullable=False),
    sa.Column("format", sa.String(8), nullable=False),
    sa.Column("uploaded_at", sa.Float, nullable=False),
)
"""File ids that Topview gave for bytes of ours, so that the same bytes are uploaded once."""

file_hash = sa.Table(
    "file_hash",
    metadata,
    # Hash of the path or URL: PostgreSQL indexes no text of any length, and URLs may be signed.
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("mark", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("learnt_at", sa.Float, nullable=False, index=True),
)
"""When this file or URL had this mark (size and times, or ETag), its bytes had this sha256."""

catalogue_state = sa.Table(
    "catalogue_state",
    metadata,
    sa.Column("account", sa.String(64), primary_key=True),
    sa.Column("pipeline", sa.String(255), primary_key=True),
    # Why it is not accepted; None while it is.
    sa.Column("held", sa.Text),
    sa.Column("held_at", sa.Float),
    # Where it is, as the pipeline's sensor last found its ledger.
    sa.Column("source", sa.Text),
    sa.Column("ticked_at", sa.Float),
)
"""A pipeline's catalogue, and when its sensor last ticked: a pipeline that is gone has none."""

catalogue_product = sa.Table(
    "catalogue_product",
    metadata,
    sa.Column("account", sa.String(64), primary_key=True),
    sa.Column("pipeline", sa.String(255), primary_key=True),
    sa.Column("product_id", sa.String(255), primary_key=True),
    # None while the catalogue has it.
    sa.Column("left_at", sa.Float),
)
"""The products of a pipeline's catalogue when it was last accepted, and those that left it."""

review = sa.Table(
    "review",
    metadata,
    sa.Column("account", sa.String(64), primary_key=True),
    sa.Column("pipeline", sa.String(255), primary_key=True),
    sa.Column("product_id", sa.String(255), primary_key=True),
    sa.Column("fingerprint", sa.String(64), primary_key=True),
    sa.Column("image", sa.Integer),
    sa.Column("decision", sa.String(16)),
)
"""A person's word on one result: an image (from 1), a decision; who and why is an event."""


def task_of(row: Sequence[Any]) -> Task:
    """The row of a `select(task)`, without the account."""
    return Task(row[0], *row[2:])


def portions(items: Iterable[T]) -> Iterator[list[T]]:
    """The items in as many lists as it takes to name each in one statement."""
    listed = list(items)
    for start in range(0, len(listed), _AT_ONCE):
        yield listed[start : start + _AT_ONCE]
