"""Tasks that nobody watches: a dead run's, or those of orders that were withdrawn.

They are brought into the store and told of, though no order of this run waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from topview_pipeline.ledger import Task, TaskState
from topview_pipeline.producer.abandoned import take_for_unknown
from topview_pipeline.producer.desk import Desk
from topview_pipeline.producer.dispatch import Dispatcher
from topview_pipeline.producer.events import Failed
from topview_pipeline.producer.fetching import DownloadHeldError
from topview_pipeline.producer.following import Follower
from topview_pipeline.producer.making import Maker

_ENDS: Final = {
    TaskState.FAILED: "order it again if it is still wanted",
    TaskState.STALLED: "nothing: it is asked for hourly",
    TaskState.EXPIRED: "order it with force to have it made, and paid, anew",
}
"""What to do about a stray that came to nothing (yet)."""
_LOOK_SECONDS: Final = 30.0
"""How often a producer short of slots looks for tasks that nobody watches."""


class Strays:
    """Brings strays home.

    Args:
        on_the_way_to: the running flows that may yet come to a row by their own order.
        ended: told of each stray's coroutine that is over.
    """

    def __init__(
        self,
        desk: Desk,
        dispatcher: Dispatcher,
        follower: Follower,
        maker: Maker,
        *,
        on_the_way_to: Callable[[Task], Collection[asyncio.Task[Any]]],
        ended: Callable[[asyncio.Task[None]], None],
    ) -> None:
        self._desk = desk
        self._dispatcher = dispatcher
        self._follower = follower
        self._maker = maker
        self._on_the_way_to = on_the_way_to
        self._ended = ended
        self.running: set[asyncio.Task[None]] = set()

    def take(self, rows: Iterable[Task]) -> None:
        """Watch these rows, but for those that somebody watches."""
        for row in rows:
            if self._follower.follows(row.id):
                continue
            mine = self._maker.take_over(row)
            if mine is None:
                continue
            stray = asyncio.create_task(self._bring_home(mine))
            self.running.add(stray)
            stray.add_done_callback(self._stray_ended)

    def settle_reserved(self) -> None:
        """A dead run's reserved rows hold slots, too."""
        take_for_unknown(
            self._desk.ledger,
            now=self._desk.clock(),
            submit_seconds=self._desk.submit_seconds,
            who=self._desk.me,
        )

    async def serve(self) -> None:
        """A dead run's tasks hold slots until somebody queries them: do that when slots lack."""
        while True:
            await self._dispatcher.short_of_slots.wait()
            self._dispatcher.short_of_slots.clear()
            self.settle_reserved()
            rows = self._desk.ledger.tasks.in_state((TaskState.PENDING,))
            alive = self._desk.ledger.producers.is_alive
            self.take(row for row in rows if row.owner != self._desk.me and not alive(row.owner))
            await asyncio.sleep(_LOOK_SECONDS)

    def _stray_ended(self, stray: asyncio.Task[None]) -> None:
        self.running.discard(stray)
        self._ended(stray)

    async def _bring_home(self, row: Task) -> None:
        trouble = None
        if row.state is not TaskState.STORED:
            try:
                row = await self._follower.to_the_end(row, ask_now=True)
            except DownloadHeldError as error:
                # The row stays succeeded, and the sensor looks again; the run says so.
                trouble = (str(error), "nothing: the download is tried again by itself")
        if trouble is None and row.state in _ENDS:
            what = f"nobody orders it any more, and {row.error_message or 'it failed'}"
            trouble = (what, _ENDS[row.state])
        flows = self._on_the_way_to(row)
        if flows:  # by their own order, they tell of it as what was ordered
            await asyncio.wait(flows)
        elif trouble is not None and not self._desk.ledger.orders.want(row):
            self._desk.emit(Failed(row.product_id, row.stage, None, *trouble, row))
        self._desk.emit_unordered(row)
