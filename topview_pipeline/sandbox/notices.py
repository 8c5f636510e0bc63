"""Telling a client's `noticeUrl` that a task has ended.

Sent once, to loopback addresses alone: a sandbox talks to nobody else. Whether the real service
sends again is not documented.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from .kinds import FACTS
from .records import Task
from .results import task_result

if TYPE_CHECKING:
    from .world import World

logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 5.0
_LATE_SECONDS = 0.05
"""How soon to look again at a task that is due but whose media are not ready."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Notices:
    """Notices that wait for their task's end or are on their way."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def watch(self, world: World, task: Task) -> None:
        """See to it that a task with a `noticeUrl` is settled in time though nobody asks."""
        self._run(self._settle_when_due(world, task))

    def send(self, world: World, task: Task) -> None:
        """Send a task's notice without waiting for its receiver."""
        if urlsplit(task.notice_url).hostname not in _LOOPBACK:
            world.tally.notices["not_loopback"] += 1
            return
        self._run(self._send(world, task))

    def _run(self, job: Coroutine[None, None, None]) -> None:
        running = asyncio.get_running_loop().create_task(job)
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _settle_when_due(self, world: World, task: Task) -> None:
        while task.ended_at is None and task.id in world.state.tasks:
            await world.sleep(max(_LATE_SECONDS, task.ends_at - world.clock()))
            world.settle()

    async def _send(self, world: World, task: Task) -> None:
        body = {
            "uuid": task.notice_uuid,
            "bizType": FACTS[task.kind].biz_type,
            "taskId": task.id,
            "status": world.desk.status(task),
            "errorMsg": task.error,
            "result": task_result(world, task, task.base, cloudfront=False),
        }
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
                response = await client.post(
                    task.notice_url, json=body, headers={"Topview-Uid": task.uid}
                )
            delivered = response.is_success
        except httpx.HTTPError as error:
            logger.warning("the notice of task %s was not delivered: %r", task.id, error)
            delivered = False
        world.tally.notices["delivered" if delivered else "failed"] += 1
