"""`topview-pipeline tasks`: what a person sees and decides, against a running sandbox."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.cli.conftest import Project, ProjectOf
from tests.ledger.conftest import order, pend, reserve
from topview_pipeline.cli import main
from topview_pipeline.environment import VARIABLES
from topview_pipeline.ledger import Ledger, Task, TaskState
from topview_pipeline.sandbox.control import Control

SCENE = "pa2_replace_product_image"
Tasks = Callable[..., Result]


@pytest.fixture
def project(project_of: ProjectOf) -> Project:
    return project_of()


@pytest.fixture
def ledger(project: Project) -> Iterator[Ledger]:
    opened = Ledger(
        f"sqlite:///{project.folder}/.topview/ledger.db",
        base_url=project.sandbox.base_url,
        uid=project.sandbox.uid,
    )
    yield opened
    opened.close()


@pytest.fixture
def control(project: Project) -> Iterator[Control]:
    with Control(project.sandbox.base_url) as control:
        yield control


@pytest.fixture
def tasks(project: Project, monkeypatch: pytest.MonkeyPatch) -> Tasks:
    """Runs `topview-pipeline tasks ...` in this process, in the project's folder."""
    monkeypatch.chdir(project.folder)
    unset = {variable.name: None for variable in VARIABLES}

    def invoke(*arguments: str, **changes: str) -> Result:
        environment = {**unset, **project.environment, **changes}
        return CliRunner().invoke(main, ["tasks", *arguments], env=environment)

    return invoke


def lose(ledger: Ledger, product_id: str = "a", **changes: object) -> Task:
    """A scene whose submit's answer was lost."""
    row = reserve(ledger, order(ledger, product_id), slots=50, **changes)
    return ledger.tasks.ended(row.id, TaskState.UNKNOWN, why="the answer was lost", who="me")


@pytest.mark.slow
def test_a_lost_answer_is_found_shown_and_adopted_and_nothing_is_paid_twice(
    project: Project, control: Control, ledger: Ledger, tasks: Tasks
) -> None:
    project.products(1)
    assert project.run("run", "--stage", "bgRemovedImage").returncode == 0
    control.set_faults(drop_submit=1.0)
    assert project.run("run").returncode == 3
    control.set_faults()
    (row,) = ledger.unknowns.rows()
    charged = _wait_for_charge(control)

    listed = tasks("list", "--state", "unknown")
    assert listed.exit_code == 0
    assert f"{row.id}  product-0  replacedImages  unknown" in listed.output
    assert f"tasks show {row.id}" in listed.output

    shown = tasks("show", str(row.id))
    assert shown.exit_code == 0, shown.output
    assert f"may be Topview task {charged}" in shown.output
    assert "productImageWithoutBackgroundFileId" in shown.output
    folder = project.folder / ".topview" / "candidates" / str(row.id)
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
    event = ledger.browsing.history(row.id)[-1]
    assert (event.what, event.detail["why"]) == ("pending", "the same cup")
    assert "@" in event.who

    submitted = project.counters()["submits"]["image_replace"]
    assert project.run("run").returncode == 0
    counters = project.counters()
    assert counters["submits"]["image_replace"] == submitted
    assert (counters["duplicates"], counters["orphan_tasks"]) == (0, [])


