"""One `dagster dev` and all that happens to it: backfills, Re-execute, Terminate, kills, shutdowns.

Each test adds products of its own to the one shop, and leaves every product made and paid once.
Videos last for ever, until the test moves the sandbox's clock.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.execution.backfill import BulkActionStatus

from tests.defs.shop import ASSETS, REFUSED, Shop
from tests.postgres import Postgres
from tests.scenarios.conftest import SLOTS, open_shop
from tests.scenarios.dagster_processes import (
    QUICK,
    ROOT,
    DagsterDev,
    assert_paid_once,
    both_slots_make_videos,
    command,
    dagster_dev,
    time_passing,
)
from topview_pipeline.defs.instance import DAGSTER_YAML
from topview_pipeline.defs.jobs import CATCH_UP, MATERIALIZE_PRODUCTS, RESUME_TASKS
from topview_pipeline.ledger import TaskState
from topview_pipeline.ledger.schema import worker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

_A_VIDEO_LASTS = 600.0
_MEDIANS = {"remove_background": 0.05, "image_replace": 0.05, "image2Video": _A_VIDEO_LASTS}
_LONG = 2 * _A_VIDEO_LASTS


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Shop]:
    """Dagster's own storage is PostgreSQL here, and SQLite in every other scenario."""
    yaml = DAGSTER_YAML + postgres.dagster_storage()
    with open_shop(tmp_path_factory.mktemp("shop"), yaml, medians=_MEDIANS) as shop:
        shop.settings["TOPVIEW_WAIT_SECONDS"] = "300"
        yield shop


