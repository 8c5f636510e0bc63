"""A person prefers another image: the video is made anew from it, and only the video is paid."""

from __future__ import annotations

from typing import Any

import pytest

from tests.producer.world import World, fates, product
from topview_pipeline.catalogue import Product
from topview_pipeline.choosing import ChoiceRefused, choose
from topview_pipeline.ledger import Task, TaskState
from topview_pipeline.producer import Made
from topview_pipeline.producer.preferring import shape_with_choices
from topview_pipeline.stages import FINISHED_VIDEO, REPLACED_IMAGES
from topview_pipeline.stages.shapes import shape_of

QUAD = ((0.2, 0.2), (0.6, 0.2), (0.6, 0.8), (0.2, 0.8))


def two_scenes(**changes: Any) -> Product:
    """In manual mode Topview returns two images."""
    return product("a", location=QUAD, image_edit_prompt=None, **changes)


def pick(world: World, image: int, why: str = "prettier") -> None:
    choose(world.ledger, "a", image, who="ann", why=why)


def version(world: World, one: Product) -> str:
    """The data version of productScript."""
    shape = shape_of(FINISHED_VIDEO, one, world.inputs.sha256)
    chosen = world.ledger.choices.scenes("a").get("a", ())
    return shape_with_choices(FINISHED_VIDEO, shape, one, chosen).version


def images_sent(world: World) -> list[int]:
    """Numbers of the scenes' images that videos were asked for with."""
    ids = {
        image["imageId"]: number
        for scene in rows(world, REPLACED_IMAGES.key)
        for number, image in enumerate((scene.result or {})["replaceProductResult"], 1)
    }
    return [
        ids[(video.request or {})["replaceProductTaskImageId"]]
        for video in rows(world, FINISHED_VIDEO.key)
    ]


def rows(world: World, stage: str) -> list[Task]:
    return [row for row in world.rows() if row.stage == stage]


def video_of(events: list[Any]) -> Made:
    (made,) = [
        event for event in events if isinstance(event, Made) and event.stage == FINISHED_VIDEO.key
    ]
    return made


def test_another_image_is_another_video_and_nothing_else_is_paid(world: World) -> None:
    one = two_scenes()
    before = video_of(world.run([one]))
    pick(world, 2)

    again = world.run([one])

    assert fates(again)["a", "finishedVideo"] == "made"
    assert images_sent(world) == [1, 2]
    assert world.counters()["submits"] == {
        "remove_background": 1,
        "image_replace": 1,
        "image2Video": 2,
    }
    after = video_of(again)
    assert before.inputs["productScript"] != after.inputs["productScript"] == version(world, one)
    assert before.inputs["replacedImages"] == after.inputs["replacedImages"]


@pytest.mark.parametrize("column", [None, 2])
def test_a_choice_of_the_image_that_is_taken_anyway_changes_nothing(
    world: World, column: int | None
) -> None:
    one = two_scenes(chosen_image=column)
    world.run([one])
    before, paid = version(world, one), world.submits()

    pick(world, column or 1)

    assert version(world, one) == before
    world.run([one])
    assert world.submits() == paid


def test_a_choice_goes_over_the_catalogues_column(world: World) -> None:
    one = two_scenes(chosen_image=2)
    world.run([one])
    pick(world, 1)
    world.run([one])
    assert images_sent(world) == [2, 1]


def test_who_goes_back_to_the_first_choice_pays_nothing(world: World) -> None:
    one = two_scenes()
    world.run([one])
    pick(world, 2)
    world.run([one])
    paid = world.submits()
    pick(world, 1)
    made = video_of(world.run([one]))
    assert world.submits() == paid
    assert made.inputs["productScript"] == version(world, one)


def test_a_choice_made_while_the_run_is_on_its_way_is_what_it_says_it_is_made_from(
    world: World,
) -> None:
    """The producer read the product's inputs before; what it asks for and what it tells agree."""
    one = two_scenes()
    world.run([one], stages=["bgRemovedImage", "replacedImages"])
    old = version(world, one)

    class Late:
        """Chooses between the reading of the inputs and the video's turn."""

        def __init__(self) -> None:
            self._fix = world.ledger.orders.place

        def __call__(self, *args: Any, **options: Any) -> Any:
            placed = self._fix(*args, **options)
            pick(world, 2)
            return placed

    world.ledger.orders.place = Late()  # type: ignore[method-assign]  # of this one object
    made = video_of(world.run([one], stages=["finishedVideo"]))

    assert images_sent(world) == [2]
    assert made.inputs["productScript"] == version(world, one) != old


def test_a_new_scene_needs_a_new_choice_and_the_old_one_does_not_make_the_video_stale(
    world: World,
) -> None:
    one = two_scenes()
    world.run([one])
    pick(world, 2)
    chosen = version(world, one)
    world.inputs.contents["template"] = world.inputs.data("another template")

    made = video_of(world.run([one]))

    assert images_sent(world) == [1, 1]
    assert made.inputs["productScript"] == version(world, one) == chosen


@pytest.mark.parametrize("image", [-1, 0, 3, 99])
def test_an_image_that_is_not_there_is_refused_with_the_range(world: World, image: int) -> None:
    world.run([two_scenes()])
    with pytest.raises(ChoiceRefused, match=r"choose a number from 1 to 2"):
        pick(world, image)
    assert world.ledger.choices.all() == {}


def test_there_is_nothing_to_choose_from_before_there_is_a_scene(world: World) -> None:
    world.run([two_scenes()], stages=["bgRemovedImage"])
    with pytest.raises(ChoiceRefused, match="no scene"):
        pick(world, 1)


def test_every_choice_is_remembered_with_who_and_why(world: World) -> None:
    world.run([two_scenes()])
    pick(world, 2, why="her hand")
    pick(world, 1, why="the client said so")
    (scene,) = rows(world, REPLACED_IMAGES.key)
    assert scene.state is TaskState.STORED
    told = [
        (event.who, event.detail["image"], event.detail["why"])
        for event in world.ledger.browsing.history(scene.id)
        if event.what == "chosen"
    ]
    assert told == [("ann", 2, "her hand"), ("ann", 1, "the client said so")]
    assert world.ledger.choices.all() == {("a", scene.fingerprint): 1}
