"""One product's way through its stages, and what is told of it. A coroutine per product.

Nothing waits for the batch, and one product's trouble is its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Protocol

from topview_pipeline.ledger import ForceRefused, HeldReason, Order, Task, TaskState
from topview_pipeline.producer.choosing import persons_choice
from topview_pipeline.producer.desk import Desk
from topview_pipeline.producer.dispatch import OrderChangedError
from topview_pipeline.producer.events import Failed, Held, Made
from topview_pipeline.producer.fetching import DownloadHeldError
from topview_pipeline.producer.following import Follower
from topview_pipeline.producer.making import Maker
from topview_pipeline.producer.noting import note_use
from topview_pipeline.producer.outcomes import (
    DeadImageError,
    FinalError,
    HeldError,
    WithdrawnError,
)
from topview_pipeline.producer.preferring import shape_with_choices
from topview_pipeline.producer.work import Piece, Work, piece_of, upstream_of
from topview_pipeline.stages import (
    FINISHED_VIDEO,
    REPLACED_IMAGES,
    STAGES,
    PreconditionError,
    Stage,
)
from topview_pipeline.stages.shapes import fingerprint_of

_FINISHABLE = (TaskState.PENDING, TaskState.SUCCEEDED)
_DOWNLOAD_AGAIN_SECONDS = 600.0


class Expectations(Protocol):
    """What is told how much work is left: `queueing.WaitingLine`."""

    def expect(self, chain: tuple[str, ...]) -> None:
        """These stages are to be made, too."""

    def finished(self, stage: str) -> None:
        """One of the expected stages is done."""


class Flow:
    """Takes one product through the stages that are ordered for it."""

    def __init__(self, desk: Desk, follower: Follower, maker: Maker, work: Work) -> None:
        self._desk = desk
        self._follower = follower
        self._maker = maker
        self._work = work
        self._results: dict[str, Task] = {}
        self._scene: Task | None = None
        """What the video is being made from: the very row, whatever is stored meanwhile."""
        self.orders = dict(work.orders)
        """The orders by stage key; a stage that is made anew gets another one."""
        self.left = [stage for stage in STAGES if stage.key in work.orders]
        """The stages not yet ended, in order."""

    @property
    def work(self) -> Work:
        """What this flow was given."""
        return self._work

    @property
    def chain(self) -> tuple[str, ...]:
        """Keys of the stages still to go."""
        return tuple(stage.key for stage in self.left)

    async def run(self, line: Expectations) -> None:
        """Go through the stages; `line` is told of each that ends with a result."""
        while self.left:
            stage = self.left[0]
            try:
                try:
                    await self._stage(stage, self.orders[stage.key])
                except DeadImageError as error:
                    self._scene_died(error, line)
                    continue
            except FinalError as error:
                self._failed(error)
                return
            except HeldError as error:
                self._held(error)
                return
            except WithdrawnError:
                if not self._desk.stopping:
                    self._withdrawn()
                return
            self.left.pop(0)
            line.finished(stage.key)

    def _scene_died(self, error: DeadImageError, line: Expectations) -> None:
        """Its row is superseded; ordered, the scene is made anew before the video.

        Not ordered, the video comes to a newer scene that another product had made, or is held.
        """
        if self._scene is None:  # only a video made from one can meet it
            raise error
        ordered = self.orders.get(REPLACED_IMAGES.key)
        again = self._desk.ledger.orders.supersede(
            self._scene.id,
            why=str(error),
            who=self._desk.me,
            order_id=None if ordered is None else ordered.id,
        )
        self._results.pop(REPLACED_IMAGES.key, None)
        if ordered is None:
            return
        if again is None:
            raise WithdrawnError
        self.orders[REPLACED_IMAGES.key] = again
        self.left.insert(0, REPLACED_IMAGES)
        line.expect((REPLACED_IMAGES.key,))

    async def _stage(self, stage: Stage, order: Order) -> None:
        try:
            piece, task = await self._made(stage, order)
            await note_use(self._desk, order, task)
        except PreconditionError as error:
            raise FinalError(error.what, error.mend) from error
        except ForceRefused as error:
            raise FinalError(str(error), "run again without force, or when it has ended") from error
        except DownloadHeldError as error:
            until = self._desk.clock() + _DOWNLOAD_AGAIN_SECONDS
            raise HeldError(HeldReason.DOWNLOAD, str(error), until=until) from error
        self._results[stage.key] = task
        self._desk.emit(Made(order.product_id, stage.key, task, order.id, piece.inputs))

    async def _made(self, stage: Stage, order: Order) -> tuple[Piece, Task]:
        """Make the stage; an order that is forced meanwhile wants another generation."""
        while True:
            piece = await self._piece(stage)
            generation = self._desk.ledger.orders.fix_generation(order, work=piece.work)
            await self._finish_what_runs(order, fingerprint_of(piece.work, generation))
            with contextlib.suppress(OrderChangedError):
                return piece, await self._maker.made(piece, order, generation, self.chain)

    async def _piece(self, stage: Stage) -> Piece:
        problem = self._work.problems.get(stage.key)
        if problem is not None:
            raise problem
        product, shape = self._work.product, self._work.shapes[stage.key]
        upstream = self._upstream(stage)
        preferred = None
        if stage is FINISHED_VIDEO and upstream is not None:
            people = self._desk.ledger.choices.scenes(product.product_id)
            chosen = people.get(product.product_id, [])
            preferred = persons_choice(self._desk, product, upstream, chosen)
            # The image and the version that stands for it are read at one time.
            shape = shape_with_choices(stage, shape, product, chosen)
            self._scene = upstream
        return piece_of(
            stage,
            product,
            shape,
            None if upstream is None else upstream_of(upstream),
            account=self._desk.ledger.account,
            preferred_image=preferred,
            when_no_face=self._desk.config.when_no_face,
        )

    def _upstream(self, stage: Stage) -> Task | None:
        """This run's result, else what the product last stored, even if its inputs changed."""
        if stage.upstream is None:
            return None
        product_id = self._work.product.product_id
        stored = self._desk.ledger.tasks.last_stored
        return self._results.get(stage.upstream) or stored(product_id, stage.upstream)

    async def _finish_what_runs(self, order: Order, fingerprint: str) -> None:
        """A task submitted for this order before its inputs changed is finished first."""
        if order.task_id is None:
            return
        task = self._desk.ledger.tasks.get(order.task_id)
        if task.fingerprint == fingerprint or task.state not in _FINISHABLE:
            return
        mine = self._maker.take_over(task)
        if mine is None:
            return
        # What is wanted now does not need it: the old row is brought home when it can be.
        with contextlib.suppress(DownloadHeldError):
            self._desk.emit_unordered(await self._follower.to_the_end(mine, ask_now=True))

    def _failed(self, error: FinalError) -> None:
        first, *later = self.left
        self._close(first, error.what, error.mend, error.task)
        for stage in later:
            self._close(stage, f"{first.key} of this product failed", error.mend, None)

    def _withdrawn(self) -> None:
        """This run still wants it: it must not end as if nothing was amiss."""
        what = "another run withdrew or ended the order"
        for stage in self.left:
            order = self.orders[stage.key]
            mend = "run it again if it is still wanted"
            self._desk.emit(Failed(order.product_id, stage.key, order.id, what, mend))
            what = f"{self.left[0].key} of this product was withdrawn or ended by another run"

    def _close(self, stage: Stage, what: str, mend: str, task: Task | None) -> None:
        order = self.orders[stage.key]
        failure: Mapping[str, str | None] = {
            "what": what,
            "mend": mend,
            "topview_task_id": None if task is None else task.topview_task_id,
        }
        self._desk.ledger.orders.failed(order.id, failure)
        self._desk.emit(Failed(order.product_id, stage.key, order.id, what, mend, task))

    def _held(self, error: HeldError) -> None:
        first, *later = self.left
        order = self.orders[first.key]
        self._desk.ledger.orders.hold(
            order.id, error.reason, error.detail, until=error.until, credits=error.credits
        )
        self._desk.emit(
            Held(
                order.product_id,
                first.key,
                order.id,
                error.reason,
                error.detail,
                error.until,
                error.task,
            )
        )
        for stage in later:
            waiting = self.orders[stage.key]
            detail = f"waits for {first.key}"
            self._desk.ledger.orders.hold(
                waiting.id, HeldReason.UPSTREAM, detail, until=error.until
            )
            self._desk.emit(
                Held(
                    order.product_id,
                    stage.key,
                    waiting.id,
                    HeldReason.UPSTREAM,
                    detail,
                    error.until,
                )
            )
