"""A person's preference among the images of a result."""

from tests.ledger.conftest import ask, row_in
from topview_pipeline.ledger import (
    NO_REVIEW,
    Decided,
    Ledger,
    Reserved,
    Review,
    TaskState,
    ToDecide,
)


def test_the_newest_choice_counts_and_the_row_remembers_every_one(ledger: Ledger) -> None:
    scene = row_in(ledger, TaskState.STORED)
    ledger.reviews.choose("a", scene.fingerprint, 2, who="ann", why="softer light")
    ledger.reviews.choose("a", scene.fingerprint, 3, who="bob", why="")
    ledger.reviews.choose("b", scene.fingerprint, 1, who="bob", why="")
    assert ledger.reviews.of("a", scene.fingerprint) == Review(3, "approved")
    assert ledger.reviews.of("a", "another scene") == NO_REVIEW
    assert ledger.reviews.all() == {
        ("a", scene.fingerprint): Review(3, "approved"),
        ("b", scene.fingerprint): Review(1, "approved"),
    }
    chosen = [event for event in ledger.history.events(scene.id) if event.what == "chosen"]
    assert [(event.who, event.detail["image"]) for event in chosen] == [
        ("ann", 2),
        ("bob", 3),
        ("bob", 1),
    ]
    assert ledger.tasks.last_made("a", scene.stage) is None, "a choice reports nothing"


def test_a_scene_that_the_ledger_lost_may_be_chosen_from(ledger: Ledger, other: Ledger) -> None:
    ledger.reviews.choose("a", "unknown", 2, who="ann", why="")
    assert ledger.reviews.of("a", "unknown").image == 2
    assert other.reviews.all() == {}


def test_nothing_is_reserved_of_a_result_that_a_person_decided_about_meanwhile(
    ledger: Ledger,
) -> None:
    """The product waited for its slot; the request was made before the decision."""
    before = NO_REVIEW
    for review in (Review(2, "approved"), Review(2, "rejected")):
        ledger.reviews.decide({("a", "scene"): review}, who="ann", why="seen")
        assert ask(ledger, made_of=("scene", before)) == Decided()
        assert ledger.tasks.to_decide("work of a", "a", "scene") == ToDecide([], review)
        before = review
    assert isinstance(ask(ledger, made_of=("scene", before)), Reserved)
