"""A person's preference among the images of a result."""

from tests.ledger.conftest import Clock, open_at, row_in
from topview_pipeline.ledger import Ledger, TaskState


def test_the_newest_choice_counts_and_the_row_remembers_every_one(ledger: Ledger) -> None:
    scene = row_in(ledger, TaskState.STORED)
    ledger.choices.choose("a", scene.fingerprint, 2, who="ann", why="softer light")
    ledger.choices.choose("a", scene.fingerprint, 3, who="bob", why="")
    ledger.choices.choose("b", scene.fingerprint, 1, who="bob", why="")
    assert ledger.choices.image_for("a", scene.fingerprint) == 3
    assert ledger.choices.image_for("a", "another scene") is None
    assert ledger.choices.all() == {("a", scene.fingerprint): 3, ("b", scene.fingerprint): 1}
    told = [event for event in ledger.history.events(scene.id) if event.what == "chosen"]
    assert [(event.who, event.detail["image"]) for event in told] == [
        ("ann", 2),
        ("bob", 3),
        ("bob", 1),
    ]
    assert ledger.tasks.last_made("a", scene.stage) is None, "a choice reports nothing"


def test_a_scene_that_the_ledger_lost_may_be_chosen_from(
    ledger: Ledger, ledger_url: str, clock: Clock
) -> None:
    ledger.choices.choose("a", "unknown", 2, who="ann", why="")
    assert ledger.choices.image_for("a", "unknown") == 2
    other = open_at(ledger_url, clock, uid="other")
    assert other.choices.all() == {}
    other.close()
