"""Upload: a credential, the PUT that it allows (in objects.py), and the check."""

from typing import Any

from starlette.routing import Route

from topview_pipeline.sandbox.wire import ApiError, base_of, query_text

from .endpoint import Call, endpoint

_FORMATS = frozenset(
    {"png", "jpg", "jpeg", "bmp", "webp", "mp3", "wav", "m4a", "mp4", "avi", "mov"}
)
"""What the official client uploads."""


async def _credential(call: Call) -> dict[str, Any]:
    extension = query_text(call.request, "format").lower().lstrip(".")
    if not extension:
        raise ApiError("4003", "format")
    if extension not in _FORMATS:
        raise ApiError("4000", f"format {extension!r} is none of {', '.join(sorted(_FORMATS))}")
    world = call.world
    file = world.state.new_upload(call.account.uid, extension)
    world.state.save_file(file)
    world.tally.uploads["credentials"] += 1
    return {
        "fileId": file.id,
        "fileName": file.key.rpartition("/")[2],
        "format": extension,
        "uploadUrl": world.signer.s3(
            base_of(call.request),
            file.key,
            now=world.clock(),
            seconds=world.config.upload_url_seconds,
            method="PUT",
        ),
    }


async def _check(call: Call) -> bool:
    """True once the bytes are there. Before, `false`: what the real service says is not known."""
    file_id = query_text(call.request, "fileId")
    if not file_id:
        raise ApiError("4003", "fileId")
    state = call.world.state
    file = state.files.get(file_id)
    if file is None or file.uid != call.account.uid or file.role != "upload":
        raise ApiError("4004", f"fileId {file_id}")
    if file.sha256 is not None and state.forgotten(file):
        raise ApiError("4004", f"fileId {file_id}")
    return file.sha256 is not None


ROUTES = [
    Route("/v1/upload/credential", endpoint(_credential), methods=["GET"]),
    Route("/v1/upload/check", endpoint(_check), methods=["GET"]),
]
