"""How a run fails: one Failure with a table, marks on the partitions, sentences for bad input."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from topview_pipeline.defs.dagster_internals import report_planned
from topview_pipeline.defs.partitions import PRODUCTS
from topview_pipeline.defs.tables import text_table
from topview_pipeline.grouping import TOLD_ONE_BY_ONE, alike

if TYPE_CHECKING:
    from topview_pipeline.defs.troubles import Trouble

_SHOWN_IN_MESSAGE: Final = 20
_SCATTERED: Final = 2
"""So many products are asked for again more cheaply by catch_up than by a backfill."""
_COLUMNS: Final = ("product", "stage", "outcome", "what", "mend", "task_id")


def failure(
    troubles: Sequence["Trouble"],
    *,
    made: int,
    metadata: Mapping[str, dg.MetadataValue[Any]] | None = None,
) -> dg.Failure:
    """The Failure that ends a run: how many, which, why, and what to do."""
    counts = {
        outcome: sum(trouble.outcome == outcome for trouble in troubles)
        for outcome in ("failed", "held", "parked")
    }
    summary = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    lines = [line for group in alike(troubles, _outcome_and_why) for line in _lines(group)]
    if len(lines) > _SHOWN_IN_MESSAGE:
        lines[_SHOWN_IN_MESSAGE:] = ["... and more, see the table."]
    lines += _all_in_one_run(troubles)
    return dg.Failure(
        description="\n".join([f"{made} made, {summary}.", *lines]),
        metadata={"topview/troubles": trouble_table(troubles), **(metadata or {})},
        # Whether to try again is the ledger's decision, not one of Dagster's retry machines'.
        allow_retries=False,
    )


def _all_in_one_run(troubles: Sequence["Trouble"]) -> list[str]:
    """How to ask for scattered products again without a process for each."""
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


def _outcome_and_why(trouble: "Trouble") -> str:
    return f"{trouble.outcome}: {trouble.what}"


def _lines(group: Sequence["Trouble"]) -> list[str]:
    """A line for each of few, one for all of many: a refused account is said once."""
    first = group[0]
    told = f"{_sentence(first.what)} What to do: {_sentence(first.mend)}"
    if len(group) > TOLD_ONE_BY_ONE:
        stages = " and ".join(dict.fromkeys(trouble.stage for trouble in group))
        named = ", ".join(dict.fromkeys(trouble.product for trouble in group[:TOLD_ONE_BY_ONE]))
        return [f"{len(group)} {first.outcome}, {stages} of {named} and others: {told}"]
    return [
        f"{trouble.product} / {trouble.stage} {trouble.outcome}: {_sentence(trouble.what)} "
        f"What to do: {_sentence(trouble.mend)}"
        for trouble in group
    ]


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def trouble_table(troubles: Iterable["Trouble"]) -> dg.TableMetadataValue:
    """The failure table."""
    return text_table(
        _COLUMNS, (tuple(getattr(trouble, name) for name in _COLUMNS) for trouble in troubles)
    )


def mark_failed(context: dg.OpExecutionContext, troubles: Iterable["Trouble"]) -> None:
    """Show what failed as failed partitions of its assets, from an op that is no asset's step.

    An op job's failure marks no partition. A planned event without a materialization, in a run
    that failed, does; a later success clears it. What is held or parked goes on, and a product
    that was never registered has no partition: both are left out.
    """
    registered = set(context.instance.get_dynamic_partitions(PRODUCTS))
    for trouble in troubles:
        if trouble.outcome == "failed" and trouble.product in registered:
            report_planned(
                context.instance,
                context.run,
                asset=trouble.stage,
                partition=trouble.product,
                step=str(context.op_handle),
            )


@contextmanager
def plainly() -> Iterator[None]:
    """Whatever keeps a run from its work ends it with one sentence, and is not tried again."""
    from topview_pipeline.mistakes import users_mistakes

    mistakes = users_mistakes()  # before: nothing is imported while a run is being stopped
    try:
        yield
    except mistakes as error:
        raise dg.Failure(str(error), allow_retries=False) from error
