"""`topview-pipeline run` as people meet it: real processes, exit codes, sentences."""

from __future__ import annotations

import signal
import sqlite3
import threading
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import IO

import pytest

from tests.catalogue.server import FileServer, serving
from tests.cli.conftest import Invoke, Project, ProjectOf, unsigned, wait_for
from topview_pipeline.ledger import TaskState

pytestmark = pytest.mark.timeout(240)

FREE = ("run", "--stage", "bgRemovedImage")


def test_a_second_run_pays_nothing_and_says_so(project: Project) -> None:
    project.products(2)
    first = project.run("run")
    assert (first.returncode, first.stderr) == (0, "")
    assert "6 made" in first.stdout
    assert "product-0 finishedVideo made in" in first.stdout
    paid = project.sandbox.counters()["charged"]
    assert f"{paid:g} credits." in first.stdout

    second = project.run("run")

    assert second.returncode == 0
    assert "nothing was paid" in second.stdout
    assert f"Files: {project.home}/store (" in second.stdout
    assert project.sandbox.counters()["charged"] == paid


@pytest.mark.slow
def test_good_rows_go_on_beside_bad_ones(project: Project) -> None:
    project.products(1)
    good = {"image": "product-0.png", "script": "One."}
    ids = ["product-0", "../../etc", "Größe 42 🥾 / rot"]
    bad = [{"product_id": "bad", "mode": "cinema"}, {"product_id": "gone", "image": "gone.png"}]
    project.write_catalogue([{**good, **row} for row in [{"product_id": n} for n in ids] + bad])

    ran = project.run("run")

    assert ran.returncode == 1
    assert "line 5, column mode" in ran.stdout
    assert "Größe 42 🥾 / rot finishedVideo made" in ran.stdout
    assert "gone bgRemovedImage failed" in ran.stdout
    assert "gone.png" in ran.stdout
    assert "gone replacedImages failed" not in ran.stdout, "one cause is one line"
    submits = project.sandbox.counters()["submits"]
    assert submits["remove_background"] == 1, "one photo, made once for all three"
    assert len(list(project.home.joinpath("store").rglob("index/*.json"))) == 3
    named = project.run("run", "--product", "bad")
    assert named.returncode == 1
    assert "bad bgRemovedImage failed: line 5, column mode" in named.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "changes", "said"),
    [
        ((), {"TOPVIEW_API_KEY": ""}, "TOPVIEW_API_KEY: it is not set"),
        ((), {"TOPVIEW_API_KEY": "wrong"}, "Copy TOPVIEW_UID and TOPVIEW_API_KEY from"),
        ((), {"TOPVIEW_STORE": "memory://x"}, "TOPVIEW_STORE: a store in memory is gone"),
        ((), {"TOPVIEW_HOME": "/proc/nope"}, "Let TOPVIEW_HOME, or TOPVIEW_LEDGER_URL, name"),
        ((), {"TOPVIEW_CREDITLIMIT": "1", "TOPVIEW_UID": ""}, "Is TOPVIEW_CREDIT_LIMIT meant?"),
        (("--credit-limit", "nan"), {}, "'nan' is not an amount of credits"),
        (("--credit-limit", "inf"), {}, "'inf' is not an amount of credits"),
        (("--credit-limit", "-1"), {}, "-1.0 is not in the range x>=0.0"),
        ((), {"TOPVIEW_UID": "AnotherUid0000000000"}, "the account was refused"),
        ((), {"TOPVIEW_CATALOGUE": ""}, "TOPVIEW_CATALOGUE: it is not set"),
        ((), {"TOPVIEW_CATALOGUE": "gone.csv"}, "gone.csv: no such file"),
        ((), {"TOPVIEW_POLL_SECONDS": "soon"}, "TOPVIEW_POLL_SECONDS"),
        ((), {"TOPVIEW_STOR": "x", "TOPVIEW_UID": ""}, "no setting TOPVIEW_STOR"),
        ((), {"DAGSTER_HOME": "relative"}, "Dagster needs an absolute path"),
        (("--product", "nobody"), {}, "has no product 'nobody'"),
        (("--stage", "cutout"), {}, "Stages: bgRemovedImage"),
        (("--force",), {}, "There is nobody to ask: add --yes"),
        (("--limit", "0"), {}, "x>=1"),
    ],
)
def test_what_cannot_start_is_one_sentence_and_exit_2(
    project: Project, arguments: tuple[str, ...], changes: dict[str, str], said: str
) -> None:
    project.products(1)
    assert said in project.refused("run", *arguments, **changes)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "product_id,image\n", "name,price\nbottle,3\n", "\0\1"])
