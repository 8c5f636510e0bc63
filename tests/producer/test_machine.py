"""Any sequence of bad days: at most one paid success for a piece of work, and nothing lost."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.producer.conftest import _ssl_context
from tests.producer.test_faults import ALL_FAULTS
from tests.producer.world import ALL_STAGES, DAY, HOUR, World, product
from topview_pipeline.catalogue import Product
from topview_pipeline.ledger import TaskState
from topview_pipeline.topview.errors import TopviewError

_NAMES = ("a", "b", "twin of a")
_ON_THEIR_WAY = (TaskState.RESERVED, TaskState.PENDING, TaskState.SUCCEEDED, TaskState.STALLED)
_PAID = ALL_STAGES[1:]

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
        self.world = World(self.folder, concurrency=2, forget_after=6 * HOUR)
        self.scripts = dict.fromkeys(_NAMES, "Hello.")
        self.forced = False

    def _products(self, chosen: list[str] | tuple[str, ...]) -> list[Product]:
        return [
            product(name, image=f"photo of {name[-1]}", script=self.scripts[name])
            for name in chosen
        ]

    def _run(self, chosen: list[str], **options: Any) -> None:
        # The probe may meet a fault: then nothing is sent.
        with contextlib.suppress(TopviewError):
            self.world.run(self._products(chosen), **options)

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

    @rule()
    def sensor(self) -> None:
        with contextlib.suppress(TopviewError):
            self.world.catch_up(self._products(_NAMES))

    @rule(seconds=st.sampled_from([60.0, HOUR, 7 * HOUR, 2 * DAY]))
    def time_passes(self, seconds: float) -> None:
        self.world.later(seconds)

    @rule(seconds=st.sampled_from([-DAY, -60.0, 60.0, DAY]))
    def clock_is_set(self, seconds: float) -> None:
        self.world.skew += seconds

    @rule(
        struck=st.sets(st.sampled_from(ALL_FAULTS), max_size=3), often=st.sampled_from([0.1, 0.5])
    )
    def faults(self, struck: set[str], often: float) -> None:
        self.world.set_faults(**dict.fromkeys(struck, often))

    @rule(left=st.sampled_from([0.0, 5000.0]))
    def credits_change(self, left: float) -> None:
        self.world.control("PUT", "credits", credits=left)

    @rule(name=st.sampled_from(_NAMES), script=st.sampled_from(["Hello.", "Other words."]))
    def script_changes(self, name: str, script: str) -> None:
        self.scripts[name] = script

    @precondition(lambda self: any(self.folder.glob("store/**/*.png")))
    @rule(data=st.data())
    def a_file_is_deleted(self, data: st.DataObject) -> None:
        files = sorted(self.folder.glob("store/**/*.png"))
        files[data.draw(st.integers(0, len(files) - 1))].unlink()

    @invariant()
    def nothing_is_paid_twice(self) -> None:
        counters = self.world.counters()
        assert counters["slots"]["peak"] <= 2
        if not self.forced:
            assert counters["duplicate_tasks"] == []
        works = {row.fingerprint for row in self.world.rows() if row.stage in _PAID}
        succeeded = counters["succeeded"]
        assert sum(succeeded.get(kind, 0) for kind in ("image_replace", "image2Video")) <= len(
            works
        )

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
        # The last look is after Topview has thrown away what it finished.
        for seconds in (2 * HOUR, 2 * HOUR, 9 * DAY, 2 * HOUR):
            world.later(seconds)
            world.run(self._products(_NAMES))
            world.catch_up(self._products(_NAMES))
        self.nothing_is_paid_twice()
        assert world.rows(*_ON_THEIR_WAY) == []
        named = world.rows(TaskState.UNKNOWN, TaskState.EXPIRED)
        assert len(world.counters()["orphan_tasks"]) <= len(named)
        for order in world.ledger.orders.open_orders():
            assert order.held_reason is not None
            assert order.held_detail


async def _nothing() -> None:
    """Lets what a failed gather left behind come to its end."""
    await asyncio.sleep(2 * HOUR)


BadDays.TestCase.settings = settings(
    max_examples=8,
    stateful_step_count=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestBadDays = BadDays.TestCase
