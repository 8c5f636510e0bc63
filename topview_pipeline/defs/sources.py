"""Observations of the sources: what a product's own inputs are, and what changed of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from topview_pipeline.defs.data_versions import observation
from topview_pipeline.defs.metadata import text_table
from topview_pipeline.stages import STAGES, Stage
from topview_pipeline.text import is_url, one_line

if TYPE_CHECKING:
    from topview_pipeline.catalogue import Product
    from topview_pipeline.defs.outline import Outline

_PREFIX: Final = "topview/"
_LONGEST: Final = 500
_IN_A_SENTENCE: Final = 60


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
        stages: Sequence[Stage] = STAGES,
    ) -> None:
        self._instance = instance
        self._outline = outline
        self._products = products
        self._pictures = pictures
        self._stages = {stage.source: stage for stage in stages}

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
        """What the last observation showed; None when it showed nothing."""
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
    """What differs, from what to what; a file may have new content under its old name."""
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
