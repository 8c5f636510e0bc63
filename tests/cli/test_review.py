"""`topview-pipeline review` and `choose`: a person decides, and nothing is spent by it."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from PIL import Image

from tests.cli.conftest import QUAD, Invoke, Project
from tests.export.test_gallery import Page
from tests.ledger.conftest import row_in
from topview_pipeline.ledger import Ledger, TaskState
from topview_pipeline.ledger.schema import task, task_event
from topview_pipeline.media import Outcome, Verdict
from topview_pipeline.stages import data_version

pytestmark = pytest.mark.timeout(120)
SCENE = "replacedImages"


@pytest.mark.slow
def test_what_waits_is_listed_decided_and_goes_on(project: Project, invoke: Invoke) -> None:
    project.products(4, location=QUAD)
    project.environment["TOPVIEW_GATE"] = "approve"
    assert invoke("run").exit_code == 3
    submits = project.sandbox.counters()["submits"]
    listed = invoke("review")
    assert listed.exit_code == 0
    header, *lines = [line.split("\t") for line in listed.stdout.splitlines()]
    assert header[:4] == ["product", "stage", "scene", "verdict"]
    assert [line[:3] for line in lines[:2]] == [["product-0", SCENE, n] for n in "12"]
    waits = json.loads(invoke("review", "--json").stdout)["waiting"]
    assert [one["product_id"] for one in waits] == [f"product-{n}" for n in range(4)]
    assert all(one["credits"] > 0 for one in waits)

    options = ["--approve", "-", "--choose", "product-1=2", "--again", "product-2"]
    decided = invoke("review", *options, stdin="product-0\n")
    assert decided.exit_code == 0, decided.output
    assert "1 approved, 1 chosen, 1 to remake" in decided.output
    rejected = invoke("review", "--reject", "product-3", "--why", "the lid is gone")
    assert rejected.exit_code == 0
    assert project.sandbox.counters()["submits"] == submits, "nothing is spent by deciding"

    planned = json.loads(invoke("plan", "--json").stdout)["refused"]
    (refused,) = planned
    assert refused["template"].endswith(".png")
    assert (refused["mode"], refused["scenes"], refused["credits"]) == ("manual", 2, 4.0)
    again = invoke("run")
    assert again.exit_code == 3
    assert f"{refused['template']}\tmanual\t2\t4" in again.stdout
    made = project.sandbox.counters()["succeeded"]
    assert (made["image_replace"], made["image2Video"]) == (5, 2)
    waits = json.loads(invoke("review", "--json").stdout)["waiting"]
    said = {one["product_id"]: one["what"] for one in waits}
    assert said == {
        "product-2": "the scene waits for a person",
        "product-3": "a person rejected the scene",
    }


@pytest.mark.slow
def test_all_scenes_may_be_wanted_again_without_a_second_word(
    project: Project, invoke: Invoke
) -> None:
    """More than 20 % of a catalogue is a slip, unless a person named every product."""
    project.products(5)
    options = ("--gate", "approve")
    assert invoke("run", *options).exit_code == 3
    # The gate was that run's own: nothing else knows what it holds.
    assert "review --gate approve" in invoke("review").output
    waits = json.loads(invoke("review", "--json", *options).stdout)["waiting"]
    assert {one["what"] for one in waits} == {"the scene waits for a person"}
    for own, count in ((), 0), (options, 5):
        assert sum("wait" in one for one in _on_page(project, invoke, *own)) == count
    everyone = "".join(f"product-{number}\n" for number in range(5))
    assert invoke("review", "--again", "-", stdin=everyone).exit_code == 0
    planned = invoke("plan", "--json", *options)
    assert planned.exit_code == 3, planned.output
    rows = json.loads(planned.stdout)["rows"]
    assert {one["reason"] for one in rows if one["stage"] == SCENE} == {
        "a person asked for a remake"
    }


@pytest.mark.slow
def test_a_decision_is_about_the_result_that_holds_the_product(
    project: Project, invoke: Invoke
) -> None:
    """The scene of a bad cut-out was let through; another template needs the cut-out again."""
    project.products(1)
    assert invoke("run", "--gate", "off").exit_code == 0
    ledger = project.ledger()
    cut_out = ledger.tasks.last_made("product-0", "bgRemovedImage")
    assert cut_out is not None
    refused = Verdict(Outcome.FAILED, "It is empty.", "Use another photo.")
    ledger.tasks.measured(cut_out.id, refused.to_json())
    Image.new("RGB", (90, 160), "navy").save(project.folder / "other.png")
    project.products(1, template_image="other.png")
    assert invoke("run").exit_code == 3
    (waits,) = json.loads(invoke("review", "--json").stdout)["waiting"]
    assert (waits["stage"], waits["verdicts"]) == (cut_out.stage, [["", "failed: It is empty."]])
    assert "cut-out failed its check" in waits["what"]
    (shown,) = _on_page(project, invoke)
    assert (shown["version"], shown["about"]) == (cut_out.fingerprint[:12], "cut-out")
    assert invoke("review", "--approve", "product-0").exit_code == 0
    assert set(ledger.reviews.all()) == {("product-0", cut_out.fingerprint)}
    assert invoke("run").exit_code == 0
    ledger.close()


MISTAKES: tuple[tuple[list[str] | str, str], ...] = (
    (["--approve", "a", "--again", "a"], "two decisions about 'a'"),
    (["--choose", "a"], "Write ID=N"),
    (["--choose", "a=9"], "no scene 9"),
    (["--reject", "a"], "Add --why"),
    (["--approve", "a", "--approve", "nobody"], "'nobody' has no result to decide"),
    ("approve\ta\t\tffff", "changed since you looked, such as 'a'"),
    ("approve\ta\napprove\ta", "twice for a product"),
    ("approve\ta\nagain\ta", "two decisions about 'a'"),
    ("approve\ta\nreject\tb", "line 2: a rejection needs a reason"),
    ("allow\ta", "line 1: this is not a decision"),
    ("choose\ta\t9", "no scene 9"),
)


def test_decisions_with_one_mistake_decide_nothing(project: Project, invoke: Invoke) -> None:
    """On the command line, and in a list of the gallery."""
    project.products(1)
    with closing(project.ledger()) as ledger:
        _scene(ledger, "a")
        for given, said in MISTAKES:
            is_list = isinstance(given, str)
            options = ["--from", "-"] if is_list else given
            ran = invoke("review", *options, stdin=given if is_list else None)
            assert ran.exit_code == 2, given
            assert said in ran.output
            assert ledger.reviews.all() == {}


def test_a_list_of_the_gallery_keeps_each_reason(project: Project, invoke: Invoke) -> None:
    project.products(1)
    with closing(project.ledger()) as ledger:
        prints = {name: _scene(ledger, name) for name in ("a", "b c", "d")}
        (project.folder / "list.tsv").write_text(
            f"\ufeffreject\ta\ttoo dark\t{prints['a'][:12]}\r\nreject\tb c\tno lid\nagain\td\n",
            encoding="utf-8",
        )
        ran = invoke("review", "--from", "list.tsv")
        assert ran.exit_code == 0, ran.output
        assert "2 rejected, 1 to remake" in ran.output
        decisions = ledger.history.decisions().items()
        whys = {name: [one.detail["why"] for one in found] for name, found in decisions}
        assert whys == {"a": ["too dark"], "b c": ["no lid"], "d": [""]}


def test_a_thousand_scenes_are_decided_by_one_command_and_by_one_pasted_list(
    project: Project, invoke: Invoke
) -> None:
    project.products(1)
    with closing(project.ledger()) as ledger:
        names = [f"p{number}" for number in range(1000)]
        _scene(ledger, "a")
        _copy_to(ledger, names)
        (project.folder / "good.txt").write_text("\n".join(names), encoding="utf-8")
        lines = "".join(f"again\t{name}\t\t{SCENE} {name}\n" for name in names)
        for options, stdin, words, decision in (
            (("--approve", "@good.txt"), None, "1000 approved", "approved"),
            (("--from", "-"), lines, "1000 to remake", "again"),
        ):
            ran = invoke("review", *options, stdin=stdin)
            assert ran.exit_code == 0, ran.output
            assert words in ran.output
            decided = {key: one.decision for key, one in ledger.reviews.all().items()}
            assert decided == {(name, f"{SCENE} {name}"): decision for name in names}


def _on_page(project: Project, invoke: Invoke, *options: str) -> list[dict[str, Any]]:
    """The products as the gallery shows them."""
    written = invoke("gallery", "--no-open", "--output", "page", *options)
    assert written.exit_code == 0, written.output
    text = (project.folder / "page" / "index.html").read_text(encoding="utf-8")
    products: list[dict[str, Any]] = Page(text).data["products"]
    return products


def _copy_to(ledger: Ledger, names: list[str]) -> None:
    """The rows of product a and their reports, for other products."""
    with ledger._database.write() as connection:
        rows = [row._asdict() for row in connection.execute(sa.select(task))]
        reports = [
            row._asdict()
            for row in connection.execute(
                sa.select(task_event).where(task_event.c.what == "reported")
            )
        ]
        for name in names:
            for row, report in zip(rows, reports, strict=True):
                mine = {"product_id": name, "fingerprint": f"{row['stage']} {name}"}
                own: dict[str, Any] = {"id": None, "topview_task_id": f"{row['stage']} {name}"}
                if row["inputs"]:
                    own["inputs"] = {"bgRemovedImage": data_version(f"bgRemovedImage {name}")}
                made = connection.execute(task.insert(), {**row, **mine, **own})
                (task_id,) = made.inserted_primary_key or (None,)
                of = {"id": None, "task_id": task_id, "product_id": name}
                connection.execute(task_event.insert(), {**report, **of})


def _scene(ledger: Ledger, name: str) -> str:
    """A stored scene with one image, and its cut-out; its fingerprint."""
    cut_out = row_in(ledger, TaskState.STORED, name, stage="bgRemovedImage", work=f"c {name}")
    ledger.tasks.reported(cut_out.id, name, who="run")
    made_from = {"bgRemovedImage": data_version(cut_out.fingerprint)}
    scene = row_in(ledger, TaskState.STORED, name, stage=SCENE, work=f"s {name}", inputs=made_from)
    ledger.tasks.reported(scene.id, name, who="run")
    return scene.fingerprint


@pytest.mark.slow
def test_a_choice_is_reported_at_once_and_the_next_run_pays_for_its_video_alone(
    project: Project,
) -> None:
    """A product that is placed by hand: Topview returns two scenes."""
    project.products(1, location=QUAD)
    assert project.run("run").returncode == 0
    before = project.sandbox.counters()["accepted"]
    chosen = project.run("choose", "product-0", "2", "--why", "her hand")

    assert chosen.returncode == 0, chosen.stderr
    assert "To make its video from it, for about" in chosen.stdout
    assert "topview-pipeline run --product product-0 --stage finishedVideo" in chosen.stdout
    with dg.DagsterInstance.from_config(project.environment["DAGSTER_HOME"]) as instance:
        filters = dg.AssetRecordsFilter(dg.AssetKey("productScript"))
        assert len(instance.fetch_observations(filters, limit=9).records) == 2
    assert project.run("run").returncode == 0
    after = project.sandbox.counters()["accepted"]
    assert after == {**before, "image2Video": before["image2Video"] + 1}

    again = project.run("choose", "product-0", "2")
    assert again.returncode == 0
    assert "nothing to make" in again.stdout
    first = project.run("choose", "product-0", "1")
    assert "pays nothing for its video: in the store" in first.stdout

    assert "Choose 1 or 2" in project.refused("choose", "product-0", "3")
    assert "Choose 1 or 2" in project.refused("choose", "product-0", "0")
    assert "no product 'mug'" in project.refused("choose", "mug", "1")
    project.products(1, location=QUAD, product_id="-x")
    said = project.refused("choose", "--", "-x", "1")
    assert "no scene of '-x' yet" in said
    assert "run --product -x --stage replacedImages" in said
