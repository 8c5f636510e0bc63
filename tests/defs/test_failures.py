"""How a run says what did not work."""

from __future__ import annotations

import dagster as dg
import pytest

from topview_pipeline.artifacts import StoreError
from topview_pipeline.defs.failures import failure, plainly
from topview_pipeline.defs.troubles import Trouble, trouble_of
from topview_pipeline.ledger import HeldReason
from topview_pipeline.producer import Failed, Held, Parked


def _trouble(number: int) -> Trouble:
    return Trouble(f"p{number}", "finishedVideo", "failed", "no face", "choose an image", "t1")


def test_no_retry_machine_of_dagster_may_submit_again() -> None:
    assert failure([_trouble(1)], made=0).allow_retries is False


def test_a_thousand_failures_stay_readable_and_none_is_lost() -> None:
    found = failure([_trouble(number) for number in range(1000)], made=7)

    assert found.description is not None
    assert found.description.startswith("7 made, 1000 failed.")
    assert found.description.splitlines()[1:] == [
        "1000 failed, finishedVideo of p0, p1, p2, p3, p4 and others: no face. "
        "What to do: choose an image.",
        "To try them again use the job catch_up, which takes any products in one run: "
        "`topview-pipeline run`. A backfill of scattered ones is a run for each.",
    ]
    table = found.metadata["topview/troubles"]
    assert isinstance(table, dg.TableMetadataValue)
    assert len(table.records) == 1000
    assert table.records[0].data["task_id"] == "t1"


def test_a_table_of_tens_of_thousands_is_cut_and_says_so() -> None:
    table = failure([_trouble(number) for number in range(60_000)], made=0).metadata[
        "topview/troubles"
    ]
    assert isinstance(table, dg.TableMetadataValue)
    assert len(table.records) == 1001
    assert table.records[-1].data["product"] == "... and 59,000 more"
    assert len(dg.serialize_value(table)) < 300_000  # bytes of one event


def test_many_different_failures_stay_readable_too() -> None:
    words = [f"{'x' * number} is no colour" for number in range(1, 50)]
    troubles = [Trouble(word, "finishedVideo", "failed", word, "mend it") for word in words]
    lines = str(failure(troubles, made=0).description).splitlines()
    assert len(lines) == 23
    assert lines[-2] == "... and more, see the table."


def test_scattered_failures_name_the_one_run_that_takes_them_all() -> None:
    troubles = [Trouble(name, "finishedVideo", "failed", "no", "mend") for name in ("a", "b c")]
    held = Trouble("d", "finishedVideo", "held", "stalled", "nothing: it goes on by itself")
    said = str(failure([*troubles, held], made=0).description)
    assert "`topview-pipeline run --product a --product 'b c'`" in said
    assert "catch_up" not in str(failure([troubles[0], held], made=0).description)


def test_outcomes_are_counted_apart() -> None:
    events: list[Failed | Held | Parked] = [
        Failed("a", "finishedVideo", 1, "no face", "choose an image"),
        Held("b", "finishedVideo", 2, HeldReason.STALLED, "late", None),
        Parked("c", "finishedVideo", 3, "the run's wait time is over"),
    ]
    found = failure([trouble_of(event) for event in events], made=0)
    assert str(found.description).startswith("0 made, 1 failed, 1 held, 1 parked.")


@pytest.mark.parametrize("reason", HeldReason)
def test_every_reason_to_hold_says_what_to_do(reason: HeldReason) -> None:
    assert trouble_of(Held("a", "finishedVideo", 1, reason, "why", None)).mend


def test_what_keeps_a_run_from_its_work_is_a_sentence_and_keeps_its_cause() -> None:
    error = StoreError("is full", "/store", "Make room.")
    with pytest.raises(dg.Failure) as raised, plainly():
        raise error
    assert raised.value.description == str(error)
    assert raised.value.__cause__ is error
    assert raised.value.allow_retries is False


def test_a_bug_is_not_dressed_up_as_bad_input() -> None:
    with pytest.raises(KeyError), plainly():
        raise KeyError("a bug")
