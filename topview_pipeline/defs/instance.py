"""The instance's configuration: the dagster.yaml that this pipeline needs, and what one lacks."""

from __future__ import annotations

from typing import Final

import dagster as dg

from topview_pipeline.defs.dagster_private import (
    home_of,
    limits_backfills,
    locations_ticking,
    retries_crashes,
)
from topview_pipeline.defs.outline import CATALOGUE_SENSOR, PENDING_TASK_SENSOR, Outline

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
