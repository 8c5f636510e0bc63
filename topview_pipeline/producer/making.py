"""Makes one piece of work: decide by the rows, act, decide again until it is stored."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from datetime import datetime, timezone
from typing import Final

from topview_pipeline.artifacts import Artifact, StoreError
from topview_pipeline.ledger import HeldReason, IllegalMove, Order, Task, TaskState
from topview_pipeline.producer.abandoned import DIED
from topview_pipeline.producer.decision import Action, Circumstances, Decision, decide
from topview_pipeline.producer.desk import Desk
from topview_pipeline.producer.following import Follower
from topview_pipeline.producer.lost_answers import LostAnswers
from topview_pipeline.producer.lost_rows import check_no_row_is_lost
from topview_pipeline.producer.outcomes import FinalError, HeldError
from topview_pipeline.producer.sending import Sender
from topview_pipeline.producer.work import Piece
from topview_pipeline.stages import Stage
from topview_pipeline.stages.shapes import fingerprint_of

_LONGEST_WAIT_IN_RUN: Final = 300.0
"""A retry due later than this is left to a later run."""


class Maker:
    """Brings pieces of work into the store, by whatever way their rows leave open."""

    def __init__(
        self, desk: Desk, follower: Follower, sender: Sender, lost_answers: LostAnswers
    ) -> None:
        self._desk = desk
        self._follower = follower
        self._sender = sender
        self._lost_answers = lost_answers

    async def made(
        self, piece: Piece, order: Order, generation: int, chain: tuple[str, ...]
    ) -> Task:
        """The stored row of a piece of work.

        Args:
            chain: keys of the stages that the product still has before it, this one first.

        Raises:
            HeldError, FinalError, WithdrawnError: it cannot be made now.
            DeadImageError: not from this scene, whose image Topview forgot.
            PreconditionError: the request cannot be made.
            OrderChangedError: the order was forced meanwhile.
            DownloadHeldError: finished at Topview, and not to be brought into the store now.
        """
        fingerprint = fingerprint_of(piece.work, generation)
        if not self._desk.ledger.tasks.of_fingerprint(fingerprint):
            await check_no_row_is_lost(self._desk, piece, fingerprint)
        queued_at = self._desk.clock()
        linked: int | None = None  # another run may have linked the order since it was read
        while True:
            decision = await self._decide(piece.stage, fingerprint)
            row = decision.task
            if row is not None and row.id != linked and decision.action is not Action.SUBMIT:
                self._desk.ledger.orders.works_by(order.id, row.id)
                linked = row.id
            if decision.action is Action.REUSE and row is not None:
                return row
            if decision.action is Action.SUBMIT:
                sent = await self._sender.send(
                    piece,
                    order,
                    generation=generation,
                    attempt=decision.attempt,
                    chain=chain,
                    queued_at=queued_at,
                )
                if sent is None:
                    continue
                linked = sent.id  # the reservation did that
                ended = await self._follower.to_the_end(sent)
                if ended.state is TaskState.STORED:
                    return ended
            elif row is not None:
                await self._act(decision, row)

    async def _decide(self, stage: Stage, fingerprint: str) -> Decision:
        rows = self._desk.ledger.tasks.of_fingerprint(fingerprint)
        there = {row.id for row in rows if await self._is_there(row)}
        return decide(rows, self._circumstances(stage, there))

    def _circumstances(self, stage: Stage, there: Collection[int]) -> Circumstances:
        return Circumstances(
            now=self._desk.clock(),
            me=self._desk.me,
            run_id=self._desk.run.run_id,
            explicit=self._desk.run.explicit,
            free=stage.free,
            submit_seconds=self._desk.submit_seconds,
            is_alive=self._desk.ledger.producers.is_alive,
            is_stored=lambda row: row.id in there,
        )

    async def _is_there(self, row: Task) -> bool:
        if row.state is not TaskState.STORED:
            return False
        artifacts = [Artifact.from_json(artifact) for artifact in row.artifacts or ()]
        try:
            found = [await self._desk.offload(self._desk.store.has, one) for one in artifacts]
        except StoreError as error:
            raise HeldError(HeldReason.DOWNLOAD, str(error), task=row) from error
        return bool(artifacts) and all(found)

    async def _act(self, decision: Decision, row: Task) -> None:
        """Do what the decision says about a row, then it is decided again."""
        action = decision.action
        if action in (Action.FOLLOW, Action.DOWNLOAD, Action.ASK):
            fresh = self._follower.follows(row.id) or row.owner == self._desk.me
            mine = self.take_over(row)
            if mine is None:
                await self._look_away()
            else:
                gone = mine.state is TaskState.STORED and row.state is TaskState.STORED
                await self._follower.to_the_end(mine, ask_now=not fresh, files_gone=gone)
        elif action is Action.WATCH:
            await self._look_away()
        elif action is Action.TO_UNKNOWN:
            self._end(row, TaskState.UNKNOWN, DIED)
        elif action is Action.RELEASE:
            self._end(row, TaskState.RELEASED, "free, and past its deadline without an answer")
        elif action is Action.HOLD_RETRY:
            await self._wait_or_hold(decision, row)
        elif action is Action.HOLD_UNKNOWN and await self._lost_answers.is_settled(row):
            return
        else:
            raise _ending(decision, row, why=self._lost_answers.why_left(row))

    async def _look_away(self) -> None:
        """Somebody else works on it: let some time pass before the next look at its row."""
        await asyncio.sleep(min(self._desk.config.poll_seconds, 1.0))

    async def _wait_or_hold(self, decision: Decision, row: Task) -> None:
        wait = (decision.until or 0.0) - self._desk.clock()
        if wait > min(_LONGEST_WAIT_IN_RUN, self._desk.config.wait_seconds):
            raise HeldError(
                HeldReason.RETRY, row.error_message or "failed", until=decision.until, task=row
            )
        await asyncio.sleep(max(wait, 0.0))

    def take_over(self, row: Task) -> Task | None:
        """Watch this row, returned as it is now; None when a living producer does."""
        producers = self._desk.ledger.producers
        return self._desk.ledger.tasks.adopt(
            row.id, owner=self._desk.me, is_alive=producers.is_alive
        )

    def _end(self, row: Task, state: TaskState, why: str) -> None:
        with contextlib.suppress(IllegalMove):  # moved meanwhile: it is decided again anyway
            self._desk.ledger.tasks.ended(row.id, state, why=why, who=self._desk.me)


_HOLDS: Final = {
    Action.HOLD_UNKNOWN: (
        HeldReason.UNKNOWN,
        "the answer to the submit was lost, so it may be paid; it is not sent again",
    ),
    Action.HOLD_STALLED: (HeldReason.STALLED, "Topview has not finished it within its deadline"),
    Action.HOLD_EXPIRED: (
        HeldReason.EXPIRED,
        "it was finished at Topview and can no longer be downloaded; only force makes it anew",
    ),
    Action.HOLD_DEAD_IMAGE: (
        HeldReason.DEAD_IMAGE,
        "Topview forgot its images, and forgot those that this run had made anew; a new run "
        "tries once more",
    ),
}


def _moment(row: Task) -> str:
    when = datetime.fromtimestamp(row.closed_at or row.reserved_at, timezone.utc)
    return f"{when:%Y-%m-%d %H:%M} UTC"


def _ending(decision: Decision, row: Task, *, why: str | None) -> HeldError | FinalError:
    """The decisions that end a stage without a result; `why` the row stays unknown, if it does."""
    if decision.action in _HOLDS:
        reason, detail = _HOLDS[decision.action]
        detail = f"{detail} ({why})" if why is not None else detail
        return HeldError(reason, detail, until=decision.until, task=row)
    message = row.error_message or "Topview gave no reason"
    if decision.action is Action.REFUSED:
        return FinalError(
            f"{message} ({_moment(row)})",
            "change what is refused in the catalogue; the same request is only sent again with "
            "force",
            row,
        )
    return FinalError(
        f"failed {row.attempt} times, last: {message}",
        "run it again for one more attempt; if it goes on, change the inputs",
        row,
    )
