"""The I/O managers: results as typed values for your own assets, and the kept plan of a run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_origin

import dagster as dg

from topview_pipeline.defs.failures import plain_errors
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.stages import BY_KEY

if TYPE_CHECKING:
    from topview_pipeline.ledger import Ledger
    from topview_pipeline.stages import StageResult


class TopviewResults(dg.IOManager):
    """Loads `bgRemovedImage`, `replacedImages` and `finishedVideo`; the engine writes the store.

    An input of several partitions is a mapping by product id, and so is one of a single partition
    that is annotated as a mapping; else that is a value. As with Dagster's own file I/O managers,
    `metadata={"allow_missing_partitions": True}` on the input leaves out of the mapping what has
    nothing stored.
    """

    def __init__(self, topview: TopviewResource) -> None:
        self._topview = topview

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write nothing: the files are in the store before Dagster has the event."""
        if obj is not None:
            raise dg.DagsterInvariantViolationError(
                f"topview_results stores nothing, and {context.get_identifier()} returned a "
                f"{type(obj).__name__}: give that asset an I/O manager of its own"
            )

    def load_input(self, context: dg.InputContext) -> "StageResult | Mapping[str, StageResult]":
        """Return what each product last made of the upstream asset."""
        product_ids = list(context.asset_partition_keys)
        stage = BY_KEY[context.asset_key.path[-1]]
        with plain_errors(self._topview.outline), self._topview.ledger() as ledger:
            tasks = {name: ledger.tasks.last_made(name, stage.key) for name in product_ids}
        values = {
            name: stage.result(name, task, self._topview.store)
            for name, task in tasks.items()
            if task is not None
        }
        missing = [name for name in product_ids if name not in values]
        expected = context.dagster_type.typing_type
        kind = get_origin(expected) or expected
        is_mapping = len(product_ids) > 1 or (isinstance(kind, type) and issubclass(kind, Mapping))
        may_miss = bool((context.definition_metadata or {}).get("allow_missing_partitions"))
        if missing and not (may_miss and is_mapping):
            raise dg.Failure(
                f"the store of this account has no {stage.key} of {', '.join(missing)}; "
                "materialize it first",
                allow_retries=False,
            )
        return values if is_mapping else values[product_ids[0]]


class KeptPlans(dg.IOManager):
    """Keeps a run's plan as JSON in the store, so that any machine can continue the run."""

    def __init__(self, topview: TopviewResource) -> None:
        self._topview = topview

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        with plain_errors(self._topview.outline):
            self._topview.store.write_json(_plan_key(self._topview, context.run_id), obj)

    def load_input(self, context: dg.InputContext) -> Any:
        """Read the plan of this run, or of the run that this one continues."""
        upstream = context.upstream_output
        run_id = "" if upstream is None else upstream.run_id
        with plain_errors(self._topview.outline):
            plan = self._topview.store.read_json(_plan_key(self._topview, run_id))
        if plan is None:
            raise dg.Failure(
                f"the plan of run {run_id} is not in the store; start a new run instead",
                allow_retries=False,
            )
        return plan


def planned_elsewhere(topview: TopviewResource, ledger: "Ledger") -> set[str]:
    """The products that living runs of the pipeline are to make; most wait there for a slot."""
    living = [run_id for run_id, lives in ledger.workers.runs().items() if lives]
    plans = [topview.store.read_json(_plan_key(topview, run_id)) for run_id in living]
    return {name for plan in plans if plan is not None for name, _ in plan["wanted"]}


def _plan_key(topview: TopviewResource, run_id: str) -> str:
    from topview_pipeline.ledger import account_id

    account = account_id(topview.config.base_url, topview.config.require_uid())
    return f"{account}/plans/{run_id}.json"
