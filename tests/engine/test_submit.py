"""The gate and the POST: what a refusal, a lost answer and a ledger in trouble come to."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest

from tests.engine.gateway import Late, Raw, Spoiled, envelope
from tests.engine.world import CUT_OUT, HOUR, World, everything, fates, holds, product
from topview_pipeline.engine import Failed, HoldReason
from topview_pipeline.ledger import LedgerUnavailable, TaskState
from topview_pipeline.topview.errors import NotTopview

# The account is refused.


def test_without_credits_all_products_are_held_with_one_sentence(world: World) -> None:
    names = [f"p{number}" for number in range(12)]
    world.run([product(name) for name in names], **CUT_OUT)
    world.control("PUT", "credits", credits=0.0)
    uploads = world.counters()["uploads"]["puts"]
    products = [product(name, template_image=f"template of {name}") for name in names]
    held = holds(world.run(products))
    assert {event.reason for event in held} == {HoldReason.ACCOUNT}
    (what,) = {event.what for event in held}
    assert "4100" in what
    assert world.counters()["submits"]["image_replace"] <= 4
    assert world.rows(TaskState.FAILED, TaskState.UNKNOWN) == []
    # Nor is anything prepared for the many that wait: of each two files are sent.
    assert world.counters()["uploads"]["puts"] - uploads < 16
    world.control("PUT", "credits", credits=500.0)
    assert fates(world.run(products[:3])) == everything("made", *names[:3])


def test_what_is_pending_when_the_credits_end_is_finished_all_the_same(world: World) -> None:
    world.run([product("a"), product("b")], **CUT_OUT)
    world.gateway.on("image_replace/submit", envelope(None, code="4100"), times=1)
    fate = fates(world.run([product("a"), product("b")]))
    assert sorted(fate[name, "replacedImages"] for name in "ab") == ["held", "made"]
    assert {fate[name, "finishedVideo"] for name in "ab"} == {"held"}
    assert world.counters()["succeeded"]["image_replace"] == 1
    world.assert_nothing_lost()


@pytest.mark.parametrize("seconds", [0.0, 10.0, 40.0])
def test_a_key_revoked_during_a_run_fails_no_product(world: World, seconds: float) -> None:
    products = [product(name) for name in "ab"]
    account = world.app.state.world.state.account_of(world.settings.uid)
    world.clock.loop.call_later(seconds, setattr, account, "revoked", True)
    events = world.run(products, wait_seconds=300.0)
    assert not any(isinstance(event, Failed) for event in events)
    assert {event.reason for event in holds(events)} == {HoldReason.ACCOUNT}
    assert all("401" in event.what for event in holds(events))
    account.revoked = False
    world.later(2 * HOUR)
    assert fates(world.run(products)) == everything("made", "a", "b")
    world.assert_nothing_lost()


def test_a_key_of_another_account_sends_nothing(world: World) -> None:
    world.control("POST", "accounts", uid="SomebodyElse", api_key="other-key", credits=5.0)
    world.settings.__dict__["api_key"] = "other-key"
    assert set(fates(world.run([product("a")])).values()) == {"held"}
    assert (world.submits(), world.rows()) == (0, [])


def test_a_wrong_base_url_makes_no_rows_and_one_bad_page_ends_no_run(world: World) -> None:
    world.gateway.on("", Raw(200, b"<html>Welcome</html>"))
    with pytest.raises(NotTopview, match="TOPVIEW_BASE_URL"):
        world.run([product("a")])
    assert world.rows() == []
    world.gateway.calm()
    world.gateway.on("", Raw(200, b"<html>Bad gateway</html>"), times=2)
    assert fates(world.run([product("a")])) == everything("made", "a")


# Nothing was created: it is sent again.


def _unreachable(_: object) -> None:
    raise httpx.ConnectError("no route to host")


@pytest.mark.parametrize(
    "answer",
    [
        _unreachable,
        envelope(None, code="5003"),
        envelope(None, code="4007"),
        Raw(429, b'{"code": "429"}'),
    ],
    ids=["no connection", "busy", "slots taken", "too many requests"],
)
def test_what_never_reached_a_task_is_sent_again_later(world: World, answer: Any) -> None:
    world.gateway.on("image_replace/submit", answer, times=3)
    assert fates(world.run([product("a")])) == everything("made", "a")
    assert [row.stage for row in world.rows(TaskState.VOID)] == ["replacedImages"] * 3
    times = [row.reserved_at for row in world.rows() if row.stage == "replacedImages"]
    assert all(later - earlier >= 1.0 for earlier, later in itertools.pairwise(times))
    assert world.counters()["submits"]["image_replace"] == 1


# The answer is lost: it may be paid, and is never sent again.


def _lose(world: World, stage: str) -> None:
    earlier = {"replacedImages": ["bgRemovedImage"]}
    world.run([product("a")], stages=earlier.get(stage, ["bgRemovedImage", "replacedImages"]))
    world.set_faults(drop_submit=1.0)
    (held,) = holds(world.run([product("a")]))
    world.set_faults()
    assert (held.stage, held.reason, held.until) == (stage, HoldReason.UNKNOWN, None)
    assert "not sent again" in held.what
    assert [row.stage for row in world.rows(TaskState.UNKNOWN)] == [stage]


@pytest.mark.parametrize("stage", ["replacedImages", "finishedVideo"])
def test_no_later_run_sends_a_lost_answer_again(world: World, stage: str) -> None:
    _lose(world, stage)
    submitted = world.submits()
    for hours in (0, 30, 24 * 8):
        world.later(hours * HOUR)
        assert fates(world.run([product("a")]))[("a", stage)] == "held"
    assert world.submits() == submitted


def test_force_over_a_lost_answer_is_refused_and_names_the_row(world: World) -> None:
    _lose(world, "replacedImages")
    submitted = world.submits()
    (row,) = world.rows(TaskState.UNKNOWN)
    (failed,) = world.run([product("a")], stages=["replacedImages"], force=True)
    assert isinstance(failed, Failed)
    assert f"task row {row.id} of the same work has not ended" in failed.what
    assert world.submits() == submitted


def test_the_free_kind_is_sent_again_after_its_deadline(world: World) -> None:
    world.set_faults(drop_submit=1.0)
    (held,) = holds(world.run([product("a")]))
    assert held.reason is HoldReason.UNKNOWN
    assert held.until is not None
    world.set_faults()
    assert fates(world.run([product("a")])) == everything("held", "a")
    world.later(held.until - world.machine() + 1.0)
    assert fates(world.run([product("a")])) == everything("made", "a")
    counters = world.counters()
    assert (counters["duplicates"], counters["repeats"]) == (0, 1)


def test_an_answer_without_a_task_id_is_a_lost_answer(world: World) -> None:
    world.gateway.on("image_replace/submit", Spoiled(b'{"code":"200","result":{}}'))
    for _ in range(2):
        assert fates(world.run([product("a")]))["a", "replacedImages"] == "held"
    assert world.counters()["accepted"]["image_replace"] == 1
    assert len(world.rows(TaskState.UNKNOWN)) == 1


def test_what_else_an_answer_to_a_submit_says_is_kept_without_signatures(world: World) -> None:
    """Fields of no document may be what explains a bill one day."""
    more = {"queue": 3, "preview": "https://cdn/x.png?Signature=secret", "noticeUuid": None}
    world.gateway.on("remove_background/submit", envelope({"taskId": "t1", "status": "x", **more}))
    world.run([product("a")], wait_seconds=0.0, **CUT_OUT)
    (row,) = world.rows()
    (event,) = [one for one in world.ledger.history.events(row.id) if one.what == "pending"]
    assert event.detail["answer"] == {"status": "x", "queue": 3, "preview": "https://cdn/x.png?…"}


def test_the_second_of_two_equal_task_ids_is_unknown_and_names_it(world: World) -> None:
    world.run([product("a")], **CUT_OUT)
    (first,) = world.rows()
    answer = envelope({"taskId": first.topview_task_id, "status": "success"})
    world.gateway.on("/submit", answer)
    assert fates(world.run([product("b")])) == everything("held", "b")
    (second,) = world.rows(TaskState.UNKNOWN)
    assert second.topview_task_id is None
    assert str(first.topview_task_id) in str(second.error_message)
    assert world.ledger.tasks.get(first.id).state is TaskState.STORED


def test_an_answer_that_comes_after_another_run_took_it_for_lost_is_taken(world: World) -> None:
    """The first run's machine hung so long that it counted as dead."""
    world.gateway.on("remove_background/submit", Late(20.0), times=1)
    world.clock.loop.call_later(10.0, setattr, world, "skew", 200.0)
    slow, other = world.run_together(([product("a")], CUT_OUT), ([product("a")], CUT_OUT))
    assert fates(slow) == {("a", "bgRemovedImage"): "made"}
    assert fates(other)["a", "bgRemovedImage"] in ("held", "made")
    assert world.submits() == 1


