"""Failures of a run: one table of what was not made and why, and marks on partitions."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import dagster as dg

from topview_pipeline.defs.dagster_private import report_planned
from topview_pipeline.defs.metadata import text_table
from topview_pipeline.errors import PipelineError
from topview_pipeline.text import LISTED_ONE_BY_ONE, alike, in_common

if TYPE_CHECKING:
    from topview_pipeline.defs.outline import Outline
    from topview_pipeline.engine import Failed, Held

_SHOWN_IN_MESSAGE: Final = 20
_SCATTERED: Final = 2
"""So many products are tried again more cheaply by catch_up than by a backfill."""
_COLUMNS: Final = ("product", "stage", "outcome", "what", "fix", "task_id")


@dataclass(frozen=True)
class Trouble:
    """One product's stage that a run did not make.

    Attributes:
        outcome: failed is final for this run; what is held waits, and the reason says for what.
        task_id: Topview's, or empty when nothing was accepted.
    """

    product: str
    stage: str
    outcome: Literal["failed", "held"]
    what: str
    fix: str
    task_id: str = ""


def trouble_of(event: Failed | Held) -> Trouble:
    """The table's row for an event of the engine."""
    task_id = "" if event.task is None else event.task.topview_task_id or ""
    outcome: Literal["failed", "held"] = "held" if hasattr(event, "reason") else "failed"
    return Trouble(event.product_id, event.stage, outcome, event.what, event.fix, task_id)


def failure(
    troubles: Sequence[Trouble],
    *,
    outline: Outline,
    made: int,
    metadata: Mapping[str, dg.MetadataValue[Any]] | None = None,
) -> dg.Failure:
    """The Failure that ends a run: how many, which, why, and what to do."""
    counts = {
        outcome: sum(trouble.outcome == outcome for trouble in troubles)
        for outcome in ("failed", "held")
    }
    summary = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    groups = alike(troubles, lambda trouble: f"{trouble.outcome}: {trouble.what}")
    lines = [line for group in groups for line in _lines(group)]
    if len(lines) > _SHOWN_IN_MESSAGE:
        lines[_SHOWN_IN_MESSAGE:] = ["... and more, see the table."]
    lines += _all_in_one_run(troubles)
    return dg.Failure(
        description=outline.worded("\n".join([f"{made} made, {summary}.", *lines])),
        metadata={"topview/troubles": trouble_table(troubles), **(metadata or {})},
        # The ledger decides about retries, not one of Dagster's retry machines.
        allow_retries=False,
    )


def trouble_table(troubles: Iterable[Trouble]) -> dg.TableMetadataValue:
    """The table of what was not made."""
    return text_table(
        _COLUMNS, (tuple(getattr(trouble, name) for name in _COLUMNS) for trouble in troubles)
    )


def _lines(group: Sequence[Trouble]) -> list[str]:
    """A line for each of few, one for all of many: a refused account is said once."""
    if len(group) > LISTED_ONE_BY_ONE:
        what = in_common(trouble.what for trouble in group)
        what_and_fix = f"{_sentence(what)} What to do: {_sentence(group[0].fix)}"
        stages = " and ".join(dict.fromkeys(trouble.stage for trouble in group))
        named = ", ".join(dict.fromkeys(trouble.product for trouble in group[:LISTED_ONE_BY_ONE]))
        return [f"{len(group)} {group[0].outcome}, {stages} of {named} and others: {what_and_fix}"]
    return [
        f"{trouble.product} / {trouble.stage} {trouble.outcome}: {_sentence(trouble.what)} "
        f"What to do: {_sentence(trouble.fix)}"
        for trouble in group
    ]


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _all_in_one_run(troubles: Sequence[Trouble]) -> list[str]:
    """Say how to try scattered products again without a process for each."""
    failed = (trouble.product for trouble in troubles if trouble.outcome == "failed")
    products = list(dict.fromkeys(failed))
    if len(products) < _SCATTERED:
        return []
    named = "".join(f" --product {shlex.quote(name)}" for name in products)
    all_of_them = "" if len(products) > _SHOWN_IN_MESSAGE else named
    return [
        "To try them again use the job catch_up, which takes any products in one run: "
        f"`topview-pipeline run{all_of_them}`. A backfill of scattered ones is a run for each."
    ]


def mark_failed(
    context: dg.OpExecutionContext, outline: Outline, troubles: Iterable[Trouble]
) -> None:
    """Show what failed as failed partitions of its assets, from an op that is no asset's step.

    An op job's failure marks no partition. A planned event without a materialization, in a run
    that failed, does; a later success clears it. What is held goes on, and a product that was never
    registered has no partition: both are left out.
    """
    registered = set(context.instance.get_dynamic_partitions(outline.partition_set))
    for trouble in troubles:
        if trouble.outcome == "failed" and trouble.product in registered:
            report_planned(
                context.instance,
                context.run,
                asset=outline.key(trouble.stage),
                partition=trouble.product,
                step=str(context.op_handle),
            )


@contextmanager
def plain_errors(outline: Outline) -> Iterator[None]:
    """Turn a PipelineError into a Failure of one sentence, without retries."""
    try:
        yield
    except PipelineError as error:
        # The UI shows the cause, too.
        error.what, error.where, error.fix = map(
            outline.worded, (error.what, error.where, error.fix)
        )
        raise dg.Failure(str(error), allow_retries=False) from error
