"""A project that had all of this before it had Topview: two brands have moved in."""

from pathlib import Path

import dagster as dg

from .shop import host

SOURCES = dg.AssetSelection.assets(
    *(
        [brand, name]
        for brand in ("acme", "zeta")
        for name in ("productImage", "productScene", "productScript")
    )
)
GIVEN = {
    "acme": dg.AutomationCondition.eager().ignore(SOURCES),
    "zeta": dg.AutomationCondition.on_cron("@hourly").ignore(SOURCES),
}
"""A policy that a colleague who knows nothing of credits puts on the three assets of a brand."""
MADE = ("bgRemovedImage", "replacedImages", "finishedVideo")


def _ours(spec: dg.AssetSpec) -> dg.AssetSpec:
    spec = spec.merge_attributes(tags={"domain": "media"}).replace_attributes(owners=["team:media"])
    if spec.key.path[-1] in MADE:
        spec = spec.replace_attributes(automation_condition=GIVEN[spec.key.path[0]])
    return spec


@dg.definitions
def defs() -> dg.Definitions:
    brands = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    brands = brands.map_asset_specs(func=_ours)
    brands = brands.map_resolved_asset_specs(
        func=lambda spec: spec.replace_attributes(group_name="videos"),
        selection="key:acme/*Image or key:acme/finishedVideo",
    )
    return dg.Definitions.merge(brands, host)