@pytest.fixture(scope="module")
def dev(shop: Shop) -> Iterator[DagsterDev]:
    """A code location of the user's own, with the asset of docs/downstream.md."""
    guide = (ROOT / "docs" / "downstream.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    file = shop.folder / "shop.py"
    file.write_text(f"import {QUICK}\n{example}", encoding="utf-8")
    with dagster_dev(shop, file) as dev:
        yield dev


def sells(shop: Shop, *names: str) -> tuple[str, ...]:
    """These products too, from now on."""
    shop.add(*names)
    shop.write()
    shop.register(shop.instance)
    return names


def runs_of(shop: Shop, job: str) -> list[dg.DagsterRun]:
    """All runs of a job, the first one first."""
    records = shop.instance.get_run_records(dg.RunsFilter(job_name=job), ascending=True)
    return [record.dagster_run for record in records]


def family(shop: Shop, run_id: str) -> list[dg.DagsterRun]:
    """A catch_up and the runs that Dagster started because it died."""
    return [run for run in runs_of(shop, CATCH_UP) if run_id in (run.run_id, run.root_run_id)]


def all_at_work(shop: Shop, *run_ids: str) -> bool:
    with shop.ledger() as ledger:
        found = ledger._database.rows(sa.select(worker.c.run_id))
    return {row.run_id for row in found} >= {*run_ids}


def launched(shop: Shop, dev: DagsterDev) -> str:
    """A catch_up, at the moment when both slots make videos."""
    run_id = dev.launch()
    dev.until(lambda: both_slots_make_videos(shop))
    return run_id


def all_ended(shop: Shop, *jobs: str) -> Callable[[], bool]:
    return lambda: all(run.is_finished for job in jobs for run in runs_of(shop, job))


def test_all_then_the_failed_one_then_again_and_a_range_by_every_button_and_command(
    shop: Shop, dev: DagsterDev
) -> None:
    """One run for all; the statuses are exact; what exists is free to ask for again.

    The user's asset in the backfill is made of every video and of no other.
    """
    names = sells(shop, "mug", "shoe", "bag")
    shop.rows["bag"] |= REFUSED
    shop.write()
    with time_passing(shop, _LONG):
        whole = dev.backfill(names, [*ASSETS, "shop_page"])
        assert dev.ended(whole) is BulkActionStatus.COMPLETED_FAILED
        page = dg.AssetKey("shop_page")
        of_pages = [page in (run.asset_selection or ()) for run in dev.runs_of(whole)]
        assert sorted(of_pages) == [False, True, True], "one run for all, then the user's own"
        assert shop.materialized("bgRemovedImage") == set(names)
        assert shop.failed("bgRemovedImage") == set()
        for asset in ASSETS[1:]:
            assert shop.materialized(asset) == {"mug", "shoe"}
            assert shop.failed(asset) == {"bag"}
        assert shop.materialized("shop_page") == {"mug", "shoe"}
        charged = shop.control.counters()["charged"]

        # A run of the command line, executed again from its failed op in the UI.
        ran = command(shop, "topview_pipeline", "run")
        assert ran.returncode == 1, ran.stdout + ran.stderr
        from_shell = runs_of(shop, CATCH_UP)[-1].run_id
        same = dev.execute_again(from_shell, "FROM_FAILURE")
        assert same.status is dg.DagsterRunStatus.FAILURE, "the bag is refused still, and not sent"
        assert same.root_run_id == from_shell
        assert same.step_keys_to_execute == ["produce"]
        assert shop.control.counters()["charged"] == charged

        mugs = shop.rows["mug"]["template_image"]
        shop.rows["bag"] |= {"template_image": mugs, "avatar_id": ""}
        shop.write()
        failed_only = dev.backfill(["bag"])
        assert dev.ended(failed_only) is BulkActionStatus.COMPLETED_SUCCESS
        charged = shop.control.counters()["charged"]

        fixed = dev.execute_again(from_shell, "ALL_STEPS")
        assert fixed.status is dg.DagsterRunStatus.SUCCESS

        ranged = dev.backfill(["shoe", "bag"])
        assert dev.ended(ranged) is BulkActionStatus.COMPLETED_SUCCESS
        (run,) = dev.runs_of(ranged)
        assert run.tags["dagster/asset_partition_range_start"] == "shoe"
        assert run.tags["dagster/asset_partition_range_end"] == "bag"

        by_command_line = job_backfill(shop, "mug", "bag")
        dev.until(lambda: [run.is_success for run in dev.runs_of(by_command_line)] == [True, True])
        partitions = {run.tags["dagster/partition"] for run in dev.runs_of(by_command_line)}
        assert partitions == {"mug", "bag"}

        # A catch-up that a shell launches runs where Dagster's runs do.
        asked = command(shop, "topview_pipeline", "run", "--product", "bag", "--launch", dev.url)
        assert asked.returncode == 0, asked.stdout + asked.stderr
        run_id = asked.stdout.split(f"{dev.url}/runs/")[1].strip()
        dev.until(lambda: dev.run(run_id).is_success)
    assert shop.control.counters()["charged"] == charged
    assert_paid_once(shop)


def job_backfill(shop: Shop, *products: str) -> str:
    """Launch a backfill of the asset job as a shell does; its id."""
    arguments = ["job", "backfill", "-w", str(shop.folder / "workspace.yaml")]
    arguments += ["-j", MATERIALIZE_PRODUCTS, "--noprompt", "--partitions", ",".join(products)]
    done = command(shop, "dagster", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split("Launched backfill job `")[1].split("`")[0]


def test_a_terminated_backfill_sends_nothing_more_and_three_runs_at_once_go_on_and_pay_once(
    shop: Shop, dev: DagsterDev
) -> None:
    """No video ends before two backfills and a catch_up are at work: they really overlap."""
    names = sells(shop, "cap", "pen", "hat", "tie")
    first = dev.backfill()
    dev.until(lambda: both_slots_make_videos(shop))
    sent = shop.accepted()

    dev.cancel(first)
    dev.until(lambda: all(run.is_finished for run in dev.runs_of(first)))
    assert {run.status for run in dev.runs_of(first)} == {dg.DagsterRunStatus.CANCELED}
    assert shop.accepted() == sent, "nothing was sent after it"

    backfills = [dev.backfill(names), dev.backfill(["pen"])]
    caught_up = dev.launch()
    dev.until(lambda: all(len(dev.runs_of(backfill)) == 1 for backfill in backfills))
    runs = [dev.runs_of(backfill)[0].run_id for backfill in backfills]
    dev.until(lambda: all_at_work(shop, caught_up, *runs))
    with time_passing(shop, _LONG):
        ended = [dev.ended(backfill) for backfill in backfills]
        dev.until(lambda: dev.run(caught_up).is_finished)

    assert ended == [BulkActionStatus.COMPLETED_SUCCESS] * 2
    assert dev.run(caught_up).status is dg.DagsterRunStatus.SUCCESS
    dev.until(all_ended(shop, RESUME_TASKS))
    assert_paid_once(shop)
    assert shop.control.counters()["slots"]["peak"] <= SLOTS


def test_runs_killed_by_kill_9_are_started_again_by_dagster(shop: Shop, dev: DagsterDev) -> None:
    """The retries make also what was not submitted yet, and the backfill's end is exact."""
    names = sells(shop, "cup", "jug", "pot")
    backfill = dev.backfill(names)
    dev.until(lambda: both_slots_make_videos(shop))
    (run,) = dev.runs_of(backfill)
    caught_up = dev.launch()
    dev.until(lambda: all_at_work(shop, caught_up, run.run_id))

    for run_id in (run.run_id, caught_up):
        dev.kill_run(run_id)

    with time_passing(shop, _LONG):
        assert dev.ended(backfill) is BulkActionStatus.COMPLETED_SUCCESS
        assert_made_by_retries(shop, dev, caught_up, deaths=1)
    statuses = sorted(run.status.value for run in dev.runs_of(backfill))
    assert statuses == ["FAILURE", "SUCCESS"]


def assert_made_by_retries(shop: Shop, dev: DagsterDev, run_id: str, *, deaths: int) -> None:
    """All is made, also what was not submitted yet, by the run that Dagster started from the kept
    plan after the last of these deaths."""
    dev.until(lambda: shop.materialized("finishedVideo") == set(shop.rows))
    dev.until(lambda: len(family(shop, run_id)) > deaths)
    dev.until(all_ended(shop, CATCH_UP, RESUME_TASKS))
    *dead, last = family(shop, run_id)
    assert [run.status for run in dead] == [dg.DagsterRunStatus.FAILURE] * deaths
    assert last.step_keys_to_execute == ["produce"]
    assert last.status is dg.DagsterRunStatus.SUCCESS
    assert_paid_once(shop)


def test_terminate_in_the_ui_sends_nothing_new_and_the_daemon_brings_home_what_was_sent(
    shop: Shop, dev: DagsterDev
) -> None:
    before = shop.materialized("finishedVideo")
    sells(shop, "fan", "bed", "mat")
    run_id = launched(shop, dev)
    dev.terminate(run_id)
    dev.until(lambda: dev.run(run_id).status is dg.DagsterRunStatus.CANCELED)
    sent = shop.accepted()
    assert sent["image2Video"] == len(before) + SLOTS

    shop.control.advance_clock(10 * _A_VIDEO_LASTS)
    dev.until(lambda: len(shop.materialized("finishedVideo") - before) == SLOTS)
    dev.until(all_ended(shop, RESUME_TASKS))

    assert shop.rows_in(TaskState.RESERVED, TaskState.UNKNOWN) == []
    assert shop.accepted() == sent
    assert len(family(shop, run_id)) == 1, "what a person stopped is not started again"
    assert shop.control.counters()["orphans"] == 0

    with time_passing(shop, _LONG):
        again = dev.launch()
        dev.until(lambda: dev.run(again).is_finished)
    assert_paid_once(shop)


def test_after_the_machine_was_cut_off_and_shut_down_each_new_daemon_goes_on_by_itself(
    shop: Shop, dev: DagsterDev
) -> None:
    """Code server, daemon, web server and run end at once; DAGSTER_HOME and the ledger stay.

    First by SIGKILL; then by SIGTERM for every process, as systemd or a container's end sends it:
    no person stopped the run.
    """
    sells(shop, "box", "jar", "tin")
    run_id = launched(shop, dev)
    dev.end(signal.SIGKILL)
    assert dev.run(run_id).status is dg.DagsterRunStatus.STARTED

    dev.start()

    dev.until(lambda: len(family(shop, run_id)) == 2)
    again = family(shop, run_id)[1].run_id
    dev.until(lambda: all_at_work(shop, again) and both_slots_make_videos(shop))
    dev.end(signal.SIGTERM)

    dev.start()

    with time_passing(shop, _LONG):
        assert_made_by_retries(shop, dev, run_id, deaths=2)
