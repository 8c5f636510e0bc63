"""Progress that misleads: a stage counted twice or not at all, an outcome that hides a trouble."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tests.stages.fakes import row
from topview_pipeline.cli.console import sign
from topview_pipeline.cli.progress import Left, Progress, say_outcome, summary_of, table_of
from topview_pipeline.cli.watcher import Watcher
from topview_pipeline.defs.events import Planned
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.engine import Failed, Held, HoldReason, Made, Observed
from topview_pipeline.ledger import LedgerError, Task, TaskState
from topview_pipeline.plan import Forecast
from topview_pipeline.settings import PipelineConfig
from topview_pipeline.stages import STAGES

RUN = "this run"
KEYS = [stage.key for stage in STAGES]
CUT_OUT, SCENE, VIDEO = KEYS
OF_TASK = {"work": "w", "fingerprint": "f", "run_id": RUN, "root_run_id": RUN}
TIMES = {"pending_at": 1.0, "succeeded_at": 4.0}
TASK = row(**OF_TASK, **TIMES, stage=CUT_OUT, product_id="mug", cost_credits=2.0)


def made(product: str = "mug", stage: str = CUT_OUT, **task: object) -> Made:
    return Made(product, stage, replace(TASK, **task), {})  # type: ignore[arg-type]


def failed(product: str = "mug", stage: str = CUT_OUT, what: str = "no", fix: str = "") -> Failed:
    return Failed(product, stage, what, fix)


def held(product: str = "mug", stage: str = CUT_OUT, what: str = "off", fix: str = "") -> Held:
    return Held(product, stage, HoldReason.DAY_LIMIT, what, fix)


def planned(*products: str) -> Planned:
    return Planned(dict.fromkeys(products, KEYS), Forecast((), 0.0))


def progress_of(*events: Made | Failed | Held) -> Progress:
    """The progress of a run that wants every stage of the products in these events."""
    progress = Progress(RUN)
    progress.add(planned(*(event.product_id for event in events)))
    for event in events:
        progress.add(event)
    return progress


def outcome(progress: Progress) -> list[str]:
    file = io.StringIO()
    say_outcome(Console(file=file, width=200), progress)
    return file.getvalue().splitlines()


def test_a_product_waits_for_a_slot_only_when_the_stage_before_and_its_files_are_there() -> None:
    """A run with a photo that hangs waited "for a slot"; its last seconds were shown as waiting."""
    progress = Progress(RUN)
    progress.add(planned("mug"))
    assert summary_of(progress.phases(())) == (
        "3 to make: 1 reading photos and other files, 2 waiting for the stage before"
    )
    progress.add(made())
    progress.add(Observed("mug", {"productScene": "1"}))
    assert {key: dict(one) for key, one in progress.phases(()).items()} == {
        CUT_OUT: {"done": 1},
        SCENE: {"queued": 1},
        VIDEO: {"later": 1},
    }
    # Finished at Topview it is running, until Dagster has it.
    for at_topview in ({("mug", SCENE)}, ()):
        assert progress.phases(at_topview)[SCENE] == {"running": 1}
    progress.add(made(stage=SCENE))
    assert progress.phases(())[SCENE] == {"done": 1}


def test_credits_are_of_this_run_and_shared_tasks_count_once() -> None:
    progress = progress_of(
        made(), made("cup"), made("pan", id=9, run_id="another run", cost_credits=50.0)
    )
    assert progress.credits == 2.0
    assert outcome(progress)[0] == "2 made, 1 reused at no cost, 2 credits."
    nothing = "Everything is up to date: nothing was submitted, nothing was paid."
    assert outcome(progress_of()) == [nothing]


def test_what_an_orphan_brings_in_after_it_was_held_is_made() -> None:
    """An unknown row that the last look at the credit log found."""
    progress = progress_of(held())
    progress.add(replace(made(), wanted=False))
    assert progress.phases(())[CUT_OUT] == {"done": 1}
    assert len(outcome(progress)) == 1


@pytest.mark.parametrize(
    ("events", "bad_rows", "code"),
    [
        ([made(stage=key) for key in KEYS], False, 0),
        ([made(stage=key) for key in KEYS], True, 1),
        ([made(), made(stage=SCENE), failed(stage=VIDEO)], False, 1),
        ([made(), made(stage=SCENE), held(stage=VIDEO)], False, 3),
        ([failed(), held("cup")], False, 1),
        ([made()], False, 3),  # stopped
        ([], False, 0),
    ],
)
def test_exit_codes(events: list[Made | Failed | Held], bad_rows: bool, code: int) -> None:
    assert progress_of(*events).exit_code(bad_rows=bad_rows) == code
    assert Progress(RUN).exit_code(bad_rows=False) == 3, "stopped before its plan"


def test_no_event_is_kept_in_memory() -> None:
    """Those of 10,000 products hold requests and answers: hundreds of megabytes."""
    progress = progress_of(made(), held(stage=SCENE))
    kept = [value for name, value in vars(progress).items() if name != "wanted"]
    assert "Task(" not in repr(kept)


def test_the_table_is_whole_in_narrow_terminals() -> None:
    progress = Progress(RUN)
    progress.add(planned(*map(str, range(10_000))))
    for number in range(2500):
        for key in KEYS:
            progress.add(made(str(number), key, id=number))
            progress.add(held(str(number + 2500), key))
            progress.add(failed(str(number + 5000), key))
    phases = progress.phases({("7500", CUT_OUT)})
    for width, cells in ((60, 1), (79, 1), (80, 2)):
        file = io.StringIO()
        table = table_of(phases, "12,345.5 credits, about 3 min left", width)
        Console(file=file, width=width, no_color=True).print(table)
        lines = [line.rstrip() for line in file.getvalue().splitlines()]
        assert max(map(len, lines)) <= width
        names = ["stage", "done", "running", "queued", "later", "held", "failed"]
        assert lines[0].split() == names
        assert lines[1].split()[cells:] == ["2500/10000", "1", "2499", "-", "2500", "2500"]
        assert "…" not in "".join(lines)
        assert "queued: waits for its files or a slot" in file.getvalue()


def test_a_log_has_a_line_for_each_stage_that_ended_and_one_for_each_failed_product() -> None:
    progress = Progress(RUN)
    events = [
        planned("mug", "shoe"),
        made(),
        made("shoe", run_id="before"),
        held(stage=SCENE),
        failed("shoe", SCENE, "no face was found"),
        failed("shoe", VIDEO, "the scene of this product failed"),
    ]
    assert [progress.add(event)[0] for event in events] == [
        "To make: 6 stages of 2 products, 0 new tasks, about 0 credits, about 0 s.",
        "mug bgRemovedImage made in 3.0 s, 2 credits",
        "shoe bgRemovedImage reused at no cost",
        None,
        "shoe replacedImages failed: no face was found",
        None,
    ]
    assert summary_of(progress.phases(())) == (
        "6 to make: 2 done, 1 reading photos and other files, 1 held, 2 failed"
    )


def test_one_product_is_one_entry_that_begins_with_the_cause() -> None:
    """One wrong photo was three failures, each with the same advice, and the cause came last."""
    progress = progress_of(
        failed(what="no face was found.", fix="change the template"),
        failed(stage=SCENE, what="the cut-out of this product failed"),
        failed(stage=VIDEO, what="the cut-out of this product failed"),
        held("cup", fix="run again tomorrow"),
        held("cup", SCENE, "waits for the cut-out"),
    )
    assert outcome(progress) == [
        "0 made, 0 credits.",
        "Products not finished: 1 failed, 1 held.",
        "mug bgRemovedImage failed: no face was found.",
        "  What to do: change the template",
        "  Not made because of it: replacedImages, finishedVideo",
        "cup bgRemovedImage held: off.",
        "  What to do: run again tomorrow",
        "  Not made because of it: replacedImages",
    ]


def test_causes_that_differ_by_a_number_are_one_entry_that_is_nobodys_own() -> None:
    """It was as if the first one's photo were everybody's."""
    causes = [(f"p{number}", f"p{number}.png hangs", f"fix p{number}") for number in range(6)]
    hung = progress_of(*(failed(name, what=what, fix=fix) for name, what, fix in causes))
    assert outcome(hung)[2:] == [
        "6 products, bgRemovedImage failed: p….png hangs.",
        "  Products: p0, p1, p2, p3, p4, p5",
        "  What to do: fix p…",
    ]


def stopped(*tasks: Task, **options: bool) -> list[str]:
    unsent = [("cup", CUT_OUT), ("cup", SCENE), ("pan", SCENE)]
    return list(Left(tasks, 0, unsent).lines(**{"has_daemon": False, **options}))


def test_a_stop_says_what_is_on_the_way_apart_from_what_was_never_sent() -> None:
    """Four paid tasks were called withdrawn before they were sent."""
    tasks = (replace(TASK, cost_credits=None, estimate=1.0), replace(TASK, cost_credits=0.5))
    first, who, unsent = stopped(*tasks)
    assert first == "Stopped. In progress at Topview: 2 tasks, about 1.5 credits."
    assert "run again within 7 days" in who
    assert unsent == "  Never sent: 3 stages of 2 products; run again to make them."
    assert "pending_task_sensor" in stopped(*tasks, has_daemon=True)[1]
    unpriced = stopped(replace(TASK, cost_credits=None))[0]
    assert unpriced.endswith("1 task, about 0 credits and 1 of unknown price.")
    assert stopped()[0] == "Stopped. No task of this run is in progress at Topview."


@pytest.mark.parametrize("state", [TaskState.PENDING, TaskState.OVERDUE])
def test_a_product_that_shares_anothers_task_was_sent(state: TaskState) -> None:
    """The task of two products with one photo counted as sent for the first alone."""
    progress = Progress(RUN)
    prints = {("mug", CUT_OUT): "f", ("cup", CUT_OUT): "f", ("pan", CUT_OUT): "g"}
    progress.add(replace(planned("mug", "cup", "pan"), fingerprints=prints))
    row = replace(TASK, state=state, cost_credits=None, estimate=0.5)
    asked: list[TaskState] = []

    def in_state(states: tuple[TaskState, ...]) -> list[Task]:
        asked.extend(states)
        return [row, replace(row, id=2, product_id="pot", run_id="other", fingerprint="h")]

    ledger: Any = SimpleNamespace(tasks=SimpleNamespace(in_state=in_state))
    for first in ("mug", "pot"):  # another run may have sent it, for a product that is not wanted
        row = replace(row, product_id=first, run_id="other")
        left = Left.of(progress, ledger, RUN)
        assert state in asked
        assert [task.id for task in left.at_topview] == [1]
        unsent = {product for product, stage in left.unsent if stage == CUT_OUT}
        assert unsent == {"pan"}
    assert next(left.lines(has_daemon=False)).endswith("Topview: 1 task, about 0.5 credits.")


def watched(as_json: bool, capsys: pytest.CaptureFixture[str]) -> Iterator[str]:
    """The lines of a watcher, each second of two minutes, of which the last 80 s have a plan."""
    now = 0.0
    topview = TopviewResource(PipelineConfig())
    console = Console(width=200)
    watcher = Watcher(topview, RUN, console, as_json=as_json, clock=lambda: now)
    ledger: Any = SimpleNamespace(
        tasks=SimpleNamespace(in_state=lambda _: locked() if now > 80 else [])
    )

    def locked() -> list[Task]:
        raise LedgerError("it is locked")

    for second in range(120):
        now = float(second)
        if second == 40:
            watcher._take(planned("mug"))
            watcher.ledger = ledger
        watcher._show(now)
        yield capsys.readouterr().out


@pytest.mark.parametrize("as_json", [False, True])
def test_a_pipe_has_a_sign_every_ten_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    """While the ledger was locked, nothing was said at all."""
    coming = SimpleNamespace(seconds=15.0)
    monkeypatch.setattr("topview_pipeline.cli.watcher.forecast_plan", lambda *_: coming)
    sign.now("Reading the catalogue")
    said = list(watched(as_json, capsys))
    spoke = [second for second, text in enumerate(said) if text]
    assert max(after - before for before, after in pairwise([0, *spoke, 120])) <= 10
    lines = "".join(said).splitlines()
    if as_json:
        kinds = {json.loads(line)["event"] for line in lines}
        assert kinds == {"planned", "progress"}
        assert any(json.loads(line).get("reading") == 1 for line in lines)
    else:
        assert lines[0] == "Reading the catalogue: 9 s so far"
        assert "about 6 s left" in lines[5]
        assert not [line for line in lines if "about 0 s left" in line]
        assert lines[-1] == "Waiting for the ledger"
