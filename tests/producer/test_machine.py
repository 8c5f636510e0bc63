"""Any sequence of bad days: at most one paid success for a piece of work, and nothing lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.producer.conftest import _ssl_context
from tests.producer.test_faults import ALL_FAULTS
from tests.producer.world import ALL_STAGES, DAY, HOUR, Death, Killed, World, product
from topview_pipeline.catalogue import Product
from topview_pipeline.ledger import Owner, TaskState
from topview_pipeline.topview.errors import TopviewError

_NAMES = ("a", "b", "twin of a")
_ON_THEIR_WAY = (TaskState.RESERVED, TaskState.PENDING, TaskState.SUCCEEDED, TaskState.STALLED)
_BROUGHT_HOME = (TaskState.STORED, TaskState.SUPERSEDED)
_PAID = ALL_STAGES[1:]
_SLOTS = 2

names = st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3, unique=True)
stages = st.sampled_from([(), (), ("bgRemovedImage",), ("replacedImages", "finishedVideo")])
waits = st.sampled_from([0.0, 30.0, 1800.0])


class BadDays(RuleBasedStateMachine):
    """Three products, two of which share a photo, and two slots."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(httpx, "create_ssl_context", _ssl_context)
        self.folder = Path(tempfile.mkdtemp())
        self.world = World(self.folder, concurrency=_SLOTS, forget_after=6 * HOUR)
        self.scripts = dict.fromkeys(_NAMES, "Hello.")
        self.forced = False

        # Nothing here is about a power cut.
        self.patch.setattr(os, "fsync", lambda _descriptor: None)

    def _products(self, chosen: list[str] | tuple[str, ...]) -> list[Product]:
        return [
            product(name, image=f"photo of {name[-1]}", script=self.scripts[name])
            for name in chosen
        ]

    def _run(self, chosen: list[str], **options: Any) -> None:
        # The probe may meet a fault: then nothing is sent.
        with contextlib.suppress(TopviewError):
            self.world.run(self._products(chosen), **options)

    # What runs do, and how they end.

    @rule(chosen=names, stages=stages, wait=waits)
    def run(self, chosen: list[str], stages: tuple[str, ...], wait: float) -> None:
        self._run(chosen, stages=stages, wait_seconds=wait)

    @rule(chosen=names, stages=stages)
    def force(self, chosen: list[str], stages: tuple[str, ...]) -> None:
        self.forced = True
        self._run(chosen, stages=stages, force=True)

    @rule(chosen=names, write=st.integers(1, 60), after_commit=st.booleans())
    def kill(self, chosen: list[str], write: int, after_commit: bool) -> None:
        with contextlib.suppress(TopviewError):
            self.world.kill_at(write, self._products(chosen), after_commit=after_commit)

    @rule(chosen=names, seconds=st.floats(0.0, 60.0))
    def stop(self, chosen: list[str], seconds: float) -> None:
        run_id = f"stopped {self.world.runs}"
        self._run(chosen, stop_after=seconds, run_id=run_id)
        self.world.ledger.orders.withdraw_runs([run_id], who="person")

    @rule(chosen=names, other=names, wait=waits)
    def overlap(self, chosen: list[str], other: list[str], wait: float) -> None:
        try:
            self.world.run_together(
                (self._products(chosen), {}), (self._products(other), {"wait_seconds": wait})
            )
        except TopviewError:
            self.world.clock.run(_nothing())

    @rule(chosen=names, other=names, write=st.integers(1, 60), after_commit=st.booleans())
    def overlap_of_which_one_is_killed(
        self, chosen: list[str], other: list[str], write: int, after_commit: bool
    ) -> None:
        dying = self.world.open_ledger()
        owner = Owner()
        death = Death(write, after_commit)

        async def die() -> None:
            with contextlib.suppress(Killed):
                await self.world.produce(self._products(chosen), ledger=dying, owner=owner)
            # Who looks at it from now on sees that it is gone; `leave` was never written.
            if death.came:
                self.world.watcher.dead.add(owner.id)

        async def together() -> None:
            await asyncio.gather(die(), self.world.produce(self._products(other)))

        try:
            with death.of(dying._database):
                self.world.clock.run(together())
        except TopviewError:
            with death.of(dying._database):
                self.world.clock.run(_nothing())
        finally:
            dying.close()

    @rule()
    def sensor(self) -> None:
        with contextlib.suppress(TopviewError):
            self.world.catch_up(self._products(_NAMES))

    # What time does: ids are forgotten after 6 hours, and what was finished is thrown away after
    # 7 days.

    @rule(seconds=st.sampled_from([60.0, HOUR, 7 * HOUR, 2 * DAY, 8 * DAY]))
    def time_passes(self, seconds: float) -> None:
        self.world.later(seconds)

    @rule(seconds=st.sampled_from([-DAY, -60.0, 60.0, DAY]))
    def clock_is_set(self, seconds: float) -> None:
        self.world.skew += seconds

    @rule(chosen=names, after=st.floats(0.0, 60.0), seconds=st.sampled_from([-DAY, HOUR, DAY]))
    def clock_is_set_during_a_run(self, chosen: list[str], after: float, seconds: float) -> None:
        def set_clock() -> None:
            self.world.skew += seconds

        self.world.clock.loop.call_later(after, set_clock)
        self._run(chosen)

    # What Topview and the account do.

    @rule(
        struck=st.sets(st.sampled_from(ALL_FAULTS), max_size=3), often=st.sampled_from([0.1, 0.5])
    )
    def faults(self, struck: set[str], often: float) -> None:
        self.world.set_faults(**dict.fromkeys(struck, often))

    @rule(left=st.sampled_from([0.0, 5000.0]))
    def credits_change(self, left: float) -> None:
        self.world.control("PUT", "credits", credits=left)

    @rule(revoked=st.booleans())
    def credentials_change(self, revoked: bool) -> None:
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
        """By Topview's own view of contents, and by fingerprint with its generation."""
        if not self.forced:
            # A scene whose ids Topview forgot was paid, and is made anew by design.
            anew = self.world.rows(TaskState.SUPERSEDED)
            assert len(self.world.counters()["duplicate_tasks"]) <= len(anew)
        rows = [row for row in self.world.rows() if row.stage in _PAID]
        successes = self._paid_successes()
        known = {row.topview_task_id: row for row in rows}
        paid = Counter(
            known[task].fingerprint
            for task in successes
            if task in known and known[task].state is not TaskState.SUPERSEDED
        )
        assert [fingerprint for fingerprint, times in paid.items() if times > 1] == []
        # The others are those whose answers were lost, each with a row that says so.
        unknown = {row.fingerprint for row in rows if row.state is TaskState.UNKNOWN}
        lost = [task for task in successes if task not in known]
        on_their_way = [row for row in rows if row.state is TaskState.RESERVED]
        assert len(lost) <= len(unknown) + len(on_their_way)
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
            self.patch.undo()
            shutil.rmtree(self.folder)

    def _all_comes_home(self) -> None:
        world = self.world
        world.set_faults()
        world.control("PUT", "credits", credits=9000.0)
        world.control("PUT", "credentials", revoked=False)
        # The last look is after Topview has thrown away what it finished.
        for seconds in (2 * HOUR, 2 * HOUR, 9 * DAY, 2 * HOUR):
            world.later(seconds)
            world.run(self._products(_NAMES))
            world.catch_up(self._products(_NAMES))
        self.nothing_is_paid_twice()
        self._every_success_is_stored_or_named()
        for order in world.ledger.orders.open_orders():
            assert order.held_reason is not None
            assert order.held_detail

    def _every_success_is_stored_or_named(self) -> None:
        rows = self.world.rows()
        assert [row for row in rows if row.state in _ON_THEIR_WAY] == []
        here = {row.topview_task_id for row in rows if row.state in _BROUGHT_HOME}
        named = [row for row in rows if row.state in (TaskState.UNKNOWN, TaskState.EXPIRED)]
        assert len(set(self._paid_successes()) - here) <= len(named)
        assert len(self.world.counters()["orphan_tasks"]) <= len(named)


async def _nothing() -> None:
    """Lets what a failed gather left behind come to its end."""
    await asyncio.sleep(2 * HOUR)


class MoreBadDays(BadDays):
    """The same, for longer than `make test` may take."""


_SETTINGS = settings(
    max_examples=8,
    stateful_step_count=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
BadDays.TestCase.settings = _SETTINGS
MoreBadDays.TestCase.settings = settings(_SETTINGS, max_examples=20, stateful_step_count=20)
TestBadDays = BadDays.TestCase
TestMoreBadDays = pytest.mark.slow(pytest.mark.timeout(600)(MoreBadDays.TestCase))
