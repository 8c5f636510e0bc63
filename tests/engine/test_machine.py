"""Any sequence of bad days: at most one paid success for a piece of work, and nothing lost."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.engine.world import (
    ALL_FAULTS,
    ALL_STAGES,
    DAY,
    HOUR,
    Death,
    Killed,
    World,
    fates,
    product,
)
from tests.length import LONG
from topview_pipeline.catalogue import Product
from topview_pipeline.engine import Made
from topview_pipeline.ledger import (
    DEAD_AFTER_SECONDS,
    Ledger,
    LedgerUnavailable,
    TaskState,
)
from topview_pipeline.settings import DEFAULT_NAME
from topview_pipeline.topview.errors import TopviewError

_NAMES = ("a", "b", "twin of a")
_UNFINISHED = (TaskState.RESERVED, TaskState.PENDING, TaskState.SUCCEEDED, TaskState.OVERDUE)
_PAID = ALL_STAGES[1:]
_SLOTS = 2
_OTHER = "acme"

names = st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3, unique=True)
stages = st.sampled_from([(), (), ("bgRemovedImage",), ("replacedImages", "finishedVideo")])
waits = st.sampled_from([0.0, 30.0, 1800.0])


class BadDays(RuleBasedStateMachine):
    """Two pipelines with products of the same ids, and two slots.

    In each two of three products share a photo, and not the same two.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.world = World(self.folder, concurrency=_SLOTS, forget_after=6 * HOUR)
        self.world.other(_OTHER)
        self.scripts = dict.fromkeys(_NAMES, "Hello.")

    def _products(
        self, chosen: list[str] | tuple[str, ...], ledger: Ledger | None = None
    ) -> list[Product]:
        is_other = ledger is not None and ledger.pipeline == _OTHER
        photos = dict(zip(_NAMES, "aab" if is_other else "aba", strict=True))
        return [
            product(name, image=f"photo of {photos[name]}", script=self.scripts[name])
            for name in chosen
        ]

    def _ledger(self, of_other: bool) -> Ledger:
        return self.world.others[0] if of_other else self.world.ledger

    def _run(self, chosen: list[str], *, of_other: bool = False, **options: Any) -> None:
        ledger = self._ledger(of_other)
        # The first question may meet a fault: then nothing is sent.
        with contextlib.suppress(TopviewError):
            self.world.run(self._products(chosen, ledger), ledger=ledger, **options)

    # What runs do, and how they end.

    @rule(chosen=names, stages=stages, wait=waits, of_other=st.booleans())
    def run(self, chosen: list[str], stages: tuple[str, ...], wait: float, of_other: bool) -> None:
        self._run(chosen, of_other=of_other, stages=stages, wait_seconds=wait)

    @rule(chosen=names, stages=stages, of_other=st.booleans())
    def force(self, chosen: list[str], stages: tuple[str, ...], of_other: bool) -> None:
        self._run(chosen, of_other=of_other, stages=stages, force=True)

    @rule(
        chosen=names,
        write=st.integers(1, 45),
        after_commit=st.booleans(),
        sensor=st.booleans(),
        of_other=st.booleans(),
    )
    def kill(
        self, chosen: list[str], write: int, after_commit: bool, sensor: bool, of_other: bool
    ) -> None:
        ledger = self._ledger(of_other)
        products, how = self._products(chosen, ledger), {"sensor": sensor, "ledger": ledger}
        with contextlib.suppress(TopviewError):
            self.world.kill_at(write, products, after_commit=after_commit, **how)

    @rule(chosen=names, seconds=st.floats(0.0, 60.0))
    def stop(self, chosen: list[str], seconds: float) -> None:
        self._run(chosen, stop_after=seconds)

    @rule(
        chosen=names,
        other=names,
        wait=waits,
        write=st.integers(1, 60),
        after=st.booleans(),
        pipeline=st.sampled_from([DEFAULT_NAME, _OTHER]),
    )
    def overlap(
        self,
        chosen: list[str],
        other: list[str],
        wait: float,
        write: int,
        after: bool,
        pipeline: str,
    ) -> None:
        """Of two runs at once one is killed, if it comes to so many writes."""
        world = self.world
        dying = world.open_ledger(pipeline)

        async def die() -> None:
            with contextlib.suppress(Killed, LedgerUnavailable):
                await world.run_async(self._products(chosen, dying), ledger=dying)

        async def together() -> None:
            await asyncio.gather(die(), world.run_async(self._products(other), wait_seconds=wait))

        with Death(write, after).of(dying._database):
            try:
                world.clock.run(together())
            except TopviewError:
                world.later(2 * HOUR)  # what the failed gather left behind comes to its end
        dying.close()
        world.later(DEAD_AFTER_SECONDS + 1.0)

    @rule(of_other=st.booleans())
    def sensor(self, of_other: bool) -> None:
        ledger = self._ledger(of_other)
        with contextlib.suppress(TopviewError):
            self.world.resume(self._products(_NAMES, ledger), ledger=ledger)

    # What time does: ids are forgotten after 6 hours, and what was finished is thrown away after
    # 7 days.

    @rule(seconds=st.sampled_from([60.0, HOUR, 7 * HOUR, 2 * DAY, 8 * DAY]))
    def time_passes(self, seconds: float) -> None:
        self.world.later(seconds)

    @rule(chosen=names, after=st.floats(0.0, 60.0), skew=st.sampled_from([-DAY, 0.0, HOUR, DAY]))
    def clock_is_set_during_a_run(self, chosen: list[str], after: float, skew: float) -> None:
        self.world.clock.loop.call_later(after, setattr, self.world, "skew", skew)
        self._run(chosen)

    # What Topview and the account do.

    @rule(
        struck=st.sets(st.sampled_from(ALL_FAULTS), max_size=3), often=st.sampled_from([0.1, 0.5])
    )
    def faults(self, struck: set[str], often: float) -> None:
        self.world.set_faults(**dict.fromkeys(struck, often))

    @rule(left=st.sampled_from([0.0, 5000.0]), revoked=st.booleans())
    def account_changes(self, left: float, revoked: bool) -> None:
        self.world.control("PUT", "credits", credits=left)
        self.world.control("PUT", "credentials", revoked=revoked)

    # What changes at home.

    @rule(name=st.sampled_from(_NAMES), script=st.sampled_from(["Hello.", "Other words."]))
    def script_changes(self, name: str, script: str) -> None:
        self.scripts[name] = script

    @precondition(lambda self: any(self.folder.glob("store/**/*.png")))
    @rule(data=st.data())
    def a_file_is_deleted(self, data: st.DataObject) -> None:
        files = sorted(self.folder.glob("store/**/*.png"))
        files[data.draw(st.integers(0, len(files) - 1))].unlink()

    @invariant()
    def slots_are_never_exceeded(self) -> None:
        assert self.world.counters()["slots"]["peak"] <= _SLOTS

    @invariant()
    def nothing_is_paid_twice(self) -> None:
        """By fingerprint with its generation; without force also by Topview's own view."""
        every = self.world.rows()
        if not any(row.generation for row in every):  # neither forced, nor a scene that died
            assert self.world.counters()["duplicate_tasks"] == []
        rows = [row for row in every if row.stage in _PAID]
        successes = self._paid_successes()
        known = {row.topview_task_id: row for row in rows}
        paid = Counter(known[task].fingerprint for task in successes if task in known)
        assert [fingerprint for fingerprint, times in paid.items() if times > 1] == []
        # The others are those whose answers were lost, each with a row that says so.
        unknown = {row.fingerprint for row in rows if row.state is TaskState.UNKNOWN}
        lost = [task for task in successes if task not in known]
        reserved = [row for row in rows if row.state is TaskState.RESERVED]
        assert len(lost) <= len(unknown) + len(reserved)
        assert unknown.isdisjoint(paid)

    def _paid_successes(self) -> list[str]:
        return [
            task["id"]
            for task in self.world.control("GET", "tasks")
            if task["status"] == "success" and task["kind"] != "remove_background"
        ]

    def teardown(self) -> None:
        try:
            self._all_comes_home()
        finally:
            self.world.close()
            shutil.rmtree(self.folder)

    def _all_comes_home(self) -> None:
        world = self.world
        world.set_faults()
        world.control("PUT", "credits", credits=9000.0)
        world.control("PUT", "credentials", revoked=False)
        # The last look is after Topview has thrown away what it finished.
        for seconds in (2 * HOUR, 2 * HOUR, 9 * DAY, 2 * HOUR):
            world.later(seconds)
            last = {}
            for ledger in (world.ledger, *world.others):
                products = self._products(_NAMES, ledger)
                last[ledger] = world.run(products, ledger=ledger)
                world.resume(products, ledger=ledger)
        self.nothing_is_paid_twice()
        for ledger, events in last.items():
            assert set(fates(events)) >= {(name, stage) for name in _NAMES for stage in ALL_STAGES}
            assert all(isinstance(one, Made) or (one.what and one.fix) for one in events)
            made = {key for key, how in fates(events).items() if how == "made"}
            assert made <= set(ledger.tasks.last_made_ids())
            assert ledger.orphans.all() == []
        # Every success is stored or named.
        rows = world.rows()
        assert [row for row in rows if row.state in _UNFINISHED] == []
        here = {row.topview_task_id for row in rows if row.state is TaskState.STORED}
        named = [row for row in rows if row.state in (TaskState.UNKNOWN, TaskState.EXPIRED)]
        assert len(set(self._paid_successes()) - here) <= len(named)
        assert len(world.counters()["orphan_tasks"]) <= len(named)


BadDays.TestCase.settings = settings(
    max_examples=400 if LONG else 10,
    stateful_step_count=20,
    deadline=None,
    derandomize=not LONG,
    suppress_health_check=list(HealthCheck),
)
TestBadDays = pytest.mark.slow(pytest.mark.timeout(3 * HOUR if LONG else 600)(BadDays.TestCase))
