"""Failures of a run: by product what was not made and why, and marks on partitions."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import dagster as dg

from topview_pipeline.defs.dagster_private import report_planned
from topview_pipeline.defs.metadata import text_table
from topview_pipeline.errors import PipelineError
from topview_pipeline.text import LISTED_ONE_BY_ONE, alike, in_common, one_line

if TYPE_CHECKING:
    from topview_pipeline.defs.outline import Outline
    from topview_pipeline.engine import Failed, Held

_SCATTERED: Final = 2
"""So many products are tried again more cheaply by catch_up than by a backfill."""
_MOST_ENTRIES: Final = 20
_MOST_NAMES: Final = 20
TROUBLE_COLUMNS: Final = ("product", "stage", "what happened", "what to do", "task at Topview")


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
    task_id = "" if event.task is None else event.task.topview_task_id or ""
    outcome: Literal["failed", "held"] = "held" if hasattr(event, "reason") else "failed"
    return Trouble(event.product_id, event.stage, outcome, event.what, event.fix, task_id)


@dataclass(frozen=True)
class Entry:
    """The trouble of a product: its cause, and the stages that did not follow."""

    cause: Trouble
    missing: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """All but the product."""
        cause = self.cause
        what = f"{cause.stage} {cause.outcome}: {_sentence(cause.what)}"
        fix = f"What to do: {cause.fix}" if cause.fix else ""
        return tuple(map(one_line, filter(None, (what, fix, self.consequence))))

    @property
    def consequence(self) -> str:
        """The stages that wait because of it."""
        return f"Not made because of it: {', '.join(self.missing)}" if self.missing else ""


def entries_of(troubles: Iterable[Trouble]) -> list[Entry]:
    """An entry for each product that was not finished; its first trouble is the cause."""
    by_product: dict[str, list[Trouble]] = {}
    for trouble in troubles:
        by_product.setdefault(trouble.product, []).append(trouble)
    return [
        Entry(cause, tuple(trouble.stage for trouble in later))
        for cause, *later in by_product.values()
    ]


def not_finished(entries: Sequence[Entry]) -> Iterator[str]:
    """The number of products not finished; then a line for each cause of one or many of them."""
    counts = Counter(entry.cause.outcome for entry in entries)
    if counts:
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
        yield f"Products not finished: {outcomes}."
    groups: list[list[Entry]] = []
    for group in alike(entries, lambda entry: "\n".join(entry.lines)):
        is_one = len(group) > LISTED_ONE_BY_ONE or len({entry.lines for entry in group}) == 1
        groups += [group] if is_one else [[entry] for entry in group]
    for group in groups[:_MOST_ENTRIES]:
        names = [one_line(entry.cause.product) for entry in group]
        first, *more = in_common("\n".join(entry.lines) for entry in group).split("\n")
        if len(names) == 1:
            yield f"{names[0]} {first}"
        else:
            yield f"{len(names)} products, {first}"
            others = len(names) - _MOST_NAMES
            named = f"{', '.join(names[:_MOST_NAMES])}{f' and {others} more' * (others > 0)}"
            yield f"  Products: {named}"
        yield from (f"  {line}" for line in more)
    if len(groups) > _MOST_ENTRIES:
        yield f"... and {len(groups) - _MOST_ENTRIES} more; the run's page in Dagster has all."


def failure(
    troubles: Sequence[Trouble],
    *,
    outline: Outline,
    made: int,
    metadata: Mapping[str, dg.MetadataValue[Any]] | None = None,
) -> dg.Failure:
    """The Failure that ends a run: how many, which, why, and what to do; each cause once."""
    entries = entries_of(troubles)
    lines = [f"{made} made.", *not_finished(entries), *_all_in_one_run(troubles)]
    rows = (
        (
            entry.cause.product,
            entry.cause.stage,
            f"{entry.cause.outcome}: {_sentence(entry.cause.what)} {entry.consequence}".strip(),
            entry.cause.fix,
            entry.cause.task_id,
        )
        for entry in entries
    )
    return dg.Failure(
        description=outline.worded("\n".join(lines)),
        metadata={"topview/troubles": text_table(TROUBLE_COLUMNS, rows), **(metadata or {})},
        # The ledger decides about retries, not one of Dagster's retry machines.
        allow_retries=False,
    )


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def in_sentences(what: str, fix: str) -> str:
    """Sentences of what happened, and of what to do where there is something."""
    return f"{_sentence(what)} What to do: {_sentence(fix)}" if fix else _sentence(what)


def _all_in_one_run(troubles: Sequence[Trouble]) -> list[str]:
    """Say how to try scattered products again without a process for each."""
    failed = (trouble.product for trouble in troubles if trouble.outcome == "failed")
    products = list(dict.fromkeys(failed))
    if len(products) < _SCATTERED:
        return []
    named = "".join(f" --product {shlex.quote(name)}" for name in products)
    all_of_them = "" if len(products) > _MOST_NAMES else named
    return [
        "To retry them use the job catch_up, which takes any products in one run: "
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
