"""Products that left the catalogue: what is stored of them is told again, free; nothing is made."""

from __future__ import annotations

from collections.abc import Sequence

from topview_pipeline.artifacts import Artifact, ArtifactStore
from topview_pipeline.catalogue import Catalogue
from topview_pipeline.ledger import Ledger, Wanted
from topview_pipeline.producer import Made
from topview_pipeline.syncing import in_bad_rows


def stored_of_retired(
    wanted: Sequence[Wanted], catalogue: Catalogue, ledger: Ledger, store: ArtifactStore
) -> list[Made]:
    """What is wanted of products without any row in the catalogue, and lies in the store whole.

    A backfill over all partitions, or a range, meets them between the others.
    """
    in_catalogue = {*catalogue.products, *in_bad_rows(catalogue)}
    found = []
    for want in wanted:
        if want.product_id in in_catalogue or want.force:
            continue
        task = ledger.tasks.last_stored(want.product_id, want.stage)
        if task is not None and all(
            store.has(Artifact.from_json(one)) for one in task.artifacts or ()
        ):
            found.append(Made(want.product_id, want.stage, task, None, dict(task.inputs)))
    return found
