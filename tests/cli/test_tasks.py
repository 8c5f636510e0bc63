"""`topview-pipeline tasks`: what a person sees and decides, against a running sandbox."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from click.testing import Result

from tests.cli.conftest import Invoke, Project
from tests.ledger.conftest import row_in
from topview_pipeline.ledger import Ledger, Task, TaskState

SCENE = "pa2_replace_product_image"
Tasks = Callable[..., Result]


@pytest.fixture
def ledger(project: Project) -> Iterator[Ledger]:
    opened = project.ledger()
    opened.workers.start("me", run_id="run")
    yield opened
    opened.close()


@pytest.fixture
def tasks(invoke: Invoke) -> Tasks:
    """Runs `topview-pipeline tasks ...` in this process."""
    return lambda *arguments, **changes: invoke("tasks", *arguments, **changes)


def lose(ledger: Ledger, product_id: str = "a", **changes: object) -> Task:
    """A scene whose submit's answer was lost."""
    return row_in(ledger, TaskState.UNKNOWN, product_id, **changes)


@pytest.mark.slow
def test_a_lost_answer_is_found_shown_and_adopted_and_nothing_is_paid_twice(
    project: Project, ledger: Ledger, tasks: Tasks
) -> None:
    project.products(1)
    assert project.run("run", "--stage", "bgRemovedImage").returncode == 0
    project.sandbox.set_faults(drop_submit=1.0)
    assert project.run("run").returncode == 3
    project.sandbox.set_faults()
    (row,) = ledger.unknowns.rows()
    charged = _wait_for_charge(project)

    listed = tasks("list", "--state", "unknown")
    assert listed.exit_code == 0
    assert f"{row.id}\tproduct-0\treplacedImages\tunknown" in listed.output
    assert f"tasks show {row.id}" in listed.output

    shown = tasks("show", str(row.id))
    assert shown.exit_code == 0, shown.output
    assert f"may be Topview task {charged}" in shown.output
    assert "productImageWithoutBackgroundFileId" in shown.output
    folder = project.home / "candidates" / str(row.id)
    pictures = sorted(file.name for file in folder.rglob("*.png"))
    assert pictures == ["cutout.png", "scene_1.png"]
    page = (folder / "index.html").read_text(encoding="utf-8")
    for file in folder.rglob("*.png"):
        assert f'src="{file.parent.name}/{file.name}"' in page

    asked = tasks("adopt", str(row.id), charged)
    assert asked.exit_code == 2
    assert "add --yes" in asked.output
    assert ledger.tasks.get(row.id).state is TaskState.UNKNOWN

    adopted = tasks("adopt", str(row.id), charged, "--yes", "--why", "the same cup")
    assert adopted.exit_code == 0, adopted.output
    assert "success" in adopted.output
    event = ledger.history.events(row.id)[-1]
    assert (event.what, event.detail["why"]) == ("pending", "the same cup")
    assert "@" in event.who

    submitted = project.sandbox.counters()["submits"]["image_replace"]
    assert project.run("run").returncode == 0
    counters = project.sandbox.counters()
    assert counters["submits"]["image_replace"] == submitted
    assert (counters["duplicates"], counters["orphan_tasks"]) == (0, [])


