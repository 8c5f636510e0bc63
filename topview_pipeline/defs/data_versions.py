"""Data versions: observations of what a run reads, with what changed of it, and the tags that make
its events go stale.

A materialization that is reported by hand counts as fresh, and becomes stale when an input changes,
only with the data version of each input and the storage id of the event that had it. The storage id
is looked up by the version, so a change that came in between is still seen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from topview_pipeline.defs.dagster_private import (
    CODE_VERSION_TAG,
    DATA_VERSION_TAG,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
    latest_storage_ids,
    latest_tags,
)
from topview_pipeline.defs.metadata import text_table
from topview_pipeline.stages import STAGES, Stage
from topview_pipeline.text import is_url, one_line

if TYPE_CHECKING:
    from topview_pipeline.catalogue import Product
    from topview_pipeline.defs.outline import Outline

_PREFIX: Final = "topview/"
_LONGEST: Final = 500
_IN_A_SENTENCE: Final = 60
_MOST_NAMED: Final = 1000
_RECENT: Final = 10
"""Events of one partition that are searched for a version."""


def observation(
    source: dg.AssetKey, product_id: str, version: str, **shown: Any
) -> dg.AssetObservation:
    """An observation: the source had this version when it was read; `shown`: its other fields."""
    return dg.AssetObservation(
        asset_key=source, partition=product_id, tags={DATA_VERSION_TAG: version}, **shown
    )


class Versions:
    """Versions of the inputs as Dagster knows them, for the products of one run."""

    def __init__(self, instance: dg.DagsterInstance, outline: Outline) -> None:
        self._instance = instance
        self._key = outline.key
        self.sources = frozenset(stage.source for stage in STAGES)
        self._inputs = self.sources | {stage.upstream for stage in STAGES}
        self._observed: dict[str, dict[str, str]] = {}
        self._noted: dict[str, dict[str, str]] = {}
        self._pointers: dict[tuple[str, str, str], int] = {}

    def expect(self, products: Collection[str]) -> None:
        """Load the newest observed versions of these products, in one query a source."""
        for source in self.sources:
            known = latest_tags(
                self._instance,
                self._key(source),
                dg.DagsterEventType.ASSET_OBSERVATION,
                DATA_VERSION_TAG,
                _named(products),
            )
            self._observed[source] = {
                product: version for product, version in known.items() if product in products
            }

    def is_observed(self, source: str, product_id: str) -> bool:
        return product_id in self._observed.get(source, ())

    def is_news(self, source: str, product_id: str, version: str) -> bool:
        """The source's newest observation has another version; remembers this one.

        A run observes each version before it reports what was made from it: made from one that was
        not yet observed, an asset would be stale for ever.
        """
        known = self._observed.setdefault(source, {})
        if known.get(product_id) == version:
            return False
        known[product_id] = version
        return True

    def unobserved(self, versions: Mapping[tuple[str, str], str]) -> list[tuple[str, str, str]]:
        """Those of {(source, product): version} that are not the last observed."""
        by_source: dict[str, dict[str, str]] = {}
        for (source, product), version in sorted(versions.items()):
            by_source.setdefault(source, {})[product] = version
        return [
            (source, product, version)
            for source, wanted in by_source.items()
            for product, version in self._not_last(source, wanted).items()
        ]

    def note(self, versions: Mapping[tuple[str, str], str]) -> None:
        """Remember {(asset, product): version} that Dagster has, or has next.

        Their events are looked up when the first of an asset is needed, for all that were noted:
        asking for one takes as long as asking for hundreds.
        """
        for (asset, product_id), version in versions.items():
            if asset in self._inputs:
                self._noted.setdefault(asset, {})[product_id] = version

    def tags(
        self, stage: Stage, product_id: str, version: str, inputs: Mapping[str, str]
    ) -> dict[str, str]:
        """The tags of an event: its own data version, and those of its inputs with pointers."""
        tags = {DATA_VERSION_TAG: version, CODE_VERSION_TAG: stage.version}
        for asset, input_version in inputs.items():
            tags[get_input_data_version_tag(self._key(asset))] = input_version
            pointer = self._pointer(asset, product_id, input_version)
            if pointer is not None:
                tags[get_input_event_pointer_tag(self._key(asset))] = str(pointer)
            # An input shapes one stage, so it is not needed again; if it is, it is searched for.
            self._pointers.pop((asset, product_id, input_version), None)
        return tags

    def _pointer(self, asset: str, product_id: str, version: str) -> int | None:
        wanted = (asset, product_id, version)
        if wanted not in self._pointers and product_id in self._noted.get(asset, ()):
            self._look_up(asset, self._noted.pop(asset))
        if wanted not in self._pointers and (record := self.stored(*wanted)) is not None:
            return record.storage_id
        return self._pointers.get(wanted)

    def _look_up(self, asset: str, noted: Mapping[str, str]) -> None:
        """Take the newest event of each product, if it has the noted version."""
        products = list(noted)
        for begin in range(0, len(products), _MOST_NAMED):
            some = {product: noted[product] for product in products[begin : begin + _MOST_NAMED]}
            ids = latest_storage_ids(
                self._instance, self._key(asset), self._type_of_events(asset), some
            )
            # After the ids: an event that came since the version was noted is seen here, and the
            # right one is then searched for.
            other = self._not_last(asset, some)
            for product, version in some.items():
                if product in ids and product not in other:
                    self._pointers[asset, product, version] = ids[product]

    def stored(self, asset: str, product_id: str, version: str) -> dg.EventLogRecord | None:
        """The newest stored event of a product with this version; None without one.

        Its storage id is kept for what is made from it: nothing is looked up twice.
        """
        fetch = (
            self._instance.fetch_observations
            if asset in self.sources
            else self._instance.fetch_materializations
        )
        events = dg.AssetRecordsFilter(asset_key=self._key(asset), asset_partitions=[product_id])
        for record in fetch(events, limit=_RECENT).records:
            event = record.asset_materialization or record.asset_observation
            if event is not None and (event.tags or {}).get(DATA_VERSION_TAG) == version:
                if asset in self._inputs:
                    self._pointers[asset, product_id, version] = record.storage_id
                    self._noted.get(asset, {}).pop(product_id, None)
                return record
        return None

    def _not_last(self, asset: str, versions: Mapping[str, str]) -> dict[str, str]:
        """Those of {product: version} that the asset's newest event does not have."""
        last = latest_tags(
            self._instance,
            self._key(asset),
            self._type_of_events(asset),
            DATA_VERSION_TAG,
            _named(versions),
        )
        return {
            product: version
            for product, version in versions.items()
            if last.get(product) != version
        }

    def _type_of_events(self, asset: str) -> dg.DagsterEventType:
        if asset in self.sources:
            return dg.DagsterEventType.ASSET_OBSERVATION
        return dg.DagsterEventType.ASSET_MATERIALIZATION