def test_a_catalogue_of_nothing_starts_nothing(project: Project, text: str) -> None:
    (project.folder / "catalogue.csv").write_text(text, encoding="utf-8")
    assert "catalogue.csv" in project.refused("run")


@pytest.mark.slow
def test_a_misspelt_column_is_not_passed_over_in_silence(project: Project) -> None:
    project.products(1)
    path = project.folder / "catalogue.csv"
    head, *rows = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([f"{head},capton_id", *(f"{row}," for row in rows)]), "utf-8")
    assert "capton_id" in project.run(*FREE).stdout


def test_a_misspelt_column_that_spoils_every_row_is_hinted_at(project: Project) -> None:
    project.products(2)
    path = project.folder / "catalogue.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("script", "scirpt", 1), "utf-8")
    assert "'scirpt' is not known and ignored; is script meant?" in project.refused("run")


@pytest.mark.slow
def test_a_stage_without_the_one_before_it_says_what_to_do(project: Project) -> None:
    project.products(1)

    ran = project.run("run", "--stage", "finishedVideo")

    assert ran.returncode == 1
    assert "What to do: Materialize replacedImages first" in ran.stdout
    assert project.sandbox.counters()["submits"] == {}


@pytest.mark.slow
def test_a_catalogue_that_lost_its_products_is_refused_until_somebody_accepts_it(
    project: Project,
) -> None:
    project.products(10)
    assert project.run(*FREE).returncode == 0
    project.products(4)

    for named in ((), ("--force", "--product", "product-0")):
        assert "6 of its 10 products are gone" in project.refused(*FREE, *named)
    assert "6 of its 10 products are gone" in project.refused("plan")
    accepted = project.run(*FREE, "--accept-change")
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    assert project.run("plan").returncode == 0


@pytest.mark.slow
def test_without_dagster_home_one_is_chosen_and_said_and_its_yaml_is_kept(
    project: Project,
) -> None:
    project.products(1)

    ran = project.run(*FREE, DAGSTER_HOME="")

    yaml = project.folder / ".dagster_home" / "dagster.yaml"
    assert ran.returncode == 0
    assert ".dagster_home" in ran.stderr
    assert "dagster/backfill" in yaml.read_text(encoding="utf-8")
    mine = "telemetry:\n  enabled: false\n"
    yaml.write_text(mine, encoding="utf-8")
    project.run(*FREE, DAGSTER_HOME="")
    assert yaml.read_text(encoding="utf-8") == mine


@pytest.mark.slow
def test_wait_0_submits_what_fits_and_says_3_and_the_next_run_finishes(project: Project) -> None:
    project.products(2)

    ran = project.run("run", TOPVIEW_WAIT_SECONDS="0")

    assert ran.returncode == 3
    assert "Products not finished: 2 held." in ran.stdout
    assert project.run("run").returncode == 0
    counters = project.sandbox.counters()
    assert counters["duplicates"] == 0
    assert counters["accepted"]["image2Video"] == 2


def _pending(project: Project) -> int:
    if not (project.home / "ledger.db").exists():
        return 0
    with closing(project.ledger()) as ledger:
        return len(ledger.tasks.in_state((TaskState.PENDING,)))


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_kill_9_in_the_middle_then_run_again_pays_nothing_twice(project_of: ProjectOf) -> None:
    """Killed while all slots are taken: then no submit is on its way, and nothing is unknown."""
    project = project_of(speed=5.0, concurrency=2)
    project.products(3)
    slots = {"TOPVIEW_SLOTS": "2"}
    process = project.command("run", **slots)

    def both_slots_hold_scenes() -> bool:
        counters = project.sandbox.counters()
        scenes = counters["accepted"].get("image_replace", 0)
        return counters["slots"]["busy"] == 2 and scenes >= 2 and _pending(project) == 2

    wait_for(both_slots_hold_scenes, process)
    process.kill()
    process.communicate()

    again = project.run("run", **slots)

    assert again.returncode == 0, again.stdout + again.stderr
    assert "reused at no cost" in again.stdout
    counters = project.sandbox.counters()
    assert counters["duplicates"] == 0
    assert counters["orphans"] == 0
    assert counters["succeeded"]["image2Video"] == 3