# The ledger is in trouble around the POST.


def test_a_ledger_that_breaks_before_a_reservation_submits_nothing(world: World) -> None:
    world.run([product("a")], **CUT_OUT)
    world.gateway.on("upload/check", lambda _: world.break_ledger(), times=1)
    with pytest.raises(LedgerUnavailable, match="the database is locked"):
        world.run([product("a")])
    assert world.submits() == 1
    world.repair_ledger()
    world.later(HOUR)
    assert fates(world.run([product("a")])) == everything("made", "a")
    assert world.submits() == 3


def test_a_ledger_that_is_locked_after_the_answer_is_asked_again(world: World) -> None:
    def for_a_while(_: object) -> None:
        world.break_ledger()
        world.clock.loop.call_later(20.0, world.repair_ledger)

    world.gateway.on("remove_background/submit", for_a_while, times=1)
    assert fates(world.run([product("a")])) == everything("made", "a")
    assert world.submits() == 3


@pytest.mark.parametrize("ends", [{}, {"stop_after": 10.0}], ids=["by itself", "by a person"])
def test_an_id_that_cannot_be_written_down_is_in_the_message_and_nothing_is_sent_again(
    world: World, ends: dict[str, float]
) -> None:
    world.run([product("a")], **CUT_OUT)
    world.gateway.on("image_replace/submit", lambda _: world.break_ledger(), times=1)
    with pytest.raises(LedgerUnavailable) as caught:
        world.run([product("a")], **ends)
    world.repair_ledger()
    tasks = world.control("GET", "tasks")
    (topview_task_id,) = [task["id"] for task in tasks if task["kind"] == "image_replace"]
    assert "The ledger could not record it" in str(caught.value)
    (row,) = world.rows(TaskState.RESERVED, TaskState.UNKNOWN)
    assert f"task row {row.id} was accepted as Topview task {topview_task_id}" in str(caught.value)
    world.later(HOUR)
    fate = fates(world.run([product("a")]))
    assert fate["a", "replacedImages"] in ("held", "made")  # made: the credit log has it
    assert world.counters()["submits"]["image_replace"] == 1
