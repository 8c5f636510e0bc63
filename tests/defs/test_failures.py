"""A run says what was not made: one table, one sentence for each kind, and what to do."""

from __future__ import annotations

import dagster as dg
import pytest

from topview_pipeline.defs.failures import Trouble, failure, plain_errors, trouble_of
from topview_pipeline.defs.outline import Outline
from topview_pipeline.engine import Failed, Held, HoldReason
from topview_pipeline.engine.events import FIXES
from topview_pipeline.store import StoreError


def _trouble(product: str, what: str = "no face") -> Trouble:
    return Trouble(product, "finishedVideo", "failed", what, "choose an image", "t1")


def _failure(*troubles: Trouble) -> tuple[list[str], list[dg.TableRecord]]:
    """The lines of a failed run in which seven were made, and the rows of its table."""
    found = failure(troubles, outline=Outline(), made=7)
    assert found.allow_retries is False, "no retry machine of Dagster may submit again"
    table = found.metadata["topview/troubles"]
    assert isinstance(table, dg.TableMetadataValue)
    assert len(dg.serialize_value(table)) < 300_000, "it is one event in Dagster's database"
    return str(found.description).splitlines(), list(table.records)


def test_a_thousand_failures_stay_readable_and_none_is_lost() -> None:
    said, rows = _failure(*(_trouble(f"p{number}") for number in range(1000)))
    named = ", ".join(f"p{number}" for number in range(20))
    assert said == [
        "7 made.",
        "Products not finished: 1000 failed.",
        "1000 products, finishedVideo failed: no face.",
        f"  Products: {named} and 980 more",
        "  What to do: choose an image",
        "To retry them use the job catch_up, which takes any products in one run: "
        "`topview-pipeline run`. A backfill of scattered ones is a run for each.",
    ]
    assert len(rows) == 1000
    assert {row.data["task at Topview"] for row in rows} == {"t1"}, (
        "what Topview's support asks for"
    )


def test_one_cause_is_said_once_with_what_did_not_follow() -> None:
    """A refused scene is no trouble of its video: who reads three rows looks for three causes."""
    cause = Trouble("mug", "bgRemovedImage", "failed", "no such photo", "fix the path")
    later = [
        Trouble("mug", stage, "failed", "the cut-out of this product failed", "see there")
        for stage in ("replacedImages", "finishedVideo")
    ]
    said, rows = _failure(cause, *later)
    assert said[1:] == [
        "Products not finished: 1 failed.",
        "mug bgRemovedImage failed: no such photo.",
        "  What to do: fix the path",
        "  Not made because of it: replacedImages, finishedVideo",
    ]
    ((product, stage, what, *_),) = [record.data.values() for record in rows]
    assert (product, stage) == ("mug", "bgRemovedImage")
    assert str(what).endswith("Not made because of it: replacedImages, finishedVideo")


@pytest.mark.slow
def test_a_table_of_tens_of_thousands_is_cut_and_says_so() -> None:
    _, rows = _failure(*(_trouble(f"p{number}") for number in range(60_000)))
    assert rows[-1].data["product"] == "... and 59,000 more"


def test_many_different_failures_stay_readable_too() -> None:
    words = [f"{'x' * number} is no colour" for number in range(1, 50)]
    lines, _ = _failure(*(_trouble(word, word) for word in words))
    assert len(lines) == 2 + 20 * 2 + 2
    assert lines[-2].startswith("... and 29 more")


def test_scattered_failures_name_the_one_run_that_takes_them_all() -> None:
    held = Trouble("d", "finishedVideo", "held", "overdue", "nothing: it goes on by itself")
    said, _ = _failure(_trouble("a"), _trouble("b c"), held)
    assert "`topview-pipeline run --product a --product 'b c'`" in said[-1]
    said, _ = _failure(_trouble("a"), held)
    assert not any("catch_up" in line for line in said)


def test_outcomes_are_counted_apart() -> None:
    events: list[Failed | Held] = [
        Failed("a", "finishedVideo", "no face", "choose an image"),
        Held("b", "finishedVideo", HoldReason.OVERDUE, "late", "nothing"),
        Held(
            "c",
            "finishedVideo",
            HoldReason.WAITING,
            "the run's wait time (TOPVIEW_WAIT_SECONDS) is over",
            "nothing",
        ),
    ]
    said, _ = _failure(*map(trouble_of, events))
    assert said[:2] == ["7 made.", "Products not finished: 1 failed, 2 held."]


def test_every_reason_to_hold_says_what_to_do() -> None:
    assert set(FIXES) == set(HoldReason) - {HoldReason.OVERDUE, HoldReason.EXPIRED}


def test_what_a_person_can_fix_is_a_sentence_and_keeps_its_cause() -> None:
    error = StoreError("is full", "/store", "Make room.")
    with pytest.raises(dg.Failure) as raised, plain_errors(Outline()):
        raise error
    assert raised.value.description == str(error) == "/store: is full. Make room."
    assert raised.value.__cause__ is error
    assert raised.value.allow_retries is False


def test_a_bug_is_not_dressed_up_as_bad_input() -> None:
    with pytest.raises(KeyError), plain_errors(Outline()):
        raise KeyError("a bug")
