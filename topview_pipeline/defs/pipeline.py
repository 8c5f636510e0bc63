"""A pipeline's definitions, and what keeps pipelines of one code location apart.

Components see each other when they are built. All else is seen when Dagster has put a location
together and resolves its asset jobs: before anything of it can run.
"""

from __future__ import annotations

import logging
import os
import posixpath
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

import dagster as dg

from topview_pipeline.defs.assets import product_videos, source_specs, video_manifest
from topview_pipeline.defs.dagster_private import looking_selection
from topview_pipeline.defs.health_checks import health_checks, health_checks_sensor
from topview_pipeline.defs.io_manager import TopviewResults
from topview_pipeline.defs.jobs import jobs
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.defs.schedules import nightly_catch_up
from topview_pipeline.defs.sensors import catalogue_sensor, pending_task_sensor
from topview_pipeline.setting_types import SettingsError, database_of
from topview_pipeline.settings import DEFAULT_NAME, PipelineConfig
from topview_pipeline.stages import STAGES
from topview_pipeline.text import is_url, origin_of

if TYPE_CHECKING:
    from topview_pipeline.defs.outline import Outline

_log: Final = logging.getLogger("dagster")
_OF_ACCOUNT: Final = ("slots", "credit_limit", "account_exclusive")
"""Fields that say what the account has, whichever pipeline it works for."""


def build_definitions(config: PipelineConfig) -> dg.Definitions:
    """Return the definitions of one pipeline: assets, checks, jobs, schedule and sensors.

    Merge them with those of other pipelines and with your own by `Definitions.merge`. A pipeline
    whose `name` is not the default one has names of its own for all of them.

    Two that cannot go together, such as with one account and two ledgers, stop Dagster from loading
    the location.
    """
    topview = TopviewResource(config)
    topview.claim = Claim.of(config)
    return definitions_of(topview)


def definitions_of(topview: TopviewResource) -> dg.Definitions:
    outline = topview.outline
    videos = product_videos(outline)
    return dg.Definitions(
        assets=[*source_specs(outline), videos, video_manifest(outline)],
        asset_checks=[health_checks(topview)],
        jobs=jobs(topview, _checked_selection(topview, videos)),
        schedules=[nightly_catch_up(topview)],
        sensors=[
            pending_task_sensor(topview),
            catalogue_sensor(topview),
            health_checks_sensor(topview),
        ],
        resources={
            outline.of("topview"): topview,
            outline.of("topview_results"): TopviewResults(topview),
        },
    )


@dataclass(frozen=True)
class Claim:
    """A pipeline's part in what others share with it.

    Attributes:
        find_ledger: returns the ledger's URL in its one spelling; None where it is not known.
        unknown: fields whose variable is not set.
        file: the YAML that describes it, or empty.
    """

    config: PipelineConfig
    ledger: str
    find_ledger: Callable[[], str | None]
    unknown: frozenset[str] = frozenset()
    file: str = ""

    @classmethod
    def of(cls, config: PipelineConfig) -> Claim:
        """The part of a pipeline whose configuration is complete."""
        return cls(config, config.ledger_url, lambda: config.ledger_url)

    def clash(self, other: Claim) -> SettingsError | None:
        """Return why the two cannot go together; None when they can."""
        mine, theirs = self.config, other.config
        both = f"pipelines {theirs.name} and {mine.name}"
        if mine.name == theirs.name:
            fix = "Give each catalogue a pipeline of a name of its own."
            return self._error(other, "name", f"two pipelines have the name {mine.name}", fix)
        if mine.key_prefix == theirs.key_prefix:
            fix = "Give each a prefix of its own, or none: then it is the name."
            what = f"{both} have the same prefix {list(mine.key_prefix)}"
            return self._error(other, "key_prefix", what, fix)
        if mine.uid is None or _account(mine) != _account(theirs):
            return None
        unknown = self.unknown | other.unknown
        for field in _OF_ACCOUNT:
            values = getattr(theirs, field), getattr(mine, field)
            if values[0] != values[1] and field not in unknown:
                first, second = (str(value).lower() for value in values)
                what = f"{both} use one account, one with {first} and one with {second}"
                fix = "It is the account's: write the same in both."
                return self._error(other, field, what, fix)
        fix = "They share what the account makes and pays: let both name the same one."
        if _root(mine.store) != _root(theirs.store) and not {"store", "home"} & unknown:
            return self._error(other, "store", f"{both} use one account and two stores", fix)
        if self.ledger != other.ledger and not {"ledger_url", "home"} & unknown:
            here, there = self.find_ledger(), other.find_ledger()
            if here is not None and there is not None and database_of(here) != database_of(there):
                what = f"{both} use one account and two ledgers"
                return self._error(other, "ledger_url", what, fix)
        return None

    def _error(self, other: Claim, field: str, what: str, fix: str) -> SettingsError:
        error = self.config.wrong(field, what, fix)
        files = " and ".join(dict.fromkeys(filter(None, (other.file, self.file))))
        return SettingsError(what, f"{error.where} in {files}" if files else error.where, fix)


