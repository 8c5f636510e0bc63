"""The shape of the code location: what somebody finds who opens it in Dagster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from topview_pipeline.definitions import defs
from topview_pipeline.environment import VARIABLES

ROOT = Path(__file__).parents[2]
GRAPH = defs.resolve_asset_graph()

LINEAGE = {
    "productImage": set(),
    "productScene": set(),
    "productScript": set(),
    "bgRemovedImage": {"productImage"},
    "replacedImages": {"bgRemovedImage", "productScene"},
    "finishedVideo": {"replacedImages", "productScript"},
    "videoManifest": {"finishedVideo"},
}
MADE = ("bgRemovedImage", "replacedImages", "finishedVideo")
SOURCES = ("productImage", "productScene", "productScript")


def test_the_six_assets_of_a_product_the_manifest_and_their_lineage() -> None:
    found = {
        key.to_user_string(): {parent.to_user_string() for parent in GRAPH.get(key).parent_keys}
        for key in GRAPH.get_all_asset_keys()
    }
    assert found == LINEAGE


def test_every_asset_but_the_manifest_is_partitioned_by_product_and_says_what_it_is() -> None:
    for key in GRAPH.get_all_asset_keys():
        node = GRAPH.get(key)
        if key.to_user_string() != "videoManifest":  # one file for all products
            assert isinstance(node.partitions_def, dg.DynamicPartitionsDefinition)
            assert node.partitions_def.name == "products"
        assert node.group_name == "topview"
        assert node.description


def test_what_is_made_has_kinds_owners_and_a_code_version() -> None:
    for name in MADE:
        node = GRAPH.get(dg.AssetKey(name))
        assert "topview" in node.kinds
        assert node.owners == ["team:content"]
        assert node.code_version == "1"
        assert node.is_materializable


def test_the_sources_say_what_kind_they_are() -> None:
    kinds = {name: GRAPH.get(dg.AssetKey(name)).kinds for name in SOURCES}
    assert kinds == {
        "productImage": {"image"},
        "productScene": {"config"},
        "productScript": {"text"},
    }


def test_the_sources_can_be_observed_and_not_materialized() -> None:
    for name in SOURCES:
        node = GRAPH.get(dg.AssetKey(name))
        assert node.is_observable
        assert not node.is_materializable


def test_a_backfill_takes_200_products_a_run_and_one_step_makes_them_all() -> None:
    definition = GRAPH.get(dg.AssetKey("finishedVideo")).assets_def
    assert definition.backfill_policy == dg.BackfillPolicy.multi_run(200)
    assert definition.can_subset
    assert {key.to_user_string() for key in definition.keys} == set(MADE)
    assert definition.op.retry_policy is None


def test_runs_stay_in_one_process() -> None:
    assert defs.executor is dg.in_process_executor
    job = defs.resolve_job_def("catch_up")
    assert job.executor_def is dg.in_process_executor
    assert list(job.graph.node_dict) == ["plan_catch_up", "produce"]
    assert job.tags["dagster/retry_on_asset_or_op_failure"] == "false"


def test_the_sensor_runs_by_default_and_the_schedule_which_spends_does_not() -> None:
    sensor = defs.resolve_sensor_def("pending_task_sensor")
    schedule = defs.resolve_schedule_def("nightly_catch_up")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert sensor.job_name == schedule.job_name == "catch_up"
    assert schedule.cron_schedule == "0 2 * * *"


def bare_environment() -> dict[str, str]:
    """As of somebody who has set nothing yet."""
    names = {variable.name for variable in VARIABLES} | {"DAGSTER_HOME"}
    return {name: value for name, value in os.environ.items() if name not in names}


OUR_WARNINGS_ARE_ERRORS = (
    "import warnings; warnings.filterwarnings('error', module='topview_pipeline')\n"
)


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", OUR_WARNINGS_ARE_ERRORS + code],
        cwd=ROOT,
        env=bare_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_loading_imports_no_database_no_http_and_no_media() -> None:
    """They take longer than all definitions together; the budget beyond Dagster is 0.4 s."""
    loaded = python(
        "import sys, json, dagster; before = set(sys.modules)\n"
        "import topview_pipeline.definitions\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    packages = {name.partition(".")[0] for name in json.loads(loaded)}
    assert packages.isdisjoint({"sqlalchemy", "httpx", "av", "PIL", "fsspec", "upath", "numpy"})


def test_loading_reads_no_environment() -> None:
    python(
        "import os, dagster\n"
        "class Trap(type(os.environ)):\n"
        "    def __getitem__(self, name):\n"
        "        assert not name.startswith('TOPVIEW_'), name\n"
        "        return super().__getitem__(name)\n"
        "os.environ.__class__ = Trap\n"
        "import topview_pipeline.definitions as module\n"
        "module.defs.resolve_asset_graph(); module.defs.resolve_job_def('catch_up')\n"
        "try: os.environ['TOPVIEW_UID']\n"
        "except AssertionError: print('trapped')\n"
    ).index("trapped")


@pytest.mark.parametrize(
    "command",
    [
        ["dg", "check", "defs"],
        ["dagster", "definitions", "validate", "-w", "workspace.yaml"],
    ],
    ids=["dg", "dagster"],
)
def test_dagsters_own_checks_pass_without_credentials_or_warnings_of_ours(
    command: list[str], tmp_path: Path
) -> None:
    program = Path(sys.executable).parent / command[0]
    done = subprocess.run(
        [str(program), *command[1:]],
        cwd=ROOT,
        env={**bare_environment(), "DAGSTER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    ours = [line for line in output.splitlines() if "Warning" in line and "/topview_p" in line]
    assert not ours, output
