"""The instance's configuration: the dagster.yaml that this pipeline needs, and what one lacks."""

from __future__ import annotations

from typing import Final

import dagster as dg

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
# Written by topview-pipeline on first use; it is yours from now on.
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
    queue = instance.get_concurrency_config().run_queue_config
    limits = (queue.tag_concurrency_limits if queue else None) or []
    has_limit = any(limit.get("key") == "dagster/backfill" for limit in limits)
    has_retries = instance.run_retries_enabled
    has_retries &= not instance.run_retries_retry_on_asset_or_op_failure
    return ("" if has_limit else _BACKFILLS) + ("" if has_retries else _RETRIES)


def advice(instance: dg.DagsterInstance) -> str:
    """Return the sentence about what dagster.yaml lacks, with the lines to add; or nothing."""
    lines = missing_settings(instance)
    if not lines or instance.is_ephemeral:
        return ""
    return (
        f"dagster.yaml in {instance.root_directory} does not limit a backfill's processes, or does "
        "not start a run again whose process died. Add these lines to it; when there is no such "
        f"file, `topview-pipeline check` writes it.\n\n{lines}"
    )
