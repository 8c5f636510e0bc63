"""Whose turn a free slot is, when the runs of an account want more than there are."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.conftest import Clock, ask, order, pend
from topview_pipeline.ledger import Ledger, NoSlot, Owner, Reserved, Task
from topview_pipeline.ledger.sharing import WAITING_SECONDS, first_of

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


def test_a_producer_configured_with_fewer_slots_keeps_none_of_the_others_free(
    ledger: Ledger,
) -> None:
    large, small = Runner(ledger, "large", 4), Runner(ledger, "small", 1)
    assert large.ask()
    assert not small.ask()
    assert [large.ask() for _ in range(3)] == [True] * 3


def test_three_runs_never_wait_for_each_other(ledger: Ledger, clock: Clock) -> None:
    """With slot time counted from when each pair began, each of the three was another's second."""
    runs = [Runner(ledger, "a", 1)]
    ends = dict[str, float]()
    idle = 0
    for second in range(400):
        clock.now += 1
        if second in (10, 90):
            runs.append(Runner(ledger, f"from {second}", 1))
        for run in runs:
            for task in [*run.tasks]:
                if ends[run.run] <= clock.now:
                    run.finish(task)
            if not run.tasks and run.ask():
                ends[run.run] = clock.now + {"a": 100}.get(run.run, 25)
        idle += not any(run.tasks for run in runs)
    assert idle <= 12


@settings(deadline=None)
@given(
    slots=st.integers(1, 5),
    runs=st.lists(st.tuples(st.integers(0, 100), st.integers(1, 60)), min_size=2, max_size=4),
)
def test_runs_that_could_each_fill_all_slots_get_their_shares_and_none_stands_empty(
    slots: int, runs: list[tuple[int, int]]
) -> None:
    """Whatever the lengths of their tasks and whoever came first. One look a second each."""
    names = [str(number) for number in range(len(runs))]
    late, longest = max(began for began, _ in runs), max(length for _, length in runs)
    running: dict[str, list[int]] = {name: [] for name in names}
    used = dict.fromkeys(names, 0)
    for now in range(late + 60 * longest * len(runs)):
        for own in running.values():
            own[:] = [end for end in own if end > now]
        here = [name for name, (began, _) in zip(names, runs, strict=True) if began <= now]
        while here and sum(map(len, running.values())) < slots:
            held = {name: len(running[name]) for name in here}
            first = first_of(held, used.__getitem__)
            running[first].append(now + runs[int(first)][1])
        if now >= late:
            for name, own in running.items():
                used[name] += len(own)
    least = sum(used.values()) / (1.5 * len(runs))
    assert min(used.values()) >= least
