"""`topview-pipeline run` as its users meet it: real processes, exit codes, sentences."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import pytest

from tests.cli.conftest import Project, ProjectOf, interrupt
from topview_pipeline.ledger import Ledger, TaskState


def ledger_of(project: Project) -> Ledger:
    """The project's ledger, opened from outside."""
    home = project.folder / ".topview"
    return Ledger(
        f"sqlite:///{home}/ledger.db",
        base_url=project.sandbox.base_url,
        uid=project.sandbox.uid,
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for a state of the world; a process that ends before it fails the test."""
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the state was never reached"
        time.sleep(0.02)


def test_a_second_run_pays_nothing_and_says_so(project_of: ProjectOf) -> None:
    project = project_of()
    project.products(2)
    first = project.run("run")
    assert (first.returncode, first.stderr) == (0, "")
    assert "6 made" in first.stdout
    paid = project.counters()["charged"]
    assert paid > 0

    second = project.run("run")

    assert second.returncode == 0
    assert "nothing was paid" in second.stdout
    assert project.counters()["charged"] == paid


@pytest.mark.slow
def test_good_rows_go_on_beside_bad_ones(project_of: ProjectOf) -> None:
    project = project_of()
    project.products(1)
    text = (project.folder / "catalogue.csv").read_text(encoding="utf-8")
    good = text.splitlines()[1]
    bad = good.replace("product-0,product-0.png", "product-bad,").replace("avatar2", "cinema")
    missing = good.replace("product-0,product-0.png", "product-gone,gone.png")
    (project.folder / "catalogue.csv").write_text(
        "\n".join([*text.splitlines(), bad, missing]) + "\n", encoding="utf-8"
    )

    ran = project.run("run")

    assert ran.returncode == 1
    assert "line 3, column mode" in ran.stdout
    assert "product-0 finishedVideo made" in ran.stdout
    assert "product-gone bgRemovedImage failed" in ran.stdout
    assert "gone.png" in ran.stdout
    assert project.counters()["submits"]["remove_background"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "changes", "said"),
    [
        ((), {"TOPVIEW_API_KEY": ""}, "TOPVIEW_API_KEY: it is not set"),
        ((), {"TOPVIEW_API_KEY": "wrong"}, "the account was refused"),
        ((), {"TOPVIEW_UID": "AnotherUid0000000000"}, "the account was refused"),
        ((), {"TOPVIEW_CATALOGUE": ""}, "TOPVIEW_CATALOGUE: it is not set"),
        ((), {"TOPVIEW_CATALOGUE": "gone.csv"}, "gone.csv: no such file"),
        ((), {"TOPVIEW_POLL_SECONDS": "soon"}, "TOPVIEW_POLL_SECONDS"),
        ((), {"DAGSTER_HOME": "relative"}, "Dagster needs an absolute path"),
        (("--product", "nobody"), {}, "has no product 'nobody'"),
        (("--stage", "cutout"), {}, "the stages are bgRemovedImage"),
        (("--force",), {}, "Name products, or add --yes"),
    ],
)
def test_what_cannot_start_is_one_sentence_and_exit_2(
    project_of: ProjectOf, arguments: tuple[str, ...], changes: dict[str, str], said: str
) -> None:
    project = project_of()
    project.products(1)

    ran = project.run("run", *arguments, **changes)

    assert ran.returncode == 2
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr + ran.stdout
    assert project.counters()["submits"] == {}


def test_a_misspelt_column_is_not_passed_over_in_silence(project_of: ProjectOf) -> None:
    project = project_of()
    project.products(1)
    path = project.folder / "catalogue.csv"
    head, *rows = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([f"{head},capton_id", *(f"{row}," for row in rows)]), "utf-8")
    assert "capton_id" in project.run("run", "--stage", "bgRemovedImage").stdout


def test_a_stage_without_the_one_before_it_says_what_to_do(project_of: ProjectOf) -> None:
    project = project_of()
    project.products(1)

    ran = project.run("run", "--stage", "finishedVideo")

    assert ran.returncode == 1
    assert "materialize replacedImages first" in ran.stdout
    assert project.counters()["submits"] == {}


@pytest.mark.slow
def test_ids_and_pictures_as_catalogues_have_them(project_of: ProjectOf) -> None:
    """Ids are data, and a photo that is none costs nothing."""
    project = project_of()
    project.products(1)
    (project.folder / "text.png").write_text("no picture", encoding="utf-8")
    good = {"image": "product-0.png", "script": "One."}
    project.write_catalogue(
        [
            {"product_id": "../../etc", **good},
            {"product_id": "Größe 42 🥾 / rot", **good},
            {"product_id": "x" * 200, **good},
            {"product_id": "broken", **good, "image": "text.png"},
        ]
    )

    ran = project.run("run", "--stage", "bgRemovedImage")

    assert ran.returncode == 1
    assert "text.png" in ran.stdout
    counters = project.counters()
    assert counters["succeeded"] == {"remove_background": 1}, "one photo, made once for all three"
    results = list(project.folder.rglob("result.json"))
    assert len(results) == 1
    assert results[0].is_relative_to(project.folder / ".topview" / "artifacts")


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "product_id,image\n", "name,price\nbottle,3\n", "\0\1"])
def test_a_catalogue_of_nothing_starts_nothing(project_of: ProjectOf, text: str) -> None:
    project = project_of()
    project.products(1)
    (project.folder / "catalogue.csv").write_text(text, encoding="utf-8")

    ran = project.run("run")

    assert ran.returncode == 2
    assert "catalogue.csv" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_without_dagster_home_one_is_chosen_and_said_and_its_yaml_is_kept(
    project_of: ProjectOf,
) -> None:
    project = project_of()
    project.products(1)

    ran = project.run("run", "--stage", "bgRemovedImage", DAGSTER_HOME="")

    home = project.folder / ".dagster_home"
    assert ran.returncode == 0
    assert ".dagster_home" in ran.stdout
    assert "dagster/backfill" in (home / "dagster.yaml").read_text(encoding="utf-8")
    mine = "telemetry:\n  enabled: false\n"
    (home / "dagster.yaml").write_text(mine, encoding="utf-8")
    project.run("run", "--stage", "bgRemovedImage", DAGSTER_HOME="")
    assert (home / "dagster.yaml").read_text(encoding="utf-8") == mine


@pytest.mark.slow
def test_wait_0_submits_what_fits_and_says_3_and_the_next_run_finishes(
    project_of: ProjectOf,
) -> None:
    project = project_of()
    project.products(2)

    ran = project.run("run", TOPVIEW_WAIT_SECONDS="0")

    assert ran.returncode == 3
    assert "pending" in ran.stdout
    assert project.run("run").returncode == 0
    counters = project.counters()
    assert counters["duplicates"] == 0
    assert counters["accepted"]["image2Video"] == 2


@pytest.mark.slow
def test_kill_9_in_the_middle_then_run_again_pays_nothing_twice(project_of: ProjectOf) -> None:
    """Killed while all slots are taken: then no submit is on its way, and nothing is unknown."""
    project = project_of(speed=5.0, concurrency=2)
    project.products(3)
    slots = {"TOPVIEW_MAX_CONCURRENT_TASKS": "2"}
    process = project.command("run", **slots)

    def both_slots_hold_scenes() -> bool:
        counters = project.counters()
        scenes = counters["accepted"].get("image_replace", 0)
        return counters["slots"]["busy"] == 2 and scenes >= 2 and _pending(project) == 2

    wait_for(both_slots_hold_scenes, process)
    process.kill()
    process.communicate()

    again = project.run("run", **slots)

    assert again.returncode == 0, again.stdout + again.stderr
    counters = project.counters()
    assert counters["duplicates"] == 0
    assert counters["orphans"] == 0
    assert counters["succeeded"]["image2Video"] == 3


def _pending(project: Project) -> int:
    if not (project.folder / ".topview" / "ledger.db").exists():
        return 0
    ledger = ledger_of(project)
    try:
        return len(ledger.tasks.in_state((TaskState.PENDING,)))
    finally:
        ledger.close()


@pytest.mark.slow
def test_ctrl_c_takes_back_what_was_not_submitted(project_of: ProjectOf) -> None:
    project = project_of(speed=10.0)
    project.products(4)
    process = project.command("run", TOPVIEW_MAX_CONCURRENT_TASKS="1")
    wait_for(lambda: project.counters()["accepted"].get("image_replace", 0) >= 1, process)
    interrupt(process)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 3, out + err
    assert "Traceback" not in err
    ledger = ledger_of(project)
    try:
        assert ledger.orders.open_orders() == []
        states = {row.state.value for row in ledger.tasks.all()}
    finally:
        ledger.close()
    assert "unknown" not in states
    assert "withdrawn" in out
    assert project.run("run").returncode == 0
    counters = project.counters()
    assert (counters["duplicates"], counters["orphans"]) == (0, 0)
