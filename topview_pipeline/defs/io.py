"""Hands what was made to a user's own assets, as the typed values of `topview_pipeline.results`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from topview_pipeline.defs.failures import plainly
from topview_pipeline.defs.resources import ArtifactsResource, LedgerResource

if TYPE_CHECKING:
    from topview_pipeline.results import StageResult


class TopviewResults(dg.ConfigurableIOManager):
    """Loads `bgRemovedImage`, `replacedImages` and `finishedVideo`; the store is written elsewhere.

    An input of one partition is a value, one of several a mapping by product id. As with Dagster's
    own file IO managers, `metadata={"allow_missing_partitions": True}` on the input leaves products
    out of the mapping that have nothing stored.
    """

    ledger: dg.ResourceDependency[LedgerResource]
    artifacts: dg.ResourceDependency[ArtifactsResource]

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Nothing to write: the files are in the store before Dagster hears of them.

        Raises:
            DagsterInvariantViolationError: an asset of somebody else's returned a value.
        """
        if obj is not None:
            raise dg.DagsterInvariantViolationError(
                f"topview_results stores nothing, and {context.get_identifier()} returned a "
                f"{type(obj).__name__}: give that asset an IO manager of its own"
            )

    def load_input(self, context: dg.InputContext) -> "StageResult | Mapping[str, StageResult]":
        """What each product last stored of the upstream asset.

        Raises:
            Failure: a product has nothing stored of it in this account.
        """
        product_ids = list(context.asset_partition_keys)
        stage = context.asset_key.to_user_string()
        values = self._load(stage, product_ids)
        missing = [product_id for product_id in product_ids if product_id not in values]
        may_miss = bool((context.definition_metadata or {}).get("allow_missing_partitions"))
        if missing and not (may_miss and len(product_ids) > 1):
            raise dg.Failure(
                f"the store of this account has no {stage} of {', '.join(missing)}; "
                "materialize it first",
                allow_retries=False,
            )
        return values[product_ids[0]] if len(product_ids) == 1 else values

    def _load(self, stage: str, product_ids: list[str]) -> "dict[str, StageResult]":
        from topview_pipeline.results import result_of

        with plainly():
            ledger = self.ledger.open()
            try:
                tasks = {
                    product_id: ledger.tasks.last_stored(product_id, stage)
                    for product_id in product_ids
                }
            finally:
                ledger.close()
            return {
                product_id: result_of(product_id, task, self.artifacts.store)
                for product_id, task in tasks.items()
                if task is not None
            }
