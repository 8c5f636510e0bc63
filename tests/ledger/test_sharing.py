"""Whose turn a free slot is, when the runs of an account want more than there are."""

from __future__ import annotations

import itertools
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.conftest import Clock, ask, order, pend
from topview_pipeline.ledger import Ledger, NoSlot, Owner, Reserved, Task
from topview_pipeline.ledger.sharing import WAITING_SECONDS, Share

_number = itertools.count()


class Runner:
    """A producer of a run that always wants one more slot."""

    def __init__(self, ledger: Ledger, run: str, slots: int) -> None:
        self._ledger = ledger
        self._slots = slots
        self.run = run
        self.owner = Owner()
        self.tasks: list[Task] = []
        ledger.producers.start(self.owner, run_id=run)

    def ask(self, *, is_last_in_line: bool = False) -> bool:
        """Whether it got a slot."""
        answer = ask(
            self._ledger,
            order(self._ledger, f"product {next(_number)}", run=self.run),
            slots=self._slots,
            run_id=self.run,
            owner=self.owner.id,
            is_last_in_line=is_last_in_line,
        )
        if isinstance(answer, Reserved):
            self.tasks.append(pend(self._ledger, answer.task))
            return True
        assert isinstance(answer, NoSlot)
        return False

    def finish(self, task: Task) -> None:
        """Topview is done with it: its slot is free."""
        self.tasks.remove(task)
        self._ledger.tasks.succeeded(task.id, result={}, cost_credits=1.0, who="me")


def test_a_run_that_came_first_leaves_the_slots_that_get_free_until_both_hold_the_same(
    ledger: Ledger,
) -> None:
    first, second = Runner(ledger, "first", 4), Runner(ledger, "second", 4)
    assert [first.ask() for _ in range(4)] == [True] * 4
    assert not second.ask()
    for _ in range(2):
        first.finish(first.tasks[0])
        assert not first.ask()
        assert second.ask()
    first.finish(first.tasks[0])
    assert first.ask()


def test_a_run_alone_has_all_slots(ledger: Ledger) -> None:
    alone = Runner(ledger, "alone", 4)
    assert [alone.ask() for _ in range(5)] == [True] * 4 + [False]


def test_a_run_that_no_longer_asks_keeps_no_slot_free(ledger: Ledger, clock: Clock) -> None:
    first, killed = Runner(ledger, "first", 1), Runner(ledger, "killed", 1)
    assert first.ask()
    assert not killed.ask()
    clock.now += 1
    first.finish(first.tasks[0])
    assert not first.ask()
    clock.now += WAITING_SECONDS + 0.1
    assert first.ask()


def test_a_run_that_got_its_last_slot_waits_no_longer(ledger: Ledger) -> None:
    first, second = Runner(ledger, "first", 3), Runner(ledger, "second", 3)
    assert [first.ask() for _ in range(3)] == [True] * 3
    assert not second.ask()
    first.finish(first.tasks[0])
    assert second.ask(is_last_in_line=True)
    first.finish(first.tasks[0])
    assert first.ask()


def test_a_clock_that_was_set_back_leaves_nobody_waiting_in_the_future(
    ledger: Ledger, clock: Clock
) -> None:
    first, second = Runner(ledger, "first", 1), Runner(ledger, "second", 1)
    assert first.ask()
    assert not second.ask()
    first.finish(first.tasks[0])
    clock.now -= 3600
    assert first.ask()


@settings(deadline=None)
@given(
    slots=st.integers(1, 5),
    seconds=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    late=st.integers(0, 100),
)
def test_two_runs_that_could_each_fill_all_slots_get_at_least_a_third_of_the_slot_time(
    slots: int, seconds: tuple[int, int], late: int
) -> None:
    """Whatever the lengths of their tasks and whoever came first. One look a second each."""
    running: tuple[list[int], list[int]] = ([], [])
    used, idle, together = [0, 0], 0, 80 * max(seconds)
    for now in range(late + together):
        for own, length in zip(running, seconds, strict=True):
            own[:] = [end for end in own if end > now]
            other = running[0] if own is running[1] else running[1]
            shares = [
                Share(len(one), partial(used.__getitem__, n)) for n, one in enumerate(running)
            ]
            mine, theirs = shares if own is running[0] else reversed(shares)
            if own is running[1] and now < late:
                continue
            while len(own) + len(other) < slots and (now < late or not theirs.goes_before(mine)):
                own.append(now + length)
                mine = Share(len(own), mine.used)
        if now >= late:
            for number, own in enumerate(running):
                used[number] += len(own)
            idle += slots - len(running[0]) - len(running[1])
    assert min(used) >= sum(used) / 3
    assert idle <= sum(used) / min(seconds) + slots
