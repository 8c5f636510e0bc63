"""Data versions: observing what a run reads, and the tags that make its events go stale rightly.

A hand-written event counts as fresh, and becomes stale when an input changes, only with the data
version of each input and the storage id of the event that had it. The
storage id is looked up by the version, so a change that came in between is still seen.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import cache
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
_INPUTS: Final = SOURCES | {stage.upstream for stage in STAGES}
_MOST_NAMED: Final = 1000
_RECENT: Final = 10
"""Events of one partition that are searched for a version."""


def observation(source: str, product_id: str, version: str) -> dg.AssetObservation:
    """That a source had this version when it was read."""
    return dg.AssetObservation(
        asset_key=key_of(source), partition=product_id, tags={DATA_VERSION_TAG: version}
    )


@cache
def key_of(asset: str) -> dg.AssetKey:
    """One key for all events: Dagster keeps a step's events until it ends."""
    return dg.AssetKey(asset)


class Versions:
    """What Dagster knows of the versions of inputs, for the products of one run."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._noted: dict[str, dict[str, str]] = {}
        self._pointers: dict[tuple[str, str, str], int] = {}

    def unobserved(self, versions: Mapping[tuple[str, str], str]) -> list[tuple[str, str, str]]:
        """Those of {(source, product): version} that are not the last observed.

        A run first observes each version that it will use: made from one that was not yet
        observed, an asset would be stale for ever.
        """
        return [
            (source, product, version)
            for source, wanted in _by_asset(versions).items()
            for product, version in _not_last(self._instance, source, wanted).items()
        ]

    def note(self, versions: Mapping[tuple[str, str], str]) -> None:
        """This run goes by these {(asset, product): version}: Dagster has them, or has them next.

        Their events are looked up when the first of an asset is needed, for all that were noted:
        asking for one takes as long as asking for hundreds. What no other asset is made from is
        never needed.
        """
        for (asset, product_id), version in versions.items():
            if asset in _INPUTS:
                self._noted.setdefault(asset, {})[product_id] = version

    def is_observed(self, source: str, product_id: str, version: str) -> bool:
        """Whether a source had this version in an event that is still found."""
        return self._pointer(source, product_id, version) is not None

    def tags(
        self, stage: Stage, product_id: str, version: str, inputs: Mapping[str, str]
    ) -> dict[str, str]:
        """The tags of an event: its own data version, and those of its inputs with pointers."""
        tags = {DATA_VERSION_TAG: version, CODE_VERSION_TAG: stage.version}
        for asset, input_version in inputs.items():
            tags[_version_tag(asset)] = input_version
            pointer = self._pointer(asset, product_id, input_version)
            if pointer is not None:
                tags[_pointer_tag(asset)] = str(pointer)
            # An input shapes one stage, so it is needed no more; told again, it is searched for.
            self._pointers.pop((asset, product_id, input_version), None)
        return tags

    def _pointer(self, asset: str, product_id: str, version: str) -> int | None:
        wanted = (asset, product_id, version)
        if wanted not in self._pointers and product_id in self._noted.get(asset, ()):
            self._look_up(asset, self._noted.pop(asset))
        return self._pointers.get(wanted) or self._search(*wanted)

    def _look_up(self, asset: str, noted: Mapping[str, str]) -> None:
        """Take the newest event of each product as the one that is meant, if it says so."""
        products = list(noted)
        for begin in range(0, len(products), _MOST_NAMED):
            some = {product: noted[product] for product in products[begin : begin + _MOST_NAMED]}
            ids = self._instance.get_latest_storage_id_by_partition(
                key_of(asset), _type_of_events(asset), set(some)
            )
            # After the ids: an event that came since the version was noted is seen here, and the
            # one that is meant is then searched for.
            other = _not_last(self._instance, asset, some)
            for product, version in some.items():
                if product in ids and product not in other:
                    self._pointers[asset, product, version] = ids[product]

    def _search(self, asset: str, product_id: str, version: str) -> int | None:
        """Among the newest events of the partition."""
        fetch = (
            self._instance.fetch_observations
            if asset in SOURCES
            else self._instance.fetch_materializations
        )
        events = dg.AssetRecordsFilter(asset_key=key_of(asset), asset_partitions=[product_id])
        for record in fetch(events, limit=_RECENT).records:
            event = record.asset_materialization or record.asset_observation
            if event is not None and (event.tags or {}).get(DATA_VERSION_TAG) == version:
                self._pointers[asset, product_id, version] = record.storage_id
                return record.storage_id
        return None


@cache
def _version_tag(asset: str) -> str:
    return get_input_data_version_tag(key_of(asset))


@cache
def _pointer_tag(asset: str) -> str:
    return get_input_event_pointer_tag(key_of(asset))


def _type_of_events(asset: str) -> dg.DagsterEventType:
    if asset in SOURCES:
        return dg.DagsterEventType.ASSET_OBSERVATION
    return dg.DagsterEventType.ASSET_MATERIALIZATION


def _by_asset(versions: Mapping[tuple[str, str], str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for (asset, product), version in sorted(versions.items()):
        found.setdefault(asset, {})[product] = version
    return found


def _not_last(
    instance: dg.DagsterInstance, asset: str, versions: Mapping[str, str]
) -> dict[str, str]:
    """Those of {product: version} that the asset's newest event does not have."""
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        key_of(asset),
        _type_of_events(asset),
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
            key_of(stage),
            dg.DagsterEventType.ASSET_MATERIALIZATION,
            [DATA_VERSION_TAG],
            _named(wanted),
        )
        for product, values in tags.items():
            if product in wanted and DATA_VERSION_TAG in values:
                found[product, stage] = values[DATA_VERSION_TAG]
    return found
