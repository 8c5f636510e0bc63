"""Data versions: observing what a run reads, and the tags that make its events go stale rightly.

A hand-written event counts as fresh, and becomes stale when an input changes, only with the data
version of each input and the storage id of the event that had it. The
storage id is looked up by the version, so a change that came in between is still seen.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import dagster as dg

from topview_pipeline.defs.dagster_internals import (
    CODE_VERSION_TAG,
    DATA_VERSION_TAG,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from topview_pipeline.stages import BY_KEY, STAGES, Stage

SOURCES = frozenset(stage.source for stage in STAGES)
_MOST_NAMED: Final = 1000
_RECENT: Final = 10
"""Events of one partition that are searched for a version."""


def observation(source: str, product_id: str, version: str) -> dg.AssetObservation:
    """That a source had this version when it was read."""
    return dg.AssetObservation(
        asset_key=source, partition=product_id, tags={DATA_VERSION_TAG: version}
    )


class Versions:
    """What Dagster knows of the versions of inputs, for the products of one run."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._pointers: dict[tuple[str, str, str], int] = {}

    def unobserved(self, versions: Mapping[tuple[str, str], str]) -> list[tuple[str, str, str]]:
        """Those of {(source, product): version} that are not the last observed.

        A run first observes each version that it will use: made from one that was not yet
        observed, an asset would be stale for ever.
        """
        return [
            (source, product, version)
            for source, wanted in _by_source(versions).items()
            for product, version in _not_last(self._instance, source, wanted).items()
        ]

    def remember(self, versions: Mapping[tuple[str, str], str]) -> None:
        """Take the newest observations of these as the ones that were read, in few queries."""
        for source, wanted in _by_source(versions).items():
            ids = self._instance.get_latest_storage_id_by_partition(
                dg.AssetKey(source), dg.DagsterEventType.ASSET_OBSERVATION, set(wanted)
            )
            # Looked at after the ids: where somebody observed another version meanwhile, the
            # newest event is not the one that was read, and `_pointer` has to search for it.
            other = _not_last(self._instance, source, wanted)
            for product, storage_id in ids.items():
                if product not in other:
                    self._pointers[source, product, wanted[product]] = storage_id

    def is_observed(self, source: str, product_id: str, version: str) -> bool:
        """Whether a source had this version in an event that is still found."""
        return self._pointer(source, product_id, version) is not None

    def tags(
        self, stage: Stage, product_id: str, version: str, inputs: Mapping[str, str]
    ) -> dict[str, str]:
        """The tags of an event: its own data version, and those of its inputs with pointers."""
        tags = {DATA_VERSION_TAG: version, CODE_VERSION_TAG: stage.version}
        for asset, input_version in inputs.items():
            key = dg.AssetKey(asset)
            tags[get_input_data_version_tag(key)] = input_version
            pointer = self._pointer(asset, product_id, input_version)
            if pointer is not None:
                tags[get_input_event_pointer_tag(key)] = str(pointer)
        return tags

    def _pointer(self, asset: str, product_id: str, version: str) -> int | None:
        known = self._pointers.get((asset, product_id, version))
        if known is not None:
            return known
        fetch = (
            self._instance.fetch_observations
            if asset in SOURCES
            else self._instance.fetch_materializations
        )
        events = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[product_id])
        for record in fetch(events, limit=_RECENT).records:
            event = record.asset_materialization or record.asset_observation
            if event is not None and (event.tags or {}).get(DATA_VERSION_TAG) == version:
                self._pointers[asset, product_id, version] = record.storage_id
                return record.storage_id
        return None


def _by_source(versions: Mapping[tuple[str, str], str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for (source, product), version in sorted(versions.items()):
        found.setdefault(source, {})[product] = version
    return found


def _not_last(
    instance: dg.DagsterInstance, source: str, versions: Mapping[str, str]
) -> dict[str, str]:
    """Those of {product: version} that the source's newest observation does not have."""
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        dg.AssetKey(source),
        dg.DagsterEventType.ASSET_OBSERVATION,
        [DATA_VERSION_TAG],
        _named(versions),
    )
    return {
        product: version
        for product, version in versions.items()
        if tags.get(product, {}).get(DATA_VERSION_TAG) != version
    }


def _named(products: Collection[str]) -> list[str] | None:
    """Partitions to name in a query; None, all of them, when one statement cannot hold so many."""
    return list(products) if len(products) <= _MOST_NAMED else None


def materialized_versions(
    instance: dg.DagsterInstance, products: Iterable[str]
) -> dict[tuple[str, str], str]:
    """The data version of each product's newest materialization, by (product, asset)."""
    wanted = frozenset(products)
    found: dict[tuple[str, str], str] = {}
    for stage in BY_KEY:
        tags = instance.event_log_storage.get_latest_tags_by_partition(
            dg.AssetKey(stage),
            dg.DagsterEventType.ASSET_MATERIALIZATION,
            [DATA_VERSION_TAG],
            _named(wanted),
        )
        for product, values in tags.items():
            if product in wanted and DATA_VERSION_TAG in values:
                found[product, stage] = values[DATA_VERSION_TAG]
    return found