def _wait_for_charge(project: Project) -> str:
    """The id of the lost task, once Topview has finished it."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for one in project.sandbox.tasks():
            if one["kind"] == "image_replace" and one["cost"]:
                return str(one["id"])
        time.sleep(0.02)
    raise AssertionError("the lost task was never charged")


def test_reconcile_says_what_came_of_each_row(
    project: Project, ledger: Ledger, tasks: Tasks
) -> None:
    first, second = lose(ledger, "a"), lose(ledger, "b")
    charged = project.sandbox.add_credit_entry(SCENE, 2.0)
    ran = tasks("reconcile")
    assert ran.exit_code == 0
    assert f"task row {first.id} (a / replacedImages) stays unknown" in ran.output
    assert f"may also be that of task row {second.id}" in ran.output
    assert charged["task_id"] in ran.output
    assert "0 adopted, 0 void, 2 left unknown." in ran.output


def test_a_log_that_cannot_be_read_is_exit_1_and_settles_nothing(
    project: Project, ledger: Ledger, tasks: Tasks
) -> None:
    project.sandbox.revoke()
    ran = tasks("reconcile")
    assert (ran.exit_code, ran.stdout) == (0, "0 adopted, 0 void, 0 left unknown.\n")
    row = lose(ledger)
    ran = tasks("reconcile")
    assert ran.exit_code == 1
    assert "the account was refused" in ran.output
    assert ledger.tasks.get(row.id).state is TaskState.UNKNOWN


def test_void_says_what_was_booked_and_asks(project: Project, ledger: Ledger, tasks: Tasks) -> None:
    row = lose(ledger)
    charged = project.sandbox.add_credit_entry(SCENE, 2.0)
    asked = tasks("void", str(row.id), "--why", "not ours")
    assert asked.exit_code == 2
    assert f"may be Topview task {charged['task_id']}: 2 credits" in asked.output
    assert "paid again" in asked.output
    assert ledger.tasks.get(row.id).state is TaskState.UNKNOWN

    done = tasks("void", str(row.id), "--why", "not ours", "--yes")
    assert done.exit_code == 0
    event = ledger.history.events(row.id)[-1]
    assert (event.what, event.detail["why"]) == ("void", "not ours")
    assert "@" in event.who


def test_an_overdue_row_is_given_up_by_a_person_too(ledger: Ledger, tasks: Tasks) -> None:
    row = row_in(ledger, TaskState.OVERDUE)
    done = tasks("void", str(row.id), "--why", "made by hand", "--yes")
    assert done.exit_code == 0
    assert f"task topview-{row.id}: it may still end and be charged" in done.output
    assert ledger.tasks.get(row.id).state is TaskState.VOID


@pytest.mark.parametrize(
    ("arguments", "changes", "said"),
    [
        (("list", "--state", "lost"), {}, "'lost' is not one of"),
        (("list", "--stage", "cutout"), {}, "Stages: bgRemovedImage"),
        (("list",), {"TOPVIEW_UID": ""}, "TOPVIEW_UID: it is not set"),
        (("list", "--limit", "9" * 20), {}, "is not in the range"),
        (("show", "77"), {}, "task row 77: the ledger has no such row"),
        (("show", "9" * 20), {}, "is not in the range"),
        (("void", "9" * 20, "--why", "w"), {}, "is not in the range"),
        (("show", "1"), {"TOPVIEW_UID": "AnotherUid0000000000"}, "no such row of this account"),
        (("reconcile",), {"TOPVIEW_API_KEY": ""}, "TOPVIEW_API_KEY: it is not set"),
        (("adopt", "1", "x", "--yes"), {"TOPVIEW_API_KEY": ""}, "TOPVIEW_API_KEY: it is not set"),
        (("adopt", "1", "x", "--yes"), {}, "Topview knows no image_replace task x"),
        (("adopt", "2", "x", "--yes"), {}, "task row 2 (b / replacedImages) is pending"),
        (("adopt", "1", "x", "--yes"), {"TOPVIEW_API_KEY": "wrong"}, "the account was refused"),
        (("void", "2", "--why", "w", "--yes"), {}, "for unknown and overdue rows only"),
        (("void", "1"), {}, "Missing option '--why'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_2(
    ledger: Ledger, tasks: Tasks, arguments: tuple[str, ...], changes: dict[str, str], said: str
) -> None:
    lose(ledger, "a")
    row_in(ledger, TaskState.PENDING, "b")
    ran = tasks(*arguments, **changes)
    assert ran.exit_code == 2, ran.output
    assert said in ran.output
    assert "Traceback" not in ran.output
    states = [row.state for row in ledger.history.page(limit=9)[0][::-1]]
    assert states == [TaskState.UNKNOWN, TaskState.PENDING]


def test_show_without_a_key_shows_all_but_the_candidates(ledger: Ledger, tasks: Tasks) -> None:
    row = lose(ledger, request={"ttsText": "Hello. " * 100})
    shown = tasks("show", str(row.id), TOPVIEW_API_KEY="")
    assert shown.exit_code == 0
    key = "TOPVIEW_API_KEY is not set"
    for words in (key, "reserved by me", "unknown (was reserved) by me: lost", "..."):
        assert words in shown.output


def test_the_list_says_how_many_more_there_are(ledger: Ledger, tasks: Tasks) -> None:
    for number in range(4):
        lose(ledger, f"p{number}", estimate=2.0)
    lines = tasks("list", "--limit", "3").stdout.splitlines()
    assert [line.split()[1] for line in lines[1:4]] == ["p3", "p2", "p1"]
    assert "~2" in lines[1]
    assert lines[-1] == "... and 1 older row; --limit shows more"
    assert "no such task row" in tasks("list", "--product", "nobody").output
    assert len(tasks("list", "--product", "p2").stdout.splitlines()) == 2


def test_programs_read_the_rows_as_json(ledger: Ledger, tasks: Tasks) -> None:
    older, newer = lose(ledger), lose(ledger, "b")
    listed = json.loads(tasks("list", "--json", "--limit", "1").stdout)
    assert listed["total"] == 2
    (row,) = listed["rows"]
    assert (row["id"], row["product_id"], row["state"]) == (newer.id, "b", "unknown")
    none = json.loads(tasks("list", "--json", "--product", "nobody").stdout)
    assert none == {"rows": [], "total": 0}
    shown = json.loads(tasks("show", str(older.id), "--json").stdout)
    assert shown["fingerprint"] == older.fingerprint
    assert [event["what"] for event in shown["history"]] == ["reserved", "unknown"]


def test_the_key_is_in_nothing_that_is_said_or_saved(
    project: Project, ledger: Ledger, tasks: Tasks
) -> None:
    row = lose(ledger)
    project.sandbox.add_credit_entry(SCENE, 2.0)
    project.sandbox.add_credit_entry(SCENE, 2.0, api_key="sk-a-colleagues-key")
    said = tasks("reconcile").output + tasks("show", str(row.id)).output
    said += repr(ledger.history.events(row.id))
    for file in project.home.rglob("*"):
        said += file.read_bytes().decode("latin-1") if file.is_file() else ""
    for key in (project.sandbox.api_key, "sk-a-colleagues-key"):
        assert key not in said
    assert (project.home / "candidates" / str(row.id)).is_dir()
