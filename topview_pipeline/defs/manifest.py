"""`videoManifest`: the finished videos of the catalogue as files that a shop imports.

Thin: the thinking is in `topview_pipeline.manifest` and `publishing`.
"""

import time
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from topview_pipeline.defs.failures import plainly
from topview_pipeline.defs.resources import ArtifactsResource, CatalogueResource, LedgerResource
from topview_pipeline.stages import FINISHED_VIDEO

if TYPE_CHECKING:
    from topview_pipeline.artifacts import ArtifactStore
    from topview_pipeline.ledger import Ledger
    from topview_pipeline.portfolio import ProductShown
    from topview_pipeline.publishing import Published

MANIFEST: Final = "videoManifest"
_LOGGED: Final = 100
"""Results measured from one line of the log to the next: a second or two each, for videos."""
_SHOWN: Final = 200
"""Rows of the tables on the event; the files have all."""


@dg.asset(
    name=MANIFEST,
    deps=[dg.AssetDep(FINISHED_VIDEO.key, partition_mapping=dg.AllPartitionMapping())],
    group_name="topview",
    kinds={"csv", "json"},
    description=(
        "**What a shop imports**: CSV and JSON Lines of all finished and checked videos, with "
        "poster, scene, cut-out, duration, size, sha256, credits and when it was made.\n\n"
        "It lists what is in the store; it makes nothing, spends nothing and needs no key. "
        "`changes.jsonl` beside it says what was added, changed or removed since the one before; "
        "every earlier version is kept.\n\n"
        "A result that nobody measured yet is measured first, where checks are on. A product whose "
        "row cannot be used stays, as `outdated`.\n\n"
        "*A product is missing?* The table `left out` of the event says why. *It fails?* The "
        "catalogue lost so much that a person must say it is meant, or the store is not the "
        "ledger's; what was published stays as it is."
    ),
)
def video_manifest(
    context: dg.AssetExecutionContext,
    ledger: LedgerResource,
    artifacts: ArtifactsResource,
    catalogue: CatalogueResource,
) -> dg.MaterializeResult[Any]:
    """Write the manifest of the catalogue's products."""
    from topview_pipeline import syncing
    from topview_pipeline.artifacts.addresses import public
    from topview_pipeline.pairing import ensure_paired
    from topview_pipeline.portfolio import read_portfolio
    from topview_pipeline.publishing import Publisher
    from topview_pipeline.settings import Settings

    with plainly():
        settings = Settings.from_environment()
        store = artifacts.store
        found = catalogue.read()
        opened = ledger.open()
        try:
            # Both look like a shop that is to be emptied: half a catalogue, and no store.
            syncing.check(opened, found)
            ensure_paired(opened, store, who=MANIFEST)
            products = read_portfolio(found, opened)
            if settings.checks and _measure(context, products, opened, store):
                products = read_portfolio(found, opened)
            account = opened.account
        finally:
            opened.close()
        address = public(store, settings.media_url)
        published = Publisher(store, account, address=address).publish(products, now=time.time())
    return dg.MaterializeResult(metadata=_metadata(published))


def _measure(
    context: dg.AssetExecutionContext,
    products: "list[ProductShown]",
    ledger: "Ledger",
    store: "ArtifactStore",
) -> int:
    """Measure what videos were made from where no verdict is kept; how many rows.

    As after the ledger was rebuilt, the store having no verdicts, and after the rules changed.
    """
    from topview_pipeline.inspection import verdict_of
    from topview_pipeline.quality import Verdict

    behind = {
        row.id: row
        for shown in products
        if shown.video.row is not None
        for row in shown.behind.values()
        if Verdict.from_json(row.quality) is None
    }
    if behind:
        context.log.info(f"Measuring {len(behind)} results that no check of today has seen.")
    for measured, row in enumerate(behind.values(), start=1):
        verdict_of(row, ledger, store)
        if measured % _LOGGED == 0:
            context.log.info(f"Measured {measured} of {len(behind)} results.")
    return len(behind)


def _metadata(published: "Published") -> dict[str, Any]:
    changes, listing = published.changes, published.listing
    return {
        "topview/videos": len(listing.rows),
        "topview/left_out": len(listing.left_out),
        "topview/added": len(changes.added),
        "topview/changed": len(changes.changed),
        "topview/removed": len(changes.removed),
        "topview/version": published.version,
        "topview/changes": _table(
            ("product", "change", "columns"),
            [
                (line["product_id"], line["change"], ", ".join(line["columns"]))
                for line in changes.lines()
            ],
        ),
        "topview/in_bad_rows": _table(("product", "why"), list(listing.in_bad_rows.items())),
        "topview/why_left_out": _table(("product", "why"), list(listing.left_out.items())),
        **{f"topview/{name}": uri for name, uri in published.addresses.items()},
    }


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [dg.TableRecord(dict(zip(columns, row, strict=True))) for row in rows[:_SHOWN]],
        schema=dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in columns]),
    )
