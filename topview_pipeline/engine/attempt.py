"""One new task of a product: proved, uploaded, reserved in a slot, sent and polled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final

from topview_pipeline.engine.context import Context, ProductWork
from topview_pipeline.engine.events import (
    HoldReason,
    ProductHeldError,
    StoppedError,
    UpstreamDeadError,
)
from topview_pipeline.engine.inputs import ProductInputs
from topview_pipeline.engine.poll import Poller
from topview_pipeline.engine.product_gate import Turns
from topview_pipeline.engine.reconcile import RunReconciler
from topview_pipeline.engine.slots import Slots
from topview_pipeline.engine.submit import Gate, Sent, Submitter
from topview_pipeline.engine.upload import Uploader, without_dead_ids
from topview_pipeline.ledger import (
    AlreadyLive,
    Decided,
    NoSlot,
    OverLimit,
    Reservation,
    Review,
    Task,
    without_price,
)
from topview_pipeline.stages import FileNeeded, Stage, WorkItem, fingerprint_of
from topview_pipeline.topview.errors import AccountError, QueryError
from topview_pipeline.topview.models import TaskRequest

_AGAIN_SECONDS: Final = 600.0


@dataclass
class Parts:
    """The parts of an engine that products use."""

    slots: Slots
    gate: Gate
    uploader: Uploader
    submitter: Submitter
    poller: Poller
    looks: RunReconciler
    turns: Turns
    ahead: dict[str, asyncio.Semaphore]
    """By stage: how many products may have uploaded their files and wait for a slot."""


@dataclass(frozen=True)
class Attempt:
    """A new task that a product wants; what is not explained here is as in `Reservation`.

    Its methods raise what ends the product's way in this run.

    Attributes:
        left: the stages that the product still goes through, with this one.
        number: from 1, among the rows of its fingerprint.
    """

    context: Context
    parts: Parts
    work: ProductWork
    inputs: ProductInputs
    item: WorkItem
    left: Sequence[Stage]
    generation: int
    number: int
    queued_at: float
    seen: int
    recipe: str | None
    seen_of_recipe: int | None
    made_of: tuple[str, Review] | None

    async def make(self) -> Task | None:
        """Send it and wait for its end; None: the ledger's rows say what comes next."""
        stage, (_, *later) = self.item.stage, self.left
        self._check_may_send()
        await self.parts.gate.passed()
        if not stage.free:
            # A paid task is not made for a later stage that could not be paid.
            for one in later:
                await self._check_priced(one)
        with self.context.activity.asking():
            await self.inputs.prove(stage, self.item.mode, later)
        files = stage.files(self.item)
        sent = await self._send(files)
        if sent is Sent.UPSTREAM_GONE:
            if await self._is_upstream_gone():
                noun = self.context.by_key[str(stage.upstream)].noun
                raise UpstreamDeadError(f"Topview no longer knows the {noun} of this product")
            sent = await self._send(without_dead_ids(files), is_last=True)
        return await self.parts.poller.finish(sent) if isinstance(sent, Task) else None

    def _check_may_send(self) -> None:
        if self.context.stopping:
            raise StoppedError
        self.parts.gate.check()

    async def _check_priced(self, stage: Stage) -> None:
        """Raises ProductHeldError under a limit while nothing says what the stage costs."""
        context, limit = self.context, self._run_limit
        if limit is None and context.config.credit_limit is None:
            return
        mode = stage.likely_mode(self.work.product)
        found = await context.look(context.estimate, stage, mode, None)
        if found.credits is None:
            raise _over(without_price(found.source, limit, context.clock()))

    @property
    def _run_limit(self) -> float | None:
        retry = self.work.retry_of
        return self.context.run.credit_limit if retry is None else retry.credit_limit

    async def _send(self, files: Sequence[FileNeeded], *, is_last: bool = False) -> Task | Sent:
        """Upload, reserve and POST once; the accepted row, or what came of it."""
        item, stage, parts = self.item, self.item.stage, self.parts
        async with parts.ahead[stage.key] if files else nullcontext():
            self._check_may_send()
            ids = await parts.uploader.ids_for(files)
            request = stage.request(item, ids.by_role)
            reservation = await self._reservation(request)
            answer = await parts.slots.reserve(tuple(one.key for one in self.left), reservation)
        if isinstance(answer, (AlreadyLive, Decided, NoSlot)):
            return Sent.DECIDE
        if isinstance(answer, OverLimit):
            raise _over(answer)
        try:
            self._check_may_send()
        except BaseException:
            await parts.slots.void_unsent(answer.task)
            raise
        ids_of_ours = () if is_last else (*ids.ours, *stage.provider_ids(item))
        sent = await parts.submitter.send(answer.task, stage, request, ids_of_ours)
        if sent is Sent.UPSTREAM_GONE:
            await parts.uploader.forget(ids)
        return sent

    async def _reservation(self, request: TaskRequest) -> Reservation:
        item, stage, product = self.item, self.item.stage, self.work.product
        run, retry = self.context.run, self.work.retry_of
        seconds = await self.inputs.recorded(stage)
        return Reservation(
            stage=stage.key,
            product_id=product.product_id,
            work=item.work,
            generation=self.generation,
            fingerprint=fingerprint_of(item.work, self.generation),
            attempt=self.number,
            run_id=run.run_id,
            root_run_id=run.root_run_id if retry is None else retry.root_run_id,
            worker=self.context.worker,
            request=request.wire(),
            inputs=item.input_versions,
            mode=item.mode,
            seconds=stage.speech_seconds(product) if seconds is None else seconds,
            credit_limit=self._run_limit,
            queued_at=self.queued_at,
            deadline_seconds=self.context.deadline(stage),
            seen=self.seen,
            recipe=self.recipe,
            seen_of_recipe=self.seen_of_recipe,
            made_of=self.made_of,
        )

    async def _is_upstream_gone(self) -> bool:
        context = self.context
        try:
            with context.activity.asking():
                return await self.item.stage.upstream_is_gone(
                    context.client, self.item, sleep=asyncio.sleep, wait=context.timing.network
                )
        except AccountError:
            raise
        except QueryError as error:
            what = f"an id in the request is gone, and which one could not be found out: {error}"
            until = context.clock() + _AGAIN_SECONDS
            raise ProductHeldError(HoldReason.WAITING, what, until=until) from error


def _over(answer: OverLimit) -> ProductHeldError:
    reason = HoldReason.DAY_LIMIT if answer.of == "day" else HoldReason.RUN_LIMIT
    return ProductHeldError(reason, answer.detail, until=answer.until, fix=answer.fix)