@pytest.mark.slow
def test_ctrl_c_sends_nothing_more_and_the_next_run_collects_what_is_at_topview(
    project_of: ProjectOf,
) -> None:
    project = project_of(speed=10.0)
    project.products(4)
    process = project.command("run", TOPVIEW_SLOTS="1")
    wait_for(lambda: project.sandbox.counters()["accepted"].get("image_replace", 0) >= 1, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 130, out + err
    assert "Traceback" not in out + err
    with closing(project.ledger()) as ledger:
        assert not ledger.tasks.in_state((TaskState.RESERVED, TaskState.UNKNOWN))
        left = len(ledger.tasks.in_state((TaskState.PENDING, TaskState.SUCCEEDED)))
        assert ledger.workers.alive() == set()
    tasks = "1 task" if left == 1 else f"{left} tasks"
    said = (
        f"On the way at Topview: {tasks}, about " if left else "No task of this run is on the way"
    )
    assert said in out
    assert project.run("run").returncode == 0
    counters = project.sandbox.counters()
    assert (counters["duplicates"], counters["orphans"]) == (0, 0)


# Places that cannot be used.


@pytest.mark.slow
def test_a_base_url_that_is_a_website_leaves_no_ledger(project: Project) -> None:
    project.products(1)
    with serving(FileServer()) as website:
        said = project.refused("run", TOPVIEW_BASE_URL=website.url)
    assert "TOPVIEW_BASE_URL" in said
    assert "not Topview" in said
    assert not (project.home / "ledger.db").exists()


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["TOPVIEW_HOME", "TOPVIEW_STORE", "DAGSTER_HOME"])
def test_a_file_where_a_folder_must_be_is_said(project: Project, variable: str) -> None:
    """As root nothing is unwritable, so a file stands in the way instead."""
    project.products(1)
    (project.folder / "file").write_text("in the way", encoding="utf-8")
    assert "file" in project.refused("run", **{variable: str(project.folder / "file")})


# A ledger in trouble.


def _made_once(project: Project) -> Path:
    """The ledger of a project that has a product more than it knows."""
    project.products(1)
    assert project.run(*FREE).returncode == 0
    project.products(2)
    return project.home / "ledger.db"


@pytest.mark.slow
def test_a_damaged_ledger_starts_nothing_and_is_left_as_it_is(project: Project) -> None:
    ledger = _made_once(project)
    content = ledger.read_bytes()
    for damaged in (b"no database" * 100, content[:4096] + b"\xa5" * (len(content) - 4096)):
        ledger.write_bytes(damaged)
        (said,) = project.refused("run").splitlines()
        assert said.startswith("topview-pipeline: ledger")
        assert ledger.read_bytes()[:100] == damaged[:100]


@pytest.mark.slow
def test_a_ledger_that_another_program_locks_starts_nothing(
    project: Project, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("topview_pipeline.ledger.database.LOCK_WAIT_SECONDS", 0.05)
    with closing(sqlite3.connect(_made_once(project), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        ran = invoke(*FREE)
        other.execute("ROLLBACK")
    assert ran.exit_code == 2, ran.output
    assert "locked" in ran.output
    assert len(unsigned(ran.output).splitlines()) == 2, "the first word, and why not"
    assert project.sandbox.counters()["submits"] == {"remove_background": 1}
    assert project.run(*FREE).returncode == 0
    assert project.sandbox.counters()["duplicates"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_locked_ledger_is_waited_for_with_a_sign_of_life(project: Project, command: str) -> None:
    """A script heard nothing for 30 s."""
    with closing(sqlite3.connect(_made_once(project), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        process = project.command(command, "--json")
        spoke: list[tuple[float, str]] = []

        def listen(stream: IO[str]) -> None:
            spoke.extend((time.monotonic() - began, line) for line in stream)

        assert process.stdout is not None
        assert process.stderr is not None
        threads = [
            threading.Thread(target=listen, args=[stream])
            for stream in (process.stdout, process.stderr)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert process.wait(10) == 2, spoke
    times = [0.0, *sorted(at for at, _ in spoke), time.monotonic() - began]
    assert times[1] < 2.5, spoke  # a second, and the start of Python
    assert max(after - before for before, after in pairwise(times)) < 10.5, spoke
    assert times[-1] > 20.0, spoke
