"""All rows of paid work at a glance: the few columns that a plan goes by, in one query for all.

A whole row carries four JSON documents; of 60,000 rows they take longer than all else of a plan.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from topview_pipeline.ledger.database import Database
from topview_pipeline.ledger.schema import orders, task
from topview_pipeline.ledger.states import TaskState

_STATES: Mapping[str, TaskState] = {state.value: state for state in TaskState}


@dataclass(frozen=True, slots=True)
class TaskGlance:
    """What a plan goes by of a row.

    Attributes:
        result: of the stages that it was asked for; None elsewhere.
        inputs: data versions of what it was made from; empty where they were not asked for.
    """

    fingerprint: str
    state: TaskState
    retryable: bool | None
    result: Mapping[str, Any] | None
    inputs: Mapping[str, str]


class TaskOverview:
    """Looks at all task rows of one account."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._db = database
        self._account = account_id

    def rows(self, *, results_of: Collection[str]) -> dict[str, list[TaskGlance]]:
        """Every row by its fingerprint, the oldest first.

        Args:
            results_of: keys of the stages whose results are wanted.
        """
        query = (
            sa.select(task.c.fingerprint, task.c.state, task.c.retryable, _result_of(results_of))
            .where(task.c.account == self._account)
            .order_by(task.c.id)
        )
        found: dict[str, list[TaskGlance]] = {}
        with self._db.read() as connection:
            for fingerprint, state, retryable, result in connection.execute(query).all():
                glance = TaskGlance(fingerprint, _STATES[state], retryable, result, {})
                found.setdefault(fingerprint, []).append(glance)
        return found

    def last_stored(self, *, results_of: Collection[str]) -> dict[tuple[str, str], TaskGlance]:
        """What each (product, stage) last stored, as `Tasks.last_stored` says it of one."""
        kept = task.c.state.in_((TaskState.STORED.value, TaskState.SUPERSEDED.value))
        newest = (
            sa.select(sa.func.max(orders.c.id).label("id"))
            .join(task, task.c.id == orders.c.task_id)
            .where(orders.c.account == self._account, kept)
            .group_by(orders.c.product_id, orders.c.stage)
            .subquery()
        )
        columns = task.c.fingerprint, task.c.state, task.c.retryable
        row = (*columns, _result_of(results_of), task.c.inputs)
        of_orders = (
            sa.select(orders.c.product_id, orders.c.stage, *row)
            .join(newest, newest.c.id == orders.c.id)
            .join(task, task.c.id == orders.c.task_id)
        )
        superseded = sa.select(task.c.fingerprint).where(
            task.c.account == self._account, task.c.state == TaskState.SUPERSEDED.value
        )
        made_anew = sa.select(*row).where(
            task.c.account == self._account,
            task.c.state == TaskState.STORED.value,
            task.c.fingerprint.in_(superseded),
        )
        with self._db.read() as connection:
            stored = {values[0]: _glance(*values) for values in connection.execute(made_anew)}
            found = {
                (product_id, stage): _glance(*values)
                for product_id, stage, *values in connection.execute(of_orders)
            }
        for key, glance in found.items():
            if glance.state is TaskState.SUPERSEDED and glance.fingerprint in stored:
                found[key] = stored[glance.fingerprint]
        return found


def _result_of(stages: Collection[str]) -> sa.ColumnElement[Any]:
    return sa.case((task.c.stage.in_(list(stages)), task.c.result), else_=sa.null())


def _glance(
    fingerprint: str,
    state: str,
    retryable: bool | None,
    result: Mapping[str, Any] | None,
    inputs: Mapping[str, str],
) -> TaskGlance:
    return TaskGlance(fingerprint, _STATES[state], retryable, result, inputs)
