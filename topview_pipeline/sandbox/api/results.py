"""The answer of a query about a task, and the notice of its end to a client's `noticeUrl`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from topview_pipeline.sandbox.draws import fingerprint
from topview_pipeline.sandbox.kinds import FACTS, Kind

from .state import File, Task

if TYPE_CHECKING:
    from .world import World

logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 5.0
_LATE_SECONDS = 0.05
"""Wait before the next look at a task that is due but whose media are not ready."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")

_Url = Callable[[File], "str | None"]


def task_result(
    world: World, task: Task, base: str, *, cloudfront: bool, urls: bool = True
) -> dict[str, Any]:
    """The `result` of a query. Fields of the outcome are null until the task has succeeded.

    Outputs whose ids were forgotten are left out, as if never made; URLs of media that are no
    longer kept are null. `urls=False` leaves out the URLs alone.
    """
    sign = world.signer.cloudfront if cloudfront else world.signer.s3

    def url(file: File) -> str | None:
        if not urls or world.state.expired(file):
            return None
        return sign(base, file.key, now=world.clock(), seconds=world.config.url_seconds)

    describe = {
        Kind.REMOVE_BACKGROUND: _cutout,
        Kind.IMAGE_REPLACE: _scenes,
        Kind.IMAGE2VIDEO: _video,
    }[task.kind]
    files = [world.state.files[file_id] for file_id in task.outputs]
    kept = [file for file in files if not world.state.forgotten(file)]
    result = {"taskId": task.id, "status": _word(world, task), **describe(task, kept, url)}
    result |= {"errorMsg": task.error, "costCredit": task.cost}
    if task.version == "v3":
        result |= {"boardId": None, "boardTaskId": None}
    return result


def _word(world: World, task: Task) -> str:
    status = world.tasks.status(task)
    return world.config.contract.status_words.get(status, status)


def _cutout(_task: Task, files: list[File], url: _Url) -> dict[str, Any]:
    by_role = {file.role: file for file in files}
    result: dict[str, Any] = {}
    for role, prefix in (("cutout", "bgRemovedImage"), ("mask", "maskImage")):
        file = by_role.get(role)
        result |= {
            f"{prefix}FileId": file and file.id,
            f"{prefix}Path": file and url(file),
            f"{prefix}Width": file and file.width,
            f"{prefix}Height": file and file.height,
        }
    return result


def _scenes(task: Task, files: list[File], url: _Url) -> dict[str, Any]:
    images = [
        {"imageId": file.id, "faceExistence": file.face_existence, "url": url(file)}
        for file in files
    ]
    return {"replaceProductResult": images if task.succeeded else None}


def _video(task: Task, files: list[File], url: _Url) -> dict[str, Any]:
    if not task.succeeded:
        return {"finishedVideoUrl": None, "aiAvatar": None}
    urls = {file.role: url(file) for file in files}
    return {
        "finishedVideoUrl": urls.get("video"),
        "aiAvatar": {
            "aiavatarId": avatar_id(task),
            "aiavatarName": avatar_name(task),
            "gender": None,
            "coverUrl": urls.get("cover"),
            "previewVideoUrl": urls.get("preview"),
            "ethnicities": None,
            "voiceoverIdDefault": task.params["voice_id"] or None,
            "faceSquareConfig": None,
        },
    }


def avatar_id(task: Task) -> str:
    """The id of the avatar that a video task leaves."""
    return fingerprint("aiavatar", task.id)


def avatar_name(task: Task) -> str:
    """The name of that avatar, in the form of the getting-started document's example."""
    accepted = datetime.fromtimestamp(task.accepted_at, timezone.utc)
    return f"Product Avatar_{accepted:%y%m%d%H%M%S}_1"


class Notices:
    """Notices that wait for their task's end or are on their way.

    Each is sent once, to loopback addresses alone: a sandbox talks to nobody else. Topview's
    documents do not say if the real service sends again.
    """

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
            "status": _word(world, task),
            "errorMsg": task.error,
            "result": task_result(world, task, task.base, cloudfront=False),
        }
        headers = {"Topview-Uid": task.uid}
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
                response = await client.post(task.notice_url, json=body, headers=headers)
            delivered = response.is_success
        except httpx.HTTPError as error:
            logger.warning("the notice of task %s was not delivered: %r", task.id, error)
            delivered = False
        world.tally.notices["delivered" if delivered else "failed"] += 1
