"""From a decision to submit to an accepted task: files, slot, POST, and a second go if ids died."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext

from topview_pipeline.ledger import (
    AlreadyLive,
    HeldReason,
    NoSlot,
    Order,
    OrderClosed,
    OverLimit,
    Paused,
    Reservation,
    Task,
)
from topview_pipeline.producer.account import Gate, paused
from topview_pipeline.producer.desk import Desk
from topview_pipeline.producer.dispatch import Dispatcher
from topview_pipeline.producer.images import check_image
from topview_pipeline.producer.outcomes import FinalError, HeldError, WithdrawnError
from topview_pipeline.producer.proving import Prover
from topview_pipeline.producer.submitting import Sent, Submitter
from topview_pipeline.producer.uploading import FileIds, Uploader
from topview_pipeline.producer.work import Piece
from topview_pipeline.stages import FINISHED_VIDEO, REPLACED_IMAGES
from topview_pipeline.stages.estimates import speech_seconds
from topview_pipeline.stages.requests import FileNeeded, build_request, files_needed
from topview_pipeline.stages.shapes import fingerprint_of
from topview_pipeline.topview.errors import AccountError

_AHEAD = 8
"""Products beyond the slots whose files are uploaded ahead of their turn."""


class Sender:
    """Gets pieces of work accepted by Topview."""

    def __init__(
        self, desk: Desk, gate: Gate, dispatcher: Dispatcher, submitter: Submitter
    ) -> None:
        self._desk = desk
        self._gate = gate
        self._dispatcher = dispatcher
        self._submitter = submitter
        self._uploader = Uploader(desk)
        self._prover = Prover(desk, self._uploader)
        self._ahead: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(desk.config.slots + _AHEAD)
        )

    async def send(
        self,
        piece: Piece,
        order: Order,
        *,
        generation: int,
        attempt: int,
        chain: tuple[str, ...],
        queued_at: float,
    ) -> Task | None:
        """Reserve and submit once; the accepted row, or None: then the ledger says what came of it.

        Raises:
            PreconditionError: the request cannot be made.
            HeldError: the account is paused, or Topview does not say which id is dead.
            DeadImageError: the scene's image is.
            WithdrawnError: the order is closed, or the producer stops.
        """
        await self._gate.passed()
        if piece.stage is REPLACED_IMAGES and FINISHED_VIDEO.key in chain:
            # A scene is paid for: not for a video that could not succeed.
            await self._prover.prove(piece.product)
        files = files_needed(piece.stage, piece.product, piece.shape, piece.upstream)
        sent = await self._once(piece, order, files, generation, attempt, chain, queued_at)
        if sent is Sent.UPSTREAM_GONE:
            await check_image(self._desk, piece)
            again = [_made_anew(needed) for needed in files]
            sent = await self._once(
                piece, order, again, generation, attempt, chain, queued_at, ids_may_be_dead=False
            )
        return None if isinstance(sent, Sent) else sent

    async def _once(
        self,
        piece: Piece,
        order: Order,
        files: Sequence[FileNeeded],
        generation: int,
        attempt: int,
        chain: tuple[str, ...],
        queued_at: float,
        *,
        ids_may_be_dead: bool = True,
    ) -> Task | Sent:
        async with self._ahead[piece.stage.key] if files else nullcontext():
            ids = await self._ids(files, piece.mode)
            request = build_request(piece.stage, piece.product, ids.by_role, piece.chosen)
            seconds = await self._seconds(piece)
            estimate = self._desk.estimate(piece.stage, piece.mode, seconds)
            reservation = Reservation(
                order_id=order.id,
                stage=piece.stage.key,
                product_id=piece.product.product_id,
                work=piece.work,
                generation=generation,
                fingerprint=fingerprint_of(piece.work, generation),
                attempt=attempt,
                run_id=self._desk.run.run_id,
                root_run_id=order.root_run_id,
                owner=self._desk.me,
                request=request.wire(),
                inputs=piece.inputs,
                mode=piece.mode,
                seconds=seconds,
                estimate=estimate.credits,
                estimate_source=estimate.source,
                queued_at=queued_at,
                deadline_seconds=self._desk.deadline(piece.stage),
            )
            answer = await self._dispatcher.reserve(chain, reservation)
        if isinstance(answer, (AlreadyLive, NoSlot)):
            return Sent.DECIDE
        if isinstance(answer, OrderClosed):
            raise _closed(answer)
        if isinstance(answer, OverLimit):
            raise HeldError(
                answer.reason, answer.detail, until=answer.until, credits=answer.estimate
            )
        if isinstance(answer, Paused):
            raise HeldError(HeldReason.PAUSE, answer.message, until=answer.probe_at)
        if self._desk.stopping:
            self._dispatcher.release_unsent(answer.task)
            raise WithdrawnError
        ours = self._ids_of_ours(piece, ids) if ids_may_be_dead else ()
        sent = await self._submitter.send(answer.task, request, ours)
        if sent is Sent.PAUSED:
            raise paused(self._desk)
        if sent is Sent.UPSTREAM_GONE:
            self._uploader.forget(ids)
        return sent

    async def _ids(self, files: Sequence[FileNeeded], mode: str | None) -> FileIds:
        if self._desk.stopping:
            raise WithdrawnError
        try:
            return await self._uploader.ids_for(files, mode=mode)
        except AccountError as error:
            await self._submitter.pause(error)
            raise paused(self._desk) from error

    async def _seconds(self, piece: Piece) -> float | None:
        """How long the speech of a video is, for its price; None where nobody can tell."""
        if piece.stage is FINISHED_VIDEO and piece.product.audio is not None:
            return await self._uploader.seconds_of(piece.product.audio)
        return speech_seconds(piece.stage, piece.product)

    def _ids_of_ours(self, piece: Piece, ids: FileIds) -> tuple[str, ...]:
        if piece.stage is FINISHED_VIDEO and piece.chosen is not None:
            return (*ids.ours, piece.chosen.image_id)
        return tuple(ids.ours)


def _closed(answer: OrderClosed) -> FinalError | WithdrawnError:
    """How an order ended that another run closed while this one was waiting."""
    if answer.failure is None:
        return WithdrawnError()
    what, mend = (str(answer.failure.get(name) or "") for name in ("what", "mend"))
    return FinalError(what, mend)


def _made_anew(needed: FileNeeded) -> FileNeeded:
    """The file without Topview's id, when there are bytes of ours to make a new one from."""
    if not needed.can_be_uploaded:
        return needed
    return FileNeeded(
        needed.role,
        needed.kind,
        sha256=needed.sha256,
        source=needed.source,
        artifact=needed.artifact,
    )
