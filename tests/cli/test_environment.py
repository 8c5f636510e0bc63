"""The dagster.yaml that the command line writes on first use."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from topview_pipeline.defs.instance import DAGSTER_YAML


def test_the_dagster_yaml_we_write_does_what_it_says(tmp_path: Path) -> None:
    """A misspelt key would be passed over, and a backfill of 5,000 would be 25 processes."""
    (tmp_path / "dagster.yaml").write_text(DAGSTER_YAML, encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        limits = instance.get_concurrency_config().run_queue_config
        assert limits is not None
        assert limits.tag_concurrency_limits == [
            {"key": "dagster/backfill", "value": {"applyLimitPerUniqueValue": True}, "limit": 2},
        ]
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 2
        assert not instance.run_retries_retry_on_asset_or_op_failure
