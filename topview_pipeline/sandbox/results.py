"""What a query answers about a task: the result of each kind, with URLs signed anew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from .draws import fingerprint
from .kinds import Kind
from .records import File, Task

if TYPE_CHECKING:
    from .world import World

_Url = Callable[[File], "str | None"]


def task_result(
    world: World, task: Task, base: str, *, cloudfront: bool, urls: bool = True
) -> dict[str, Any]:
    """The `result` of a query. Fields of the outcome are null until the task has succeeded.

    Outputs whose ids were forgotten are left out, as if never made; URLs of media that are no
    longer kept are null.
    `urls=False` leaves out the URLs alone.
    """

    def url(file: File) -> str | None:
        return signed_url(world, file, base, cloudfront=cloudfront) if urls else None

    result: dict[str, Any] = {"taskId": task.id, "status": world.desk.status(task)}
    files = [world.state.files[file_id] for file_id in task.outputs]
    describe = {
        Kind.REMOVE_BACKGROUND: _cutout,
        Kind.IMAGE_REPLACE: _scenes,
        Kind.IMAGE2VIDEO: _video,
    }[task.kind]
    kept = [file for file in files if not world.state.forgotten(file)]
    result |= describe(task, kept, url)
    result |= {"errorMsg": task.error, "costCredit": task.cost}
    if task.version == "v3":
        result |= {"boardId": None, "boardTaskId": None}
    return result


def signed_url(world: World, file: File, base: str, *, cloudfront: bool) -> str | None:
    """A URL for a file that holds `url_seconds` from now; None once its media are gone."""
    if world.state.expired(file):
        return None
    sign = world.signer.cloudfront if cloudfront else world.signer.s3
    return sign(base, file.key, now=world.clock(), seconds=world.config.url_seconds)


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
    """Its name, in the form of the getting-started document's example."""
    accepted = datetime.fromtimestamp(task.accepted_at, timezone.utc)
    return f"Product Avatar_{accepted:%y%m%d%H%M%S}_1"
