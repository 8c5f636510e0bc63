"""The outline of a pipeline: what Dagster must know of it when a code location is loaded.

Names of partition sets, asset keys, jobs, sensors and resources are global to a Dagster instance,
so a pipeline with a name of its own puts that before each of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import dagster as dg

from topview_pipeline.settings import DEFAULT_NAME, PipelineConfig

PIPELINE_TAG: Final = "topview/pipeline"
"""Tag of the runs of a pipeline's jobs, which tells them from a stranger's of the same name."""
OCCASION_TAG: Final = "topview/occasion"
"""Tag of a schedule's runs: the occasion of `RunInfo`."""


FIELDS: Final = ("name", "key_prefix", "owners", "nightly_cron", "nightly_timezone")
"""Fields of PipelineConfig that an outline is made of."""


@dataclass(frozen=True)
class Outline:
    """The outline of one pipeline.

    Attributes:
        name: of the pipeline; also the group of its assets.
    """

    name: str = DEFAULT_NAME
    key_prefix: tuple[str, ...] = ()
    owners: tuple[str, ...] = ("team:content",)
    nightly_cron: str = "0 2 * * *"
    nightly_timezone: str = "UTC"
    _keys: dict[str, dg.AssetKey] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of_config(cls, config: PipelineConfig) -> Outline:
        """The outline that a configuration describes."""
        return cls(**{name: getattr(config, name) for name in FIELDS})

    def of(self, name: str) -> str:
        """The pipeline's own name for a job, a sensor, a resource or a partition set."""
        return name if self.name == DEFAULT_NAME else f"{self.name}_{name}"

    def key(self, asset: str) -> dg.AssetKey:
        """The key of an asset; one object for all events, which Dagster keeps until a step ends."""
        if asset not in self._keys:
            self._keys[asset] = dg.AssetKey([*self.key_prefix, asset])
        return self._keys[asset]

    @cached_property
    def products(self) -> dg.DynamicPartitionsDefinition:
        """The one partitioning: a partition is a product of the catalogue."""
        return dg.DynamicPartitionsDefinition(name=self.of("products"))

    @property
    def partition_set(self) -> str:
        """The name of that partitioning on the instance."""
        return self.of("products")

    @property
    def tags(self) -> dict[str, str]:
        """Tags of the jobs' runs.

        Dagster's run retries start a run again when its process died, not when an op failed.
        """
        return {
            PIPELINE_TAG: self.name,
            "dagster/max_retries": "2",
            "dagster/retry_on_asset_or_op_failure": "false",
        }