def _named(products: Collection[str]) -> list[str] | None:
    """Partitions to name in a query; None, all of them, when one statement cannot hold so many."""
    return list(products) if len(products) <= _MOST_NAMED else None


def materialized_versions(
    instance: dg.DagsterInstance,
    outline: Outline,
    products: Iterable[str],
) -> dict[tuple[str, str], str]:
    """The data version of each product's newest materialization, by (product, asset)."""
    wanted = frozenset(products)
    return {
        (product, stage.key): version
        for stage in STAGES
        for product, version in latest_tags(
            instance,
            outline.key(stage.key),
            dg.DagsterEventType.ASSET_MATERIALIZATION,
            DATA_VERSION_TAG,
            _named(wanted),
        ).items()
        if product in wanted
    }


# What a source shows.


class Sources:
    """Makes observations that show what a source stands for.

    Args:
        products: by id; of others only the version is known.
        pictures: at most so many have a thumbnail, which takes a look at the files.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        outline: Outline,
        products: Mapping[str, Product],
        *,
        pictures: int,
    ) -> None:
        self._instance = instance
        self._outline = outline
        self._products = products
        self._pictures = pictures
        self._stages = {stage.source: stage for stage in STAGES}

    def observation(
        self, source: str, product_id: str, version: str, *, is_first: bool
    ) -> dg.AssetObservation:
        """The observation of a version, with what it stands for and what changed.

        Args:
            is_first: nothing was observed before, so nothing changed.
        """
        key, product = self._outline.key(source), self._products.get(product_id)
        if product is None:
            return observation(key, product_id, version)
        stage = self._stages[source]
        values = inputs_in_words(stage, product)
        before = None if is_first else self._before(key, product_id)
        changed = [] if before is None else changes(before, values)
        metadata: dict[str, Any] = {}
        if self._pictures > 0:
            self._pictures -= 1
            markdown = _pictures(tuple(_local_images(stage, product)))
            if markdown is not None:
                metadata[f"{_PREFIX}preview"] = dg.MetadataValue.md(markdown)
        metadata |= {f"{_PREFIX}{name}": value for name, value in values.items()}
        said = ""
        if before is not None:
            metadata[f"{_PREFIX}changed"] = text_table(("what", "from", "to"), changed)
            said = "; ".join(f"{what}: {_short(old)} → {_short(new)}" for what, old, new in changed)
        what = f"{stage.source_label} {f'changed, {said}' if said else 'read'}"
        shown = {"description": f"{product_id}: {what}", "metadata": metadata}
        return observation(key, product_id, version, **shown)

    def _before(self, key: dg.AssetKey, product_id: str) -> dict[str, str] | None:
        """The values of the last observation; None when it showed nothing."""
        events = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[product_id])
        for record in self._instance.fetch_observations(events, limit=1).records:
            seen = record.asset_observation
            shown = {} if seen is None else seen.metadata
            found = {
                name.removeprefix(_PREFIX): str(value.value)
                for name, value in shown.items()
                if name.startswith(_PREFIX) and isinstance(value, dg.TextMetadataValue)
            }
            return found or None
        return None


def inputs_in_words(stage: Stage, product: Product) -> dict[str, str]:
    """The product's own inputs of a stage, as the catalogue has them."""
    from topview_pipeline.catalogue.references import shown

    found = {}
    for name, value in stage.inputs(product, shown).values.items():
        text = next(iter(value.values())) if isinstance(value, Mapping) else str(value)
        found[name.replace("_", " ")] = text[:_LONGEST]
    return found


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """The differences, from what to what; a file may have new content under its old name."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    found = [(name, before.get(name, "-"), after.get(name, "-")) for name in names]
    return found or [("content of a file", "same name", "same name")]


def _local_images(stage: Stage, product: Product) -> Iterator[tuple[str, float]]:
    for ref, kind in stage.sources(product).items():
        if kind == "image" and not is_url(ref):
            with suppress(OSError):
                yield ref, Path(ref).stat().st_mtime


@lru_cache(maxsize=64)
def _pictures(files: tuple[tuple[str, float], ...]) -> str | None:
    """Side by side; products share templates, so the last ones are kept."""
    from topview_pipeline.media.probe import MediaError, inline_preview

    try:
        return inline_preview(*(path for path, _ in files)) if files else None
    except (MediaError, OSError):
        return None


def _short(text: str) -> str:
    text = one_line(text)
    return text if len(text) <= _IN_A_SENTENCE else f"{text[:_IN_A_SENTENCE]} …"
