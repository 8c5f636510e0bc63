"""Places where processes work, die and are followed by others: a workshop without Dagster, a shop
with it. Each has a sandbox, and a folder that outlives the processes.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import dagster as dg
import pytest

from tests.defs.shop import Shop
from tests.engine.world import product
from tests.scenarios.life import TERMINATED, Fates, Life, born, ended
from tests.scenarios.windows import End
from topview_pipeline.catalogue import Product
from topview_pipeline.defs.instance import DAGSTER_YAML
from topview_pipeline.engine import Timing
from topview_pipeline.ledger import DEAD_AFTER_SECONDS, Ledger, Task, TaskState
from topview_pipeline.testing import Sandbox, sandbox

SLOTS = 2
MUG = product("mug")
_QUICK: Mapping[str, Any] = {"slots": SLOTS, "poll_seconds": 0.02, "wait_seconds": 20.0}
_QUICK_TIMING = Timing(retry=0.05, busy=0.05, network=0.02)


@dataclass
class Workshop:
    """Lets processes live, one after the other or together, against one sandbox."""

    folder: Path
    sandbox: Sandbox
    config: Mapping[str, Any] = field(default_factory=lambda: dict(_QUICK))
    timing: Timing = _QUICK_TIMING
    lives: int = 0
    ahead: float = 0.0
    """Seconds that every clock, Topview's too, is ahead of the machine's."""

    def later(self, seconds: float = DEAD_AFTER_SECONDS + 1.0) -> None:
        """Time passes, here and at Topview; by default until a killed worker counts as dead."""
        self.ahead += seconds
        self.sandbox.advance_clock(seconds)

    def life(self, *products: Product, **given: Any) -> Life:
        """A life over these products, by default the mug; `given` are fields of Life."""
        self.lives += 1
        given.setdefault("run_id", f"run-{self.lives}")
        return self._life(products or (MUG,), **given)

    def _life(self, products: tuple[Product, ...], **given: Any) -> Life:
        return Life(
            self.folder,
            self.sandbox.base_url,
            self.sandbox.uid,
            self.sandbox.api_key,
            products,
            **{"config": self.config, "timing": self.timing, "ahead": self.ahead, **given},
        )

    def run(self, life: Life) -> Fates:
        """A life that ends by itself."""
        with born(life) as process:
            exit_code, ends = ended(life, process)
        assert exit_code == 0
        return ends

    def ended_at(self, window: str, stage: int, by: signal.Signals, **given: Any) -> Life:
        """A life over the mug that ended in this window; it really came to that.

        A worker that was killed counts as dead when this returns.
        """
        life = self.life(end=End(window, stage, by), **given)
        with born(life) as process:
            exit_code, _ = ended(life, process)
        assert exit_code == (-signal.SIGKILL if by is signal.SIGKILL else TERMINATED)
        self.later()
        return life

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger, as the test looks into it."""
        ledger = self._life((), run_id="the test").ledger()
        try:
            yield ledger
        finally:
            ledger.close()

    def rows(self, *states: TaskState) -> list[Task]:
        """The task rows in these states, or all."""
        with self.ledger() as ledger:
            return ledger.tasks.in_state(states or tuple(TaskState))

    def events(self) -> list[tuple[str, str]]:
        """(product, stage) of every event that Dagster would have, in order."""
        path = self.folder / "events.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [(name, stage) for name, stage in map(json.loads, lines)]

    def submits(self) -> int:
        """Number of submits that reached Topview, whatever became of them."""
        return sum(self.sandbox.counters()["submits"].values())

    def assert_nothing_paid_twice_nor_lost(self) -> None:
        """No second success of paid work; every paid success is here, or named as unknown."""
        counters = self.sandbox.counters()
        assert counters["duplicate_tasks"] == []
        assert len(counters["orphan_tasks"]) <= len(self.rows(TaskState.UNKNOWN))
        assert counters["slots"]["peak"] <= counters["slots"]["concurrency"]
        assert self.rows(TaskState.RESERVED, TaskState.PENDING, TaskState.SUCCEEDED) == []


class MakeWorkshop(Protocol):
    """Opens a workshop whose sandbox has these settings."""

    def __call__(self, **settings: Any) -> Workshop: ...


class MakeShop(Protocol):
    """Opens a shop whose sandbox has these settings."""

    def __call__(self, **settings: Any) -> Shop: ...


@contextmanager
def open_shop(folder: Path, yaml: str = DAGSTER_YAML, **given: Any) -> Iterator[Shop]:
    """A shop whose instance and sandbox other processes reach.

    Args:
        yaml: the instance's dagster.yaml.
        given: settings of the sandbox.
    """
    home = folder / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text(yaml, encoding="utf-8")
    # The clock may be moved by months: nothing signed may run out by that.
    lasting = {"url_seconds": 10**8, "upload_url_seconds": 10**8}
    settings = {"speed": 1.0, "sigma": 0.01, "concurrency": SLOTS, **lasting, **given}
    with sandbox(**settings) as topview, dg.DagsterInstance.from_config(str(home)) as instance:
        shop = Shop(folder, topview, instance)
        shop.settings["TOPVIEW_SLOTS"] = str(settings["concurrency"])
        yield shop


@pytest.fixture
def make_shop(tmp_path: Path) -> Iterator[MakeShop]:
    with ExitStack() as stack:
        yield lambda **given: stack.enter_context(open_shop(tmp_path, **given))


@pytest.fixture
def make_workshop(tmp_path: Path) -> Iterator[MakeWorkshop]:
    with ExitStack() as stack:

        def make(**given: Any) -> Workshop:
            medians = dict.fromkeys(("remove_background", "image_replace", "image2Video"), 0.02)
            settings = {"speed": 1.0, "medians": medians, "concurrency": SLOTS, **given}
            return Workshop(tmp_path, stack.enter_context(sandbox(**settings)))

        yield make


@pytest.fixture
def workshop(make_workshop: MakeWorkshop) -> Workshop:
    return make_workshop()
