"""The outline of a pipeline: what Dagster must know of it when a code location is loaded.

Names of partition sets, asset keys, jobs, sensors and resources are global to a Dagster instance,
so a pipeline with a name of its own puts that before each of them.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import dagster as dg

from topview_pipeline.settings import DEFAULT_NAME, PipelineConfig, spelled
from topview_pipeline.text import for_pipeline

PIPELINE_TAG: Final = "topview/pipeline"
"""Tag of the runs of a pipeline's jobs: another project's may have the same names."""
OCCASION_TAG: Final = "topview/occasion"
"""Tag of a schedule's runs: the occasion of `RunInfo`."""
PENDING_TASK_SENSOR: Final = "pending_task_sensor"
CATALOGUE_SENSOR: Final = "catalogue_sensor"
MANIFEST: Final = "videoManifest"
"""Key of the asset that shops import; the health checks stand on it."""
FIELDS: Final = ("name", "key_prefix", "owners", "nightly_cron", "nightly_timezone", "code_url")
"""Fields of PipelineConfig that an outline is made of."""


@dataclass(frozen=True)
class Outline:
    """The outline of one pipeline.

    Attributes:
        name: of the pipeline; it begins the names of its groups, if it is not the default.
        spelling: how messages name settings, as `settings.spelled` takes it.
    """

    name: str = DEFAULT_NAME
    key_prefix: tuple[str, ...] = ()
    owners: tuple[str, ...] = ("team:content",)
    nightly_cron: str = "0 2 * * *"
    nightly_timezone: str = "UTC"
    code_url: str | None = None
    spelling: Mapping[str, str] | None = field(default=None, compare=False)
    _keys: dict[str, dg.AssetKey] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of_config(cls, config: PipelineConfig) -> Outline:
        """The outline that a configuration describes.

        Raises:
            SettingsError: Dagster would refuse its owners, its schedule or its time zone.
        """
        for owner in config.owners:
            fix = "Use an e-mail address, or team:content for a team of that name."
            _check(config, "owners", f"{owner!r} is not an owner", fix, owner=owner)
        cron, zone = config.nightly_cron, config.nightly_timezone
        fix = "Write minute, hour, day, month and weekday, such as 0 2 * * *."
        _check(config, "nightly_cron", f"{cron!r} is not a cron schedule that runs", fix, cron=cron)
        fix = "Use a name such as Europe/Berlin."
        _check(config, "nightly_timezone", f"{zone!r} is not a time zone", fix, zone=zone)
        return cls(**{name: getattr(config, name) for name in FIELDS}, spelling=config.keys)

    def worded(self, text: str, *, defs: str | None = None) -> str:
        """Return a message with settings as they were written and commands that can be pasted.

        Args:
            defs: the module that a command line has named.
        """
        text = spelled(text, self.spelling)
        return text if self.name == DEFAULT_NAME else for_pipeline(text, self.name, defs=defs)

    def of(self, name: str) -> str:
        """The pipeline's own name for a job, a sensor, a resource or a partition set."""
        return name if self.name == DEFAULT_NAME else f"{self.name}_{name}"

    def own(self, op: dg.OpDefinition) -> Any:
        """Return the op, to be called in a job, under the pipeline's own name.

        The step, and its key in a run's config, have the plain name.
        """
        return op.with_replaced_properties(self.of(op.name)).alias(op.name)

    def key(self, asset: str) -> dg.AssetKey:
        """The key of an asset; one object for all events, which Dagster keeps until a step ends."""
        if asset not in self._keys:
            self._keys[asset] = dg.AssetKey([*self.key_prefix, asset])
        return self._keys[asset]

    def code(self, defined: Any) -> dict[str, Any]:
        """Metadata that links an asset to a class or function of this package in the web."""
        if self.code_url is None:
            return {}
        try:
            path = Path(inspect.getfile(defined)).relative_to(Path(__file__).parents[2])
            line = inspect.getsourcelines(defined)[1]
        except (OSError, TypeError, ValueError):  # a link is no reason not to load
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.BetaWarning)
            reference = dg.UrlCodeReference(url=f"{self.code_url}/{path.as_posix()}#L{line}")
            found = dg.CodeReferencesMetadataValue(code_references=[reference])
        return {"dagster/code_references": found}

    @cached_property
    def products(self) -> dg.DynamicPartitionsDefinition:
        """The one partitioning: a partition is a product of the catalogue."""
        return dg.DynamicPartitionsDefinition(name=self.of("products"))

    @property
    def partition_set(self) -> str:
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


def _check(
    config: PipelineConfig,
    field: str,
    what: str,
    fix: str,
    *,
    owner: str = "team:content",
    cron: str = "0 2 * * *",
    zone: str = "UTC",
) -> None:
    """Let Dagster check a value, with valid ones beside it."""
    try:
        dg.AssetSpec("asset", owners=[owner])
        dg.ScheduleDefinition(job_name="job", cron_schedule=cron, execution_timezone=zone)
    except dg.DagsterInvalidDefinitionError:
        raise config.wrong(field, what, fix) from None
