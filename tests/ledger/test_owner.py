"""Whether another producer still works: at once on its own host, elsewhere by its lease."""

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from tests.ledger.conftest import Clock, order, pend, reserve
from topview_pipeline.ledger import Ledger, Owner
from topview_pipeline.ledger.owner import LEASE_SECONDS, NOT_TOLD, process_started

ME = Owner()


def _alive(ledger: Ledger, owner: Owner) -> bool:
    ledger.producers.start(owner, run_id="run")
    return ledger.producers.is_alive(owner.id)


def test_this_process_works(ledger: Ledger) -> None:
    assert _alive(ledger, Owner())


def test_a_process_that_ended_is_dead_at_once(ledger: Ledger) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Owner(pid=process.pid, process_started=process_started(process.pid) or NOT_TOLD)
    assert _alive(ledger, owner)
    process.kill()
    process.wait()
    process.communicate()
    assert not ledger.producers.is_alive(owner.id)


def test_a_killed_process_whose_parent_does_not_look_is_dead(ledger: Ledger) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Owner(pid=process.pid, process_started=process_started(process.pid) or NOT_TOLD)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie
    assert not _alive(ledger, owner)
    process.communicate()


def test_a_reused_pid_is_another_process(ledger: Ledger) -> None:
    assert not _alive(ledger, Owner(process_started=ME.process_started - 100.0))


@pytest.mark.parametrize(
    "elsewhere",
    [{"host": "other"}, {"pid_namespace": "container"}, {"boot_id": "of a clone of this name"}],
)
def test_elsewhere_the_lease_decides(
    ledger: Ledger, clock: Clock, elsewhere: dict[str, Any]
) -> None:
    owner = Owner(pid=1, process_started=1.0, **elsewhere)
    assert _alive(ledger, owner)
    clock.now += LEASE_SECONDS - 1
    ledger.producers.renew(owner)
    clock.now += LEASE_SECONDS - 1
    assert ledger.producers.is_alive(owner.id)
    clock.now += 1
    assert not ledger.producers.is_alive(owner.id)


def test_a_system_that_tells_no_start_times_goes_by_pid_and_lease(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("topview_pipeline.ledger.owner.process_started", lambda _: NOT_TOLD)
    assert _alive(ledger, owner := replace(ME, id="x", process_started=NOT_TOLD))
    clock.now += LEASE_SECONDS
    assert not ledger.producers.is_alive(owner.id)


def test_who_said_good_bye_is_gone_and_nobody_is_nobody(ledger: Ledger) -> None:
    owner = Owner()
    ledger.producers.start(owner, run_id="run")
    ledger.producers.end(owner)
    assert not ledger.producers.is_alive(owner.id)
    assert not ledger.producers.is_alive(None)
    assert not ledger.producers.is_alive("never heard of")


def test_two_producers_of_one_process_are_two_owners() -> None:
    assert Owner().id != Owner().id


def test_a_run_is_dead_when_its_producer_is_and_said_no_good_bye(ledger: Ledger) -> None:
    dead = Owner(process_started=ME.process_started - 100.0)
    ledger.producers.start(dead, run_id="dead")
    ledger.producers.start(Owner(), run_id="alive")
    assert ledger.producers.is_dead("dead")
    assert not ledger.producers.is_dead("alive")
    assert not ledger.producers.is_dead("not begun")
    ledger.producers.end(dead)
    assert not ledger.producers.is_dead("dead")


def test_only_one_of_two_producers_adopts_a_dead_ones_row(ledger: Ledger) -> None:
    row = pend(ledger, reserve(ledger, order(ledger)))
    alive = {"one", "two"}.__contains__

    def is_alive(owner: str | None) -> bool:
        return owner is not None and alive(owner)

    mine = ledger.tasks.adopt(row.id, owner="one", is_alive=is_alive)
    assert mine is not None
    assert mine.owner == "one"
    assert ledger.tasks.adopt(row.id, owner="two", is_alive=is_alive) is None
    assert ledger.tasks.adopt(row.id, owner="one", is_alive=is_alive) == mine
    ledger.tasks.give_up("one")
    assert ledger.tasks.adopt(row.id, owner="two", is_alive=is_alive) is not None


def test_what_changed_hands_tells_nothing_about_how_long_tasks_take(
    ledger: Ledger, clock: Clock
) -> None:
    for name, adopted in (("watched", False), ("adopted", True)):
        row = pend(ledger, reserve(ledger, order(ledger, name)))
        if adopted:
            ledger.tasks.adopt(row.id, owner="two", is_alive=lambda _: False)
        clock.now += 10_000.0 if adopted else 12.0
        ledger.tasks.succeeded(row.id, result={}, cost_credits=None, who="me")
    assert ledger.history.seconds("replacedImages") == [12.0]
