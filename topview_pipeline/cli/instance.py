"""The Dagster instance that the command line works on, and the dagster.yaml it starts with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from topview_pipeline.cli.errors import CannotStart
from topview_pipeline.settings import project_root

if TYPE_CHECKING:
    from dagster import DagsterInstance

DAGSTER_YAML: Final = """\
# Written by topview-pipeline on first use; it is yours from now on.
telemetry:
  enabled: false
nux:
  enabled: false

concurrency:
  runs:
    tag_concurrency_limits:
      # A backfill of 5,000 products is two processes: waiting takes no process per product.
      - key: dagster/backfill
        value:
          applyLimitPerUniqueValue: true
        limit: 2
      # One catch-up at a time: it takes any number of products.
      - key: topview/job
        value: catch_up
        limit: 1

# Whether to try again is the ledger's decision; a run that is retried as a whole helps nobody.
run_retries:
  enabled: false
  retry_on_asset_or_op_failure: false

sensors:
  use_threads: true
  num_workers: 4
"""


def prepare_home() -> tuple[Path, bool]:
    """Make sure that DAGSTER_HOME is set, exists and has a dagster.yaml.

    Returns:
        The folder, and whether it was chosen here because DAGSTER_HOME was not set. An existing
        dagster.yaml is never changed.
    """
    named = os.environ.get("DAGSTER_HOME", "").strip()
    home = Path(named) if named else project_root() / ".dagster_home"
    if not home.is_absolute():
        raise CannotStart(
            f"DAGSTER_HOME is {named!r}; Dagster needs an absolute path. "
            f'Set it like this: export DAGSTER_HOME="$PWD/{named}"'
        )
    try:
        home.mkdir(parents=True, exist_ok=True)
        config = home / "dagster.yaml"
        if not config.exists():
            config.write_text(DAGSTER_YAML, encoding="utf-8")
    except OSError as error:
        raise CannotStart(
            f"DAGSTER_HOME {home} cannot be written ({error.strerror}). "
            "Set it to a folder of yours."
        ) from error
    os.environ["DAGSTER_HOME"] = str(home)
    return home, not named


def open_instance() -> DagsterInstance:
    """The instance of DAGSTER_HOME, with its history."""
    import dagster as dg

    try:
        return dg.DagsterInstance.get()
    except Exception as error:
        # Dagster raises what its configured storages raise: no common class.
        raise CannotStart(
            f"Dagster cannot use DAGSTER_HOME {os.environ.get('DAGSTER_HOME')}: {error}"
        ) from error
