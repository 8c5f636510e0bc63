"""The instance: the dagster.yaml that a pipeline needs, and what keeps it from working there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import dagster as dg

from topview_pipeline.defs.dagster_private import (
    home_of,
    launches_elsewhere,
    limits_backfills,
    locations_ticking,
    retries_crashes,
)
from topview_pipeline.defs.outline import CATALOGUE_SENSOR, PENDING_TASK_SENSOR, Outline
from topview_pipeline.setting_types import SettingsError
from topview_pipeline.text import is_url

if TYPE_CHECKING:
    from topview_pipeline.settings import PipelineConfig

_MOUNTS: Final = Path("/proc/self/mounts")
_POD: Final = Path("/var/run/secrets/kubernetes.io")
"""Kubernetes puts it into a pod."""
_OF_CONTAINERS: Final = ("overlay", "aufs")
"""File systems that are a container's own, and gone with it."""
_BACKFILLS: Final = """\
concurrency:
  runs:
    tag_concurrency_limits:
      # A backfill of 5,000 products is two processes: waiting takes no process per product.
      - key: dagster/backfill
        value:
          applyLimitPerUniqueValue: true
        limit: 2
"""
_RETRIES: Final = """\
# A run whose process died is started again, a backfill's too; one whose op failed is not: the
# ledger decides about failed tasks.
run_retries:
  enabled: true
  max_retries: 2
  retry_on_asset_or_op_failure: false
"""
DAGSTER_YAML: Final = f"""\
# Written by topview-pipeline; it is yours from now on.
telemetry:
  enabled: false
nux:
  enabled: false

{_BACKFILLS}
{_RETRIES}
sensors:
  use_threads: true
  num_workers: 4
"""


def missing_settings(instance: dg.DagsterInstance) -> str:
    """Return the lines that the instance's dagster.yaml lacks; empty when it has all."""
    backfills = "" if limits_backfills(instance) else _BACKFILLS
    return backfills + ("" if retries_crashes(instance) else _RETRIES)


def advice(instance: dg.DagsterInstance) -> str:
    """Return the sentence about what dagster.yaml lacks, with the lines to add; or nothing."""
    lines = missing_settings(instance)
    home = home_of(instance)
    if not lines or home is None:
        return ""
    return (
        f"dagster.yaml in {home} does not limit the processes of a backfill, or does not restart "
        "a run after its process died. Add these lines to it (where a key is there already, under "
        f"that key), or make the file of them.\n\n{lines}"
    )


def check_alone(instance: dg.DagsterInstance, outline: Outline) -> None:
    """Refuse a name that two code locations use: they would share partitions and asset keys.

    Raises:
        NameTaken: two have sensors of this name.
    """
    from topview_pipeline.ledger import LIVING_SECONDS, NameTaken  # it takes long to load

    sensor, beside = outline.of(PENDING_TASK_SENSOR), outline.of(CATALOGUE_SENSOR)
    found = locations_ticking(instance, sensor, beside=beside, seconds=LIVING_SECONDS)
    if len(found) > 1:
        raise NameTaken(
            f"the code locations {' and '.join(sorted(found))} of this Dagster instance both have "
            "a pipeline of this name; nothing was submitted",
            f"pipeline {outline.name}",
            "Give one of the two another name. If it has moved from one to the other, wait "
            f"{LIVING_SECONDS / 60:.0f} minutes after the old one was unloaded.",
        )


def check_durable(instance: dg.DagsterInstance, config: PipelineConfig) -> None:
    """Refuse a place that a run's successor will not find.

    Refused is the default place in a container or pod, and where runs are started elsewhere; one
    that was named, if it is a pod's own file system.
    """
    is_sqlite = config.ledger_url.startswith("sqlite")
    ledger = config.ledger_url.partition(":///")[2] if is_sqlite else ""
    is_elsewhere = _POD.exists() or launches_elsewhere(instance)
    for what, place, names in (
        ("ledger", ledger, {"home", "ledger_url"}),
        ("store", "" if is_url(config.store) else config.store, {"home", "store"}),
    ):
        is_own = bool(place) and file_system_of(Path(place), _mounts()) in _OF_CONTAINERS
        is_named = bool(names & config.model_fields_set)
        if place and ((is_own and is_elsewhere) if is_named else (is_own or is_elsewhere)):
            raise SettingsError(
                f"the {what} {place} will not be there for the next run, which would pay for "
                "everything again; nothing was submitted",
                "TOPVIEW_LEDGER_URL and TOPVIEW_STORE",
                "Let the first name a PostgreSQL database, and the second a bucket such as "
                "s3://bucket/topview; or let TOPVIEW_HOME name a folder on a volume that all runs "
                "mount.",
            )


def file_system_of(path: Path, mounts: str) -> str:
    """Return the type of the file system that a path lies on, by the lines of /proc/mounts."""
    found = ("", "")
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split(" ")
        if path.is_relative_to(point) and len(point) >= len(found[0]):
            found = point, kind
    return found[1]


def _mounts() -> str:
    try:
        return _MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return ""
