"""The product report: what a product is said to have come to, read after real runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.engine.world import HOUR
from tests.export.conftest import Shop
from tests.ledger.conftest import bring, reserve
from tests.stages.toy import FOUR_STAGES
from topview_pipeline.catalogue import RowProblem
from topview_pipeline.export import ProductReport
from topview_pipeline.ledger import Task, TaskState
from topview_pipeline.media import Outcome, Verdict
from topview_pipeline.stages import CUT_OUT, SCENE, VIDEO, Stage

PASSED = Verdict(Outcome.PASSED, "It is good.").to_json()


def marks(found: ProductReport) -> dict[str, list[int]]:
    return {
        "chosen": [scene.number for scene in found.scenes if scene.is_chosen],
        "used": [scene.number for scene in found.scenes if scene.is_used],
    }


def fail(shop: Shop, stage: Stage, *, retryable: bool = False, **changes: Any) -> Task:
    row = reserve(shop.ledger, "mug", stage=stage.key, **changes)
    return shop.ledger.tasks.failed(
        row.id, code="1", message="no file", retryable=retryable, not_before=None, who="run"
    )


def test_a_product_that_was_never_made_is_new_and_has_nothing(shop: Shop) -> None:
    found = shop.look(shop.product())
    assert (found.status, found.is_outdated) == ("new", False)
    assert (found.scenes, found.scene, found.cutout) == ((), None, None)
    assert (found.credits, found.seconds) == (None, None)


def test_a_finished_product_has_what_its_video_was_made_from_and_what_it_cost(shop: Shop) -> None:
    mug = shop.product()
    shop.run([mug])
    found = shop.look(mug)
    assert (found.status, found.is_outdated) == ("done", False)
    assert marks(found) == {"chosen": [], "used": [1]}
    assert found.scene == found.scenes[0].image
    assert found.cutout == found.stages[CUT_OUT.key].file("cutout.png")
    rows = [shop.row(mug, stage) for stage in (CUT_OUT, SCENE, VIDEO)]
    assert [row.id for row in found.behind.values()] == [row.id for row in rows]
    assert found.credits == sum(row.cost_credits or 0.0 for row in rows)
    spans = [(row.succeeded_at or 0.0) - (row.pending_at or 0.0) for row in rows]
    assert found.seconds == pytest.approx(sum(spans))
    assert min(spans) > 0


@pytest.mark.parametrize(
    ("state", "status", "said"),
    [
        (TaskState.RESERVED, "pending", None),
        (TaskState.PENDING, "pending", None),
        (TaskState.SUCCEEDED, "pending", None),
        (TaskState.UNKNOWN, "held", "answer to the submit was lost"),
        (TaskState.OVERDUE, "held", "within its deadline"),
        (TaskState.EXPIRED, "held", "no longer be had"),
        (TaskState.VOID, "done", None),
    ],
)
def test_a_newer_task_without_a_result_says_where_the_stage_stands(
    shop: Shop, state: TaskState, status: str, said: str | None
) -> None:
    mug = shop.product()
    shop.run([mug])
    bring(shop.ledger, reserve(shop.ledger, "mug", stage=VIDEO.key), state)
    found = shop.look(mug)
    assert (found.status, found.is_outdated) == (status, status != "done")
    assert found.video.task == shop.row(mug, VIDEO), "what there was stays"
    assert (said or "") in (found.video.what or "")
    assert (found.video.fix is None) == (said is None)


@pytest.mark.parametrize(
    ("retryable", "attempt", "status", "fix"),
    [
        (True, 1, "held", "retried automatically"),
        (True, 3, "failed", "one more attempt"),
        (False, 1, "failed", "only --force sends"),
    ],
)
def test_a_failed_task_is_a_failure_unless_it_is_tried_again_by_itself(
    shop: Shop, retryable: bool, attempt: int, status: str, fix: str
) -> None:
    fail(shop, CUT_OUT, retryable=retryable, attempt=attempt)
    found = shop.look(shop.product()).stages[CUT_OUT.key]
    assert found.status == status
    assert "no file" in str(found.what)
    assert fix in str(found.fix)


# Outdated: the next run would make something else.


@pytest.mark.parametrize(
    "change",
    [{"script": "Other words."}, {"chosen_image": 2}, {"chosen_image": 9}, {"avatar_id": "b"}],
    ids=str,
)
def test_a_changed_row_makes_a_finished_product_outdated(shop: Shop, change: Any) -> None:
    mug = shop.product()
    shop.run([mug])
    found = shop.look(replace(mug, **change))
    assert (found.status, found.is_outdated) == ("done", True)


def test_a_photo_with_other_bytes_outdates_a_product_and_a_lost_one_does_not(shop: Shop) -> None:
    mug = shop.product()
    shop.run([mug])
    shop.photo("red", name="teal")
    assert shop.look(mug).is_outdated
    Path(str(mug.image)).unlink()
    assert not shop.look(mug).is_outdated


def test_a_result_that_is_shared_is_not_outdated_by_columns_that_differ(shop: Shop) -> None:
    """To choose image 1 by hand is the same work as to choose nothing."""
    mug = shop.product()
    twin = replace(mug, product_id="twin", chosen_image=1)
    shop.run([mug])
    shop.run([twin])
    assert shop.row(twin, VIDEO).product_id == "mug"
    assert not shop.look(twin).is_outdated


def test_a_choice_outdates_the_video_until_it_is_made_and_belongs_to_its_scene(shop: Shop) -> None:
    mug = shop.product()
    shop.run([mug])
    shop.choose(mug, 2)
    waiting = shop.look(mug)
    assert marks(waiting) == {"chosen": [2], "used": [1]}
    assert waiting.is_outdated

    shop.run([mug])
    made = shop.look(mug)
    assert marks(made) == {"chosen": [2], "used": [2]}
    assert made.scene == made.scenes[1].image
    assert not made.is_outdated

    shop.again(mug, SCENE)
    assert marks(shop.look(mug)) == {"chosen": [], "used": []}
    assert shop.look(mug).video.is_outdated


# What a video was made from counts for it, whatever was made since.


def test_a_video_keeps_its_own_scene_and_cutout_through_newer_generations(shop: Shop) -> None:
    mug = shop.product()
    shop.run([mug])
    before = shop.look(mug)
    for _ in range(2):
        shop.again(mug, CUT_OUT, SCENE)
    found = shop.look(mug)
    assert list(found.behind) == [CUT_OUT.key, SCENE.key, VIDEO.key]
    assert found.behind == before.behind
    assert found.scenes[0].image != found.scene == before.scene
    assert found.stages[CUT_OUT.key].file("cutout.png") != found.cutout == before.cutout
    assert (found.credits, found.seconds) == (before.credits, before.seconds)


def test_a_shared_task_is_shown_and_counted_for_each_of_its_products(shop: Shop) -> None:
    mug = shop.product()
    twin = replace(mug, product_id="twin", script="Other words.")
    shop.run([mug])
    shop.run([twin])
    shop.choose(twin, 2)
    first, second = shop.report(mug, twin).products
    assert second.scene == first.scene is not None
    assert second.cutout == first.cutout is not None
    assert marks(first) == {"chosen": [], "used": [1]}
    assert marks(second) == {"chosen": [2], "used": [1]}
    rows = [shop.row(mug, CUT_OUT), shop.row(mug, SCENE), shop.row(twin, VIDEO)]
    assert second.credits == sum(row.cost_credits or 0.0 for row in rows)


def test_something_refused_that_is_not_in_the_video_does_not_keep_it_back(shop: Shop) -> None:
    mug = shop.product()
    shop.run([mug])
    shop.again(mug, CUT_OUT)
    shop.refuse(shop.row(mug, CUT_OUT))
    found = shop.look(mug)
    assert found.refusal is None
    assert found.stages[CUT_OUT.key].refused is not None


def test_how_long_a_task_ran_is_unknown_when_nobody_watched_it_end(shop: Shop) -> None:
    """Submitted by a run that did not wait, and brought home half an hour later."""
    mug = shop.product()
    shop.run([mug], stages=[CUT_OUT.key], wait_seconds=0.0)
    shop.later(HOUR / 2)
    shop.run([mug])
    assert (shop.look(mug).status, shop.look(mug).seconds) == ("done", None)


# Rows of the catalogue, and the whole of it.


def in_bad_row(product_id: str | None) -> RowProblem:
    return RowProblem(3, "mode", product_id, "no such mode")


def test_a_product_in_a_bad_row_keeps_all_that_was_made_of_it(shop: Shop) -> None:
    mug, shoe = shop.product(), shop.product("shoe")
    shop.run([mug])
    before, problem = shop.look(mug), in_bad_row("mug")
    good, bad = shop.report(shoe, problems=[problem]).products
    assert (good.product_id, good.row_problem) == ("shoe", None)
    assert bad == replace(before, product=None, row_problem=str(problem))
    assert bad.is_outdated


def test_a_product_that_left_is_not_reported_unless_a_row_without_id_may_be_its(
    shop: Shop,
) -> None:
    shoe = shop.product("shoe")
    shop.ledger.catalogue.accept(products=["mug", "shoe"])
    assert [one.product_id for one in shop.report(shoe).products] == ["shoe"]
    found = shop.report(shoe, problems=[in_bad_row(None)]).products
    assert [(one.product_id, one.row_problem is None) for one in found] == [
        ("shoe", True),
        ("mug", False),
    ]


def test_only_what_is_behind_a_video_and_has_no_verdict_is_unmeasured(shop: Shop) -> None:
    mug, unfinished = shop.product(), shop.product("hat", photo="red")
    shop.run([mug])
    shop.run([unfinished], stages=[CUT_OUT.key, SCENE.key])
    shop.ledger.tasks.measured(shop.row(mug, CUT_OUT).id, PASSED)
    for stage in (SCENE, VIDEO):  # measured by older rules, as good as not
        shop.ledger.tasks.measured(shop.row(mug, stage).id, PASSED | {"version": 0})
    found = shop.report(mug, replace(mug, product_id="twin"), unfinished).unmeasured()
    assert [(stage.key, row.id) for stage, row in found] == [
        (stage.key, shop.row(mug, stage).id) for stage in (SCENE, VIDEO)
    ]


def test_a_fourth_stage_is_reported_and_does_not_outdate_the_video(tmp_path: Path) -> None:
    shop = Shop(tmp_path, stages=FOUR_STAGES)
    mug = shop.product()
    shop.run([mug], stages=[CUT_OUT.key, SCENE.key, VIDEO.key])
    fail(shop, FOUR_STAGES[3])
    found = shop.look(mug)
    assert (found.status, found.is_outdated) == ("failed", False)
    assert list(found.stages) == [stage.key for stage in FOUR_STAGES]
    assert list(found.behind) == [stage.key for stage in FOUR_STAGES[:3]]
    shop.close()


@pytest.mark.slow
def test_a_whole_catalogue_takes_a_handful_of_queries(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query for each product would take minutes for 20,000."""
    products = [shop.product(f"p{number}") for number in range(20)]
    shop.run(products)
    shop.again(products[0], CUT_OUT, SCENE)
    database, opened = type(shop.ledger.tasks._db), []
    read = database.read

    def counted(self: Any, *given: Any) -> Any:
        opened.append(self)
        return read(self, *given)

    monkeypatch.setattr(database, "read", counted)
    assert len(shop.report(*products).products) == 20
    assert len(opened) < 15