def _wait_for_charge(control: Control) -> str:
    """The id of the lost task, once Topview has finished it."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        done = [one for one in control.tasks() if one["kind"] == "image_replace" and one["cost"]]
        if done:
            return str(done[0]["id"])
        time.sleep(0.02)
    raise AssertionError("the lost task was never charged")


def test_reconcile_says_what_came_of_each_row(
    control: Control, ledger: Ledger, tasks: Tasks
) -> None:
    first, second = lose(ledger, "a"), lose(ledger, "b")
    charged = control.add_credit_entry(SCENE, 2.0)
    ran = tasks("reconcile")
    assert ran.exit_code == 0
    assert f"task row {first.id} (a / replacedImages) stays unknown" in ran.output
    assert f"may also be that of task row {second.id}" in ran.output
    assert charged["task_id"] in ran.output
    assert "0 adopted, 0 released, 2 left unknown." in ran.output


def test_reconcile_releases_what_two_looks_two_deadlines_apart_do_not_find(
    control: Control, ledger: Ledger, tasks: Tasks
) -> None:
    row = lose(ledger, deadline_seconds=30.0)
    assert "waits until" in tasks("reconcile").output
    control.advance_clock(62.0)
    ran = tasks("reconcile")
    assert "1 released" in ran.output
    assert ledger.tasks.get(row.id).state is TaskState.RELEASED


def test_an_account_of_ours_alone_asks_topview_before_it_adopts(
    control: Control, ledger: Ledger, tasks: Tasks
) -> None:
    row = lose(ledger)
    control.add_credit_entry(SCENE, 2.0, task_id="no-task-of-the-sandbox")
    ran = tasks("reconcile", TOPVIEW_ACCOUNT_EXCLUSIVE="true")
    assert "does not know the task" in ran.output
    assert ledger.tasks.get(row.id).state is TaskState.UNKNOWN


def test_a_log_that_cannot_be_read_is_exit_1_and_settles_nothing(
    control: Control, ledger: Ledger, tasks: Tasks
) -> None:
    row = lose(ledger)
    control.revoke()
    ran = tasks("reconcile")
    assert ran.exit_code == 1
    assert "the account was refused" in ran.output
    assert ledger.tasks.get(row.id).state is TaskState.UNKNOWN


def test_nothing_unknown_asks_topview_for_nothing(control: Control, tasks: Tasks) -> None:
    control.revoke()
    ran = tasks("reconcile")
    assert (ran.exit_code, ran.output) == (0, "0 adopted, 0 released, 0 left unknown.\n")


def test_release_tells_what_was_booked_and_asks(
    control: Control, ledger: Ledger, tasks: Tasks
) -> None:
    row = lose(ledger)
    charged = control.add_credit_entry(SCENE, 2.0)
    asked = tasks("release", str(row.id), "--why", "not ours")
    assert asked.exit_code == 2
    assert f"it may be Topview task {charged['task_id']}: 2 credits" in asked.output
    assert "paid again" in asked.output
    assert ledger.tasks.get(row.id).state is TaskState.UNKNOWN

    done = tasks("release", str(row.id), "--why", "not ours", "--yes")
    assert done.exit_code == 0
    event = ledger.browsing.history(row.id)[-1]
    assert (event.what, event.detail["why"]) == ("released", "not ours")
    assert "@" in event.who


def test_a_stalled_row_is_released_by_a_person_too(ledger: Ledger, tasks: Tasks) -> None:
    row = pend(ledger, reserve(ledger, order(ledger)))
    ledger.tasks.ended(row.id, TaskState.STALLED, why="late", who="me")
    done = tasks("release", str(row.id), "--why", "made by hand", "--yes")
    assert done.exit_code == 0
    assert f"task topview-{row.id}, which may still end and be charged" in done.output
    assert ledger.tasks.get(row.id).state is TaskState.RELEASED


@pytest.mark.parametrize(
    ("arguments", "changes", "said"),
    [
        (("list", "--state", "lost"), {}, "there is no state 'lost'"),
        (("list", "--stage", "cutout"), {}, "the stages are bgRemovedImage"),
        (("list",), {"TOPVIEW_UID": ""}, "TOPVIEW_UID: it is not set"),
        (("show", "77"), {}, "has no task row 77"),
        (("show", "1"), {"TOPVIEW_UID": "AnotherUid0000000000"}, "has no task row 1"),
        (("reconcile",), {"TOPVIEW_API_KEY": ""}, "TOPVIEW_API_KEY: it is not set"),
        (("adopt", "1", "x", "--yes"), {"TOPVIEW_API_KEY": ""}, "TOPVIEW_API_KEY: it is not set"),
        (("adopt", "1", "x", "--yes"), {}, "Topview knows no image_replace task x"),
        (("adopt", "1", "topview-2", "--yes"), {}, "is task row 2's already"),
        (("adopt", "2", "x", "--yes"), {}, "task row 2 (b / replacedImages) is pending"),
        (("adopt", "1", "x", "--yes"), {"TOPVIEW_API_KEY": "wrong"}, "the account was refused"),
        (("release", "2", "--why", "w", "--yes"), {}, "is pending; only unknown and stalled"),
        (("release", "1"), {}, "Missing option '--why'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_2(
    ledger: Ledger, tasks: Tasks, arguments: tuple[str, ...], changes: dict[str, str], said: str
) -> None:
    lose(ledger, "a")
    pend(ledger, reserve(ledger, order(ledger, "b")))
    ran = tasks(*arguments, **changes)
    assert ran.exit_code == 2, ran.output
    assert said in ran.output
    assert "Traceback" not in ran.output
    states = [row.state for row in ledger.tasks.all()]
    assert states == [TaskState.UNKNOWN, TaskState.PENDING]


def test_show_without_a_key_tells_all_but_the_candidates(ledger: Ledger, tasks: Tasks) -> None:
    row = lose(ledger, request={"ttsText": "Hello. " * 100})
    shown = tasks("show", str(row.id), TOPVIEW_API_KEY="")
    assert shown.exit_code == 0
    assert "TOPVIEW_API_KEY is not set" in shown.output
    assert "reserved by me" in shown.output
    assert "unknown (was reserved) by me : the answer was lost" in shown.output
    assert "..." in shown.output


def test_the_list_says_how_many_more_there_are(ledger: Ledger, tasks: Tasks) -> None:
    for number in range(4):
        lose(ledger, f"p{number}", estimate=2.0)
    listed = tasks("list", "--limit", "3")
    assert listed.exit_code == 0
    lines = listed.output.splitlines()
    assert [line.split()[1] for line in lines[1:4]] == ["p3", "p2", "p1"]
    assert "~2" in lines[1]
    assert lines[-1] == "... and 1 older ones; --limit shows more"
    assert "no such task row" in tasks("list", "--product", "nobody").output
    assert len(tasks("list", "--product", "p2").output.splitlines()) == 2


def test_the_key_is_in_nothing_that_is_said_or_saved(
    project: Project, control: Control, ledger: Ledger, tasks: Tasks
) -> None:
    row = lose(ledger)
    control.add_credit_entry(SCENE, 2.0)
    control.add_credit_entry(SCENE, 2.0, api_key="sk-a-colleagues-key")
    said = tasks("reconcile").output + tasks("show", str(row.id)).output
    said += repr(ledger.browsing.history(row.id))
    for file in (project.folder / ".topview").rglob("*"):
        said += file.read_bytes().decode("latin-1") if file.is_file() else ""
    for key in (project.sandbox.api_key, "sk-a-colleagues-key"):
        assert key not in said
    assert Path(project.folder / ".topview" / "candidates" / str(row.id)).is_dir()