def _account(config: PipelineConfig) -> tuple[str | None, str]:
    return config.uid, origin_of(config.base_url)


def _root(store: str) -> str:
    """Return a store's place in one spelling."""
    if not is_url(store):
        return os.path.normpath(store)
    scheme, _, path = store.partition(":/")
    path = posixpath.normpath(f"/{path.lstrip('/')}")
    return path if scheme.lower() == "file" else f"{scheme.lower()}:/{path}"


_made: Final[WeakKeyDictionary[object, TopviewResource]] = WeakKeyDictionary()
"""Pipelines by an op of each, which stays the same when a host changes the asset's spec."""


def check_apart(claims: Iterable[Claim | None]) -> None:
    """Refuse pipelines of one name or prefix, or of one account and two ledgers or limits."""
    for one, other in combinations(filter(None, claims), 2):
        if error := other.clash(one):
            raise error


def _checked_selection(topview: TopviewResource, videos: dg.AssetsDefinition) -> dg.AssetSelection:
    """Select the assets that are made, and check the location when that is resolved.

    Args:
        videos: those assets, by which the pipeline is known again.
    """
    outline = topview.outline
    _made[videos.node_def] = topview
    ours = {outline.key(name) for stage in STAGES for name in (stage.source, stage.key)}

    def look(assets: Sequence[dg.AssetsDefinition]) -> None:
        nodes = [one.node_def for one in assets if one.is_executable]
        found = {one.outline.name: one for one in map(_made.get, nodes) if one is not None}
        check_apart(found[name].claim for name in sorted(found))
        foreign = _foreign_products(outline, ours, assets)
        if outline.name == DEFAULT_NAME and foreign:
            what = (
                f"{foreign} has the partition set {outline.partition_set}, which is that of the "
                "Topview pipeline too: each gets the other's partitions. If that is not meant, "
                "give the pipeline a name of its own (TOPVIEW_NAME)."
            )
            _log.warning(outline.worded(what))

    return looking_selection([outline.key(stage.key) for stage in STAGES], look)


def _foreign_products(
    outline: Outline, ours: Collection[dg.AssetKey], assets: Sequence[dg.AssetsDefinition]
) -> str | None:
    """Return an asset that has the products' partitions and is not made of ours."""
    specs = {spec.key: spec for one in assets for spec in one.specs}
    made_of_ours, found = set(ours), len(ours) - 1
    while found < len(made_of_ours):
        found = len(made_of_ours)
        made_of_ours |= {
            key
            for key, spec in specs.items()
            if any(dep.asset_key in made_of_ours for dep in spec.deps)
        }
    foreign = (
        key.to_user_string()
        for key, spec in specs.items()
        if key not in made_of_ours and spec.partitions_def == outline.products
    )
    return min(foreign, default=None)
