"""The shape of the code location: what somebody finds who opens it, or merges it with their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import ASSETS
from topview_pipeline.definitions import defs
from topview_pipeline.defs.jobs import CATCH_UP, MATERIALIZE_PRODUCTS
from topview_pipeline.defs.outline import Outline
from topview_pipeline.defs.pipeline import build_definitions
from topview_pipeline.settings import VARIABLES, PipelineConfig

ROOT = Path(__file__).parents[2]
GRAPH = defs.resolve_asset_graph()
KINDS = {
    "productImage": {"source", "image"},
    "productScene": {"source", "config"},
    "productScript": {"source", "text"},
    "bgRemovedImage": {"file", "topview", "image"},
    "replacedImages": {"file", "topview", "image"},
    "finishedVideo": {"file", "topview", "video"},
    "videoManifest": {"csv", "json"},
}
LINEAGE: dict[str, set[str]] = {
    **{name: set() for name in KINDS},
    "bgRemovedImage": {"productImage"},
    "replacedImages": {"bgRemovedImage", "productScene"},
    "finishedVideo": {"replacedImages", "productScript"},
    "videoManifest": {"finishedVideo"},
}
JOBS = {
    CATCH_UP: ["plan_catch_up", "produce"],
    "resume_tasks": ["resume"],
    "sync_products": ["sync_with_catalogue"],
    "review_scenes": ["decide"],
    "choose_scene": ["decide"],
    "accept_change": ["decide"],
    "settle_unknown_task": ["decide"],
    "adopt_store": ["decide"],
    "purge": ["decide"],
    MATERIALIZE_PRODUCTS: ["product_videos"],
}
SENSORS: dict[str, list[str]] = {
    "pending_task_sensor": ["resume_tasks"],
    "catalogue_sensor": [],
    "health_checks_sensor": [],
}


def parents(graph: Any) -> dict[str, set[str]]:
    return {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }


def test_the_assets_their_lineage_and_what_they_say_of_themselves() -> None:
    assert parents(GRAPH) == LINEAGE
    for name, kinds in KINDS.items():
        node = GRAPH.get(dg.AssetKey(name))
        assert node.kinds == kinds
        group = (
            "published" if name == "videoManifest" else "videos" if name in ASSETS else "catalogue"
        )
        assert (node.group_name, tuple(node.owners)) == (group, ("team:content",))
        # The catalog shows the first line as it is, with its asterisks.
        assert not set("*`") & set(str(node.description).partition("\n")[0])
        if name == "videoManifest":  # one file for all products
            continue
        assert isinstance(node.partitions_def, dg.DynamicPartitionsDefinition)
        assert node.partitions_def.name == "products"
        assert node.is_materializable is node.is_executable is (name in ASSETS)
        assert node.code_version == ("1" if name in ASSETS else None)


def test_assets_link_to_their_code_where_its_web_page_is_set() -> None:
    page = "https://git.example/acme/tree/main"
    found = build_definitions(PipelineConfig(uid="u", code_url=page)).resolve_asset_graph()
    files = {"productImage": "stages/cut_out", "finishedVideo": "stages/video"}
    for asset, file in (files | {"videoManifest": "defs/assets"}).items():
        references: Any = found.get(dg.AssetKey(asset)).metadata["dagster/code_references"]
        (reference,) = references.code_references
        assert re.fullmatch(rf"{page}/topview_pipeline/{file}\.py#L\d+", reference.url)
    assert not any("dagster/code_references" in node.metadata for node in GRAPH.asset_nodes)
    outline = Outline(code_url=page)
    for elsewhere in (int, Path):
        assert outline.code(elsewhere) == {}, "a location loads without the link"


def test_a_backfill_takes_200_products_a_run_and_one_step_makes_them_all() -> None:
    definition = GRAPH.get(dg.AssetKey("finishedVideo")).assets_def
    assert definition.backfill_policy == dg.BackfillPolicy.multi_run(200)
    assert definition.can_subset
    assert {key.to_user_string() for key in definition.keys} == set(ASSETS)
    assert definition.op.retry_policy is None, "the ledger decides about retries"


def test_the_jobs_run_in_one_process_and_are_started_again_after_a_crash_only() -> None:
    assert {job.name for job in defs.jobs or []} == set(JOBS)
    of_backfills = defs.resolve_implicit_global_asset_job_def()
    assert of_backfills.executor_def is dg.in_process_executor
    for name, ops in JOBS.items():
        job = defs.resolve_job_def(name)
        assert list(job.graph.node_dict) == ops
        assert job.executor_def is dg.in_process_executor
        assert job.run_tags["dagster/max_retries"] == "2"
        assert job.run_tags["dagster/retry_on_asset_or_op_failure"] == "false"
        assert job.description


def test_the_sensors_run_by_default_and_the_schedule_which_spends_does_not() -> None:
    assert {sensor.name for sensor in defs.sensors or []} == set(SENSORS)
    for name, jobs in SENSORS.items():
        sensor = defs.resolve_sensor_def(name)
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
        assert [target.job_name for target in sensor.targets] == jobs
    assert len(list(defs.schedules or [])) == 1
    schedule = defs.resolve_schedule_def("nightly_catch_up")
    assert (schedule.job_name, schedule.cron_schedule) == (CATCH_UP, "0 2 * * *")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED


# Loading.


def run(*command: str, **environment: str) -> str:
    """The output of a command in the project's folder, by somebody who has set nothing yet."""
    unset = {*VARIABLES, "DAGSTER_HOME"}
    mine = {name: value for name, value in os.environ.items() if name not in unset}
    done = subprocess.run(
        command, cwd=ROOT, env=mine | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_loading_is_quick_imports_no_database_http_or_media_and_reads_names_alone() -> None:
    """They take longer than all definitions together, which take half of what Dagster takes."""
    code = """
import json, os, sys, time, warnings
begun = time.process_time()
import dagster
of_dagster = time.process_time() - begun
warnings.filterwarnings("error", module="topview_pipeline")
names = "NAME", "KEY_PREFIX", "OWNERS", "NIGHTLY_CRON", "NIGHTLY_TIMEZONE", "CODE_URL"
class Trap(type(os.environ)):
    def __getitem__(self, name):
        assert not name.startswith("TOPVIEW_") or name[8:] in names, name
        return super().__getitem__(name)
os.environ.__class__ = Trap
before, begun = set(sys.modules), time.process_time()
import topview_pipeline.definitions as module
module.defs.resolve_asset_graph(); module.defs.resolve_job_def("catch_up")
seconds = time.process_time() - begun
print(json.dumps([seconds / of_dagster, sorted(set(sys.modules) - before)]))
"""
    share, modules = json.loads(run(sys.executable, "-c", code))
    heavy = {"sqlalchemy", "httpx", "av", "PIL", "fsspec", "upath", "numpy", "pydantic_settings"}
    assert heavy.isdisjoint(name.partition(".")[0] for name in modules)
    assert share < 0.8


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", ["dg check defs", "dagster definitions validate -w workspace.yaml"]
)
def test_dagsters_checks_pass_without_warnings_of_ours(command: str, tmp_path: Path) -> None:
    program, *arguments = command.split()
    program = str(Path(sys.executable).parent / program)
    output = run(program, *arguments, DAGSTER_HOME=str(tmp_path))
    ours = [line for line in output.splitlines() if "Warning" in line and "/topview_p" in line]
    assert not ours, output


@pytest.mark.slow
@pytest.mark.parametrize("tool", [["-c", "import topview_pipeline.definitions"], []])
def test_a_misspelt_limit_is_a_warning_with_the_nearest_name_and_said_once(
    tool: list[str], tmp_path: Path
) -> None:
    """A limit that nobody reads spends money: in a code server, and in a command with a .env."""
    environ = {name: text for name, text in os.environ.items() if name not in VARIABLES}
    if tool:
        environ["TOPVIEW_CREDITLIMIT"] = "1"
    else:
        (tmp_path / "workspace.yaml").write_text("load_from: []\n", encoding="utf-8")
        (tmp_path / ".env").write_text("TOPVIEW_CREDITLIMIT=1\n", encoding="utf-8")
        tool = ["-m", "topview_pipeline", "run"]
    environ |= {"PYTHONPATH": str(ROOT), "DAGSTER_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, *tool], cwd=tmp_path, env=environ, capture_output=True, text=True
    )
    said = "there is no setting TOPVIEW_CREDITLIMIT, it is ignored. Is TOPVIEW_CREDIT_LIMIT meant?"
    assert done.stderr.count(said) == 1, done.stderr
