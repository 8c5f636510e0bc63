"""The account's pause: when it begins, and the cheap probe that may end it."""

from __future__ import annotations

import asyncio

from topview_pipeline.ledger import HeldReason
from topview_pipeline.producer.desk import Desk
from topview_pipeline.producer.outcomes import HeldError
from topview_pipeline.topview.errors import AccountError, NotTopview, QueryError

NO_CREDITS = "4100"
_LONGEST_WAIT_SECONDS = 60.0
_STRANGE_ANSWERS = 3
"""Answers that are none of Topview's, until the base URL is taken for wrong: a gateway in trouble
answers with a page of its own, too."""


async def pause_account(desk: Desk, error: AccountError) -> None:
    """Stop all submits of the account, in all runs; tasks that run are still queried."""
    stop_submits(desk, error)
    await note_credits(desk)


def stop_submits(desk: Desk, error: AccountError) -> None:
    """The pause itself: at once, so that nothing is sent while we look at the credits."""
    desk.ledger.accounts.stop_submits(
        code=error.code or str(error.http_status or "account"), message=str(error), who=desk.me
    )


async def note_credits(desk: Desk) -> None:
    """After 4100: what is left, so that a probe can tell whether it has grown."""
    pause = desk.ledger.accounts.pause()
    if pause is None or pause.code != NO_CREDITS or pause.credits is not None:
        return
    try:
        with desk.activity.asking():
            left = (await desk.client.credit_detail()).remain_credit
    except QueryError:
        return
    if left is not None:
        desk.ledger.accounts.note_credits(left)


async def probe(desk: Desk) -> None:
    """Look whether Topview answers for this account, before the first submit of a run.

    A wrong base URL then makes no unknown rows, and a pause ends by itself: after 4100 the
    credits must have grown. A good probe lets one submit through as a trial.

    Raises:
        AccountError: credentials or uid are refused; the account is paused.
        NotTopview: the base URL is something else.
        Unavailable: nothing answers.
    """
    try:
        detail = await desk.client.check_account()
    except AccountError as error:
        await pause_account(desk, error)
        raise
    pause = desk.ledger.accounts.pause()
    if pause is None:
        return
    if pause.code == NO_CREDITS and not _grown(detail.remain_credit, pause.credits):
        desk.ledger.accounts.stop_submits(code=pause.code, message=pause.message, who=desk.me)
        return
    desk.ledger.accounts.allow_trial(who=desk.me)


def _grown(now: float | None, then: float | None) -> bool:
    return now is not None and now > (then or 0.0)


class Gate:
    """Nothing is uploaded or submitted before Topview has answered for this account once.

    What needs nothing new from Topview does not pass here: results in the store are taken from
    there also while Topview cannot be reached.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = asyncio.Lock()
        self._is_open = False
        self._refused: HeldError | None = None
        self.trouble: str | None = None

    async def passed(self) -> None:
        """Wait until Topview answers for the account; the run's wait time bounds it.

        Raises:
            HeldError: credentials or uid are refused; the account is paused.
            NotTopview: the base URL is something else.
        """
        wait = self._desk.config.network_seconds
        strange = 0
        async with self._lock:
            if self._refused is not None:
                raise self._refused
            while not self._is_open:
                try:
                    with self._desk.activity.asking():
                        await probe(self._desk)
                except AccountError as error:
                    self._refused = paused(self._desk)
                    raise self._refused from error
                except NotTopview:
                    strange += 1
                    if strange == _STRANGE_ANSWERS:
                        raise
                    await asyncio.sleep(wait)
                except QueryError as error:
                    self.trouble = str(error)
                    await asyncio.sleep(wait)
                    wait = min(wait * 2, _LONGEST_WAIT_SECONDS)
                else:
                    self._is_open = True
                    self.trouble = None
                    self._desk.activity.progress()


def paused(desk: Desk) -> HeldError:
    """How a product ends while the account's submits are paused."""
    pause = desk.ledger.accounts.pause()
    if pause is None:  # it ended in the meantime: look again at once
        return HeldError(HeldReason.PAUSE, "the account was paused", until=desk.clock())
    return HeldError(HeldReason.PAUSE, pause.message, until=pause.probe_at)
