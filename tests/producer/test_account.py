"""Credentials and credits: one refusal stops all submits, and a good probe lets them go on."""

from typing import Any

import pytest

from tests.producer.conftest import MakeWorld
from tests.producer.world import HOUR, World, everything, fates, product
from topview_pipeline.ledger import HeldReason, TaskState
from topview_pipeline.producer import Held
from topview_pipeline.topview.errors import NotTopview


def _without_credits(world: World) -> None:
    world.run([product(name) for name in "abc"], stages=["bgRemovedImage"])
    world.control("PUT", "credits", credits=0.0)


def test_no_credits_hold_all_products_after_few_refusals(world: World) -> None:
    _without_credits(world)
    events = world.run([product(name) for name in "abc"])
    held = [event for event in events if isinstance(event, Held)]
    assert {event.reason for event in held} == {HeldReason.PAUSE, HeldReason.UPSTREAM}
    assert all("4100" in e.detail for e in held if e.reason is HeldReason.PAUSE)
    assert world.counters()["submits"]["image_replace"] <= 4
    assert world.rows(TaskState.FAILED, TaskState.UNKNOWN) == []


def test_the_pause_ends_only_when_the_credits_have_grown(world: World) -> None:
    _without_credits(world)
    world.run([product("a")])
    refused = world.submits()
    world.later(HOUR)
    assert fates(world.run([product("a")]))["a", "replacedImages"] == "held"
    assert world.submits() == refused
    world.control("PUT", "credits", credits=500.0)
    assert fates(world.run([product(n) for n in "abc"])) == everything("made", *"abc")
    assert world.ledger.accounts.pause() is None
    world.assert_nothing_paid_twice()


def test_a_probe_that_finds_no_more_credits_puts_the_next_one_off(world: World) -> None:
    _without_credits(world)
    world.run([product("a")])
    waits = []
    for _ in range(8):
        pause = world.ledger.accounts.pause()
        assert pause is not None
        waits.append(pause.probe_at - world.machine())
        world.later(waits[-1] + 1.0)
        world.catch_up([product("a")])
    assert waits[0] == pytest.approx(60.0, abs=1.0)
    assert waits[1] == pytest.approx(120.0, abs=1.0)
    assert waits[-1] == pytest.approx(3600.0, abs=1.0)


def test_after_a_pause_one_submit_goes_first_and_the_others_follow_in_the_same_run(
    world: World,
) -> None:
    _without_credits(world)
    world.run([product("a")])
    world.later(HOUR)
    world.control("PUT", "credits", credits=500.0)
    told = fates(world.run([product(name) for name in "abc"]))
    assert told == everything("made", *"abc")


def test_a_trial_that_is_refused_doubles_the_wait(world: World) -> None:
    _without_credits(world)
    world.run([product("a")])
    world.later(HOUR)
    world.control("PUT", "credits", credits=0.5)  # grown, and too few all the same
    world.run([product("a"), product("b")])
    pause = world.ledger.accounts.pause()
    assert pause is not None
    assert pause.probe_at - world.machine() == pytest.approx(120.0, abs=5.0)
    assert world.counters()["refused"]["4100"] == 2
    world.later(HOUR)
    world.run([product("a")])  # not grown since: no further trial
    assert world.counters()["refused"]["4100"] == 2


def test_revoked_credentials_in_the_middle_of_a_run_fail_no_product(world: World) -> None:
    world.run([product(name) for name in "ab"], wait_seconds=0.0)
    world.control("PUT", "credentials", revoked=True)
    told = fates(world.run([product(name) for name in "ab"], wait_seconds=60.0))
    assert "failed" not in told.values()
    pause = world.ledger.accounts.pause()
    assert pause is not None
    assert "401" in pause.message
    world.control("PUT", "credentials", revoked=False)
    assert fates(world.run([product(name) for name in "ab"])) == everything("made", "a", "b")
    assert world.ledger.accounts.pause() is None
    world.assert_nothing_paid_twice()


@pytest.mark.parametrize("seconds", [1.0, 10.0, 40.0])
def test_an_account_that_is_locked_while_tasks_run_pauses_and_goes_on(
    make_world: MakeWorld, seconds: float
) -> None:
    world = make_world()
    products = [product(name) for name in "ab"]
    account = world.app.state.world.state.account_of(world.settings.uid)

    def revoke() -> None:
        account.revoked = True

    world.clock.loop.call_later(seconds, revoke)
    told = fates(world.run(products, wait_seconds=300.0))
    assert "failed" not in told.values()
    account.revoked = False
    world.later(2 * HOUR)
    assert fates(world.run(products)) == everything("made", "a", "b")
    world.assert_nothing_paid_twice()
    world.assert_nothing_lost()


def test_a_key_of_another_account_pauses_and_sends_nothing(world: World) -> None:
    world.control("POST", "accounts", uid="SomebodyElse", api_key="other-key", credits=5.0)
    world.settings.__dict__["api_key"] = "other-key"
    assert set(fates(world.run([product("a")])).values()) == {"held"}
    assert world.submits() == 0
    assert world.rows() == []


async def _html(scope: object, receive: object, send: object) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
    await send({"type": "http.response.body", "body": b"<html>Welcome</html>"})  # type: ignore[operator]


def test_one_page_of_a_gateway_in_trouble_ends_no_run(make_world: MakeWorld) -> None:
    asked = 0

    def server(sandbox: Any) -> Any:
        async def answer(scope: Any, receive: Any, send: Any) -> None:
            nonlocal asked
            asked += 1
            await (_html if asked <= 2 else sandbox)(scope, receive, send)

        return answer

    world = make_world(server=server)
    assert fates(world.run([product("mug")])) == everything("made", "mug")


def test_a_base_url_that_answers_html_makes_no_rows_at_all(make_world: MakeWorld) -> None:
    world = make_world(server=lambda _: _html)
    with pytest.raises(NotTopview, match="TOPVIEW_BASE_URL"):
        world.run([product("a")])
    assert world.rows() == []
    assert world.ledger.orders.open_orders() == []
