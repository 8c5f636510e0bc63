"""The API's routes: submits, queries, uploads, the account with its credit log, and the lists."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from topview_pipeline.sandbox.kinds import Kind

from .calls import Call, api_route, call_fault, submit_fault
from .library import (
    CAPTIONS,
    CATEGORIES,
    CUSTOM_VOICES,
    ETHNICITIES,
    VOICES,
    Avatar,
    Voice,
    category_id,
    ethnicity_id,
)
from .results import avatar_id, avatar_name, task_result
from .state import UPLOAD_FORMATS, State, Task
from .submissions import Submission, image2video, image_replace, remove_background
from .wire import (
    ApiError,
    base_of,
    body_of,
    notice_url,
    page_of,
    query_flag,
    query_text,
    required,
)
from .world import World

_STRANGE_STATUS = "queueing"
"""A status word that no document knows."""

_LOG_TIME = "%Y-%m-%d %H:%M:%S"
_ISO_TIME = "%Y-%m-%dT%H:%M:%SZ"
_SPACE_GB = 100
_SUBSCRIPTION_ENDS = "2099-12-31T23:59:59Z"

_Reader = Callable[[Mapping[str, Any], State, str], Submission]


def _submit_route(kind: Kind, path: str, read: _Reader) -> Route:
    """A submit route; `read` checks the body."""

    async def submit(call: Call) -> dict[str, Any]:
        world = call.world
        world.tally.submits[kind.value] += 1
        try:
            submission = read(await body_of(call.request), world.state, call.account.uid)
            return _accept(call, submission)
        except ApiError as error:
            world.tally.refused[error.code] += 1
            raise

    return api_route(f"{path}/submit", submit, method="POST", own_faults=True)


def _accept(call: Call, submission: Submission) -> dict[str, Any]:
    world = call.world
    content = submission.content(call.account.uid)
    fault = submit_fault(world.faults, content, world.config.retry_after_seconds)
    if fault is not None and not fault.accepted:
        raise fault
    world.settle()  # time has passed since: the body had to arrive
    task = world.tasks.accept(submission, call.account, base_of(call.request))
    if task.notice_url:
        world.notices.watch(world, task)
    if fault is not None:
        raise fault
    return {
        "taskId": task.id,
        # Accepted, not finished: what the real submit answers.
        "status": world.config.contract.submit_status,
        "errorMsg": None,
        "noticeUuid": task.notice_uuid,
    }


def _query_route(kind: Kind, path: str) -> Route:
    async def query(call: Call) -> dict[str, Any]:
        world = call.world
        world.tally.queries[kind.value] += 1
        task = _task(call, kind)
        if world.faults.probabilities:
            await _meet_faults(world, task)
        strange = world.faults.strikes("unknown_status", _subject(task))
        urls = not strange and not _withholds_urls(world, task)
        cloudfront = query_flag(call.request, "needCloudFrontUrl")
        base = base_of(call.request)
        result = task_result(world, task, base, cloudfront=cloudfront, urls=urls)
        if strange:
            result["status"] = _STRANGE_STATUS
        if urls and task.succeeded and task.seen_at is None:
            task.seen_at = world.clock()
            world.state.save_task(task)
        return result

    return api_route(f"{path}/query", query, own_faults=True)


def _task(call: Call, kind: Kind) -> Task:
    task_id = required(call.request.query_params, "taskId")
    task = call.world.state.tasks.get(task_id)
    if task is None or task.kind is not kind or task.uid != call.account.uid:
        raise ApiError("4004", f"taskId {task_id}")
    return task


def _subject(task: Task) -> str:
    """The subject of the faults that meet a task's queries."""
    return f"{task.content}/{task.repeat}"


async def _meet_faults(world: World, task: Task) -> None:
    subject = _subject(task)
    fault = call_fault(world.faults, f"query {subject}", world.config.retry_after_seconds)
    if fault is not None:
        raise fault
    if world.faults.strikes("slow_query", subject):
        await world.sleep(world.config.slow_seconds)
        world.settle()
    young = world.clock() < task.accepted_at + world.config.grace_seconds
    if young and world.faults.strikes_always("notfound_grace", subject):
        raise ApiError("4004", f"taskId {task.id}")


def _withholds_urls(world: World, task: Task) -> bool:
    if not task.succeeded or not world.faults.strikes_always("nourl", _subject(task)):
        return False
    world.tally.answers_without_urls[task.id] += 1
    return world.tally.answers_without_urls[task.id] <= world.config.nourl_queries


async def _upload_credential(call: Call) -> dict[str, Any]:
    """A file id and the signed URL for its PUT, which objects.py takes."""
    extension = query_text(call.request, "format").lower().lstrip(".")
    if not extension:
        raise ApiError("4003", "format")
    if extension not in UPLOAD_FORMATS:
        known = ", ".join(sorted(UPLOAD_FORMATS))
        raise ApiError("4000", f"format {extension!r} is none of {known}")
    world = call.world
    file = world.state.new_upload(call.account.uid, extension)
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


async def _upload_check(call: Call) -> bool:
    """True once the bytes are there. `false` before: the real service's answer is not known."""
    file_id = required(call.request.query_params, "fileId")
    state = call.world.state
    file = state.files.get(file_id)
    if file is None or file.uid != call.account.uid or file.role != "upload":
        raise ApiError("4004", f"fileId {file_id}")
    if file.sha256 is not None and state.forgotten(file):
        raise ApiError("4004", f"fileId {file_id}")
    if file.sha256 is None and call.world.config.contract.check_before_put == "4004":
        raise ApiError("4004", f"fileId {file_id}")
    return file.sha256 is not None


async def _credit_detail(call: Call) -> dict[str, Any]:
    return {
        "uid": call.account.uid,
        "remainCredit": call.account.credits,
        "expiredTime": _SUBSCRIPTION_ENDS,
        "apiKeyMap": {},
    }


async def _credit_logs(call: Call) -> dict[str, Any]:
    """Charged tasks, by `taskType` and between `startTime` and `endTime` (UTC)."""
    contract = call.world.config.contract
    form = _ISO_TIME if contract.log_iso else _LOG_TIME
    sign = -1 if contract.log_newest_first else 1
    task_type = query_text(call.request, "taskType")
    start, end = _log_time(call, "startTime"), _log_time(call, "endTime")
    found = [
        {
            "uid": entry.uid,
            "apiKey": entry.api_key,
            "date": datetime.fromtimestamp(entry.at, timezone.utc).strftime(form),
            "costCredit": entry.cost,
            "taskId": entry.task_id,
            "taskType": entry.task_type,
        }
        for entry in sorted(call.world.state.entries, key=lambda entry: sign * entry.at)
        if entry.uid == call.account.uid
        and (not task_type or entry.task_type == task_type)
        and (start is None or int(entry.at) >= start)
        and (end is None or int(entry.at) <= end)
    ]
    return page_of(call.request, found)


def _log_time(call: Call, name: str) -> float | None:
    value = query_text(call.request, name)
    if not value:
        return None
    try:
        return datetime.strptime(value, _LOG_TIME).replace(tzinfo=timezone.utc).timestamp()
    except ValueError as error:
        raise ApiError("4001", f"{name} is not yyyy-MM-dd HH:mm:ss") from error


async def _space(call: Call) -> dict[str, Any]:
    files = call.world.state.files.values()
    used = sum(file.size for file in files if file.uid == call.account.uid)
    return {
        "uid": call.account.uid,
        "usedDiskSpace": {"size": round(used / 1024**2, 2), "unit": "MB"},
        "maxDiskSpace": {"size": _SPACE_GB, "unit": "GB"},
    }


async def _check_notice_url(call: Call) -> bool:
    required(call.request.query_params, "noticeUrl")
    notice_url(call.request.query_params)
    return True


# Lists


def _url_of(call: Call, key: str) -> str:
    """A signed URL of a file of the library."""
    world = call.world
    seconds = world.config.url_seconds
    return world.signer.s3(base_of(call.request), key, now=world.clock(), seconds=seconds)


def _category(name: str) -> dict[str, str]:
    return {"categoryId": category_id(name), "categoryName": name}


def _ethnicity(name: str) -> dict[str, str]:
    return {"ethnicityId": ethnicity_id(name), "ethnicityName": name}


async def _categories(_call: Call) -> list[dict[str, str]]:
    return [_category(name) for name in CATEGORIES]


async def _ethnicities(_call: Call) -> list[dict[str, str]]:
    return [_ethnicity(name) for name in ETHNICITIES]


async def _public_avatars(call: Call) -> dict[str, Any]:
    request = call.request
    gender = query_text(request, "gender").lower()
    categories = _ids(request, "categoryIds")
    ethnicities = _ids(request, "ethnicityIds")
    found = [
        avatar
        for avatar in call.world.avatars
        if (not gender or avatar.gender == gender)
        and (not categories or category_id(avatar.category) in categories)
        and (not ethnicities or ethnicity_id(avatar.ethnicity) in ethnicities)
    ]
    if query_text(request, "sortingType").lower() == "newest":
        found.reverse()
    return page_of(request, [_avatar(call, avatar) for avatar in found])


def _ids(request: Request, name: str) -> set[str]:
    return {part.strip() for part in query_text(request, name).split(",") if part.strip()}


def _avatar(call: Call, avatar: Avatar) -> dict[str, Any]:
    return {
        "avatarId": avatar.avatar_id,
        "avatarImagePath": _url_of(call, avatar.key),
        "voiceoverId": avatar.voice_id,
        "gender": avatar.gender,
        "avatarCategoryList": [_category(avatar.category)],
        "objectMaskImageInfo": json.dumps(dict(avatar.mask)),
        "avatarEthnicityList": [_ethnicity(avatar.ethnicity)],
        "minSubsType": "free",
    }


async def _voices(call: Call) -> dict[str, Any]:
    request = call.request
    name = query_text(request, "voiceName").lower()
    traits = {
        trait: query_text(request, trait).lower()
        for trait in ("language", "gender", "age", "style", "accent")
    }
    found = [
        voice
        for voice in (CUSTOM_VOICES if query_flag(request, "isCustom") else VOICES)
        if name in voice.name.lower()
        and all(
            not value or getattr(voice, trait).lower() == value for trait, value in traits.items()
        )
    ]
    return page_of(request, [_voice(call, voice) for voice in found])


def _voice(call: Call, voice: Voice) -> dict[str, Any]:
    return {
        "voiceId": voice.voice_id,
        "voiceName": voice.name,
        "language": voice.language,
        "bestSupportLanguage": voice.language,
        "gender": voice.gender,
        "age": voice.age,
        "style": voice.style,
        "accent": voice.accent,
        "demoAudioUrl": _url_of(call, voice.key),
    }


async def _captions(call: Call) -> list[dict[str, str]]:
    return [
        {"captionId": caption.caption_id, "thumbnail": _url_of(call, caption.key)}
        for caption in CAPTIONS
    ]


async def _ai_avatars(call: Call) -> dict[str, Any]:
    """`isCustom=true`: the avatars that this account's finished videos left; else public ones."""
    if query_flag(call.request, "isCustom"):
        return page_of(call.request, _custom_avatars(call))
    public = [
        _ai_avatar(avatar.avatar_id, avatar.name, _url_of(call, avatar.key))
        | {"gender": avatar.gender, "ethnicities": [_ethnicity(avatar.ethnicity)]}
        for avatar in call.world.avatars
    ]
    return page_of(call.request, public)


def _ai_avatar(id_: str, name: str, cover: str, preview: str | None = None) -> dict[str, Any]:
    urls = {"coverUrl": cover, "previewVideoUrl": preview, "thumbnailUrl": cover}
    return {"aiavatarId": id_, "aiavatarName": name, "gender": None, "ethnicities": None} | urls


def _custom_avatars(call: Call) -> list[dict[str, Any]]:
    state = call.world.state
    avatars = []
    for task in state.tasks.values():
        if task.kind is Kind.IMAGE2VIDEO and task.succeeded and task.uid == call.account.uid:
            keys = {state.files[f].role: state.files[f].key for f in task.outputs}
            cover, preview = (_url_of(call, keys[role]) for role in ("cover", "preview"))
            avatars.append(_ai_avatar(avatar_id(task), avatar_name(task), cover, preview))
    return avatars


def _kind_routes() -> list[Route]:
    path = "/v1/common_task/remove_background"
    routes = [
        _query_route(Kind.REMOVE_BACKGROUND, path),
        _submit_route(Kind.REMOVE_BACKGROUND, path, remove_background),
    ]
    for version in ("v2", "v3"):
        for kind, read in ((Kind.IMAGE_REPLACE, image_replace), (Kind.IMAGE2VIDEO, image2video)):
            path = f"/{version}/product_avatar/task/{kind.value}"
            routes.append(_query_route(kind, path))
            routes.append(_submit_route(kind, path, partial(read, version=version)))
    return routes


ROUTES = [
    *_kind_routes(),
    api_route("/v1/upload/credential", _upload_credential),
    api_route("/v1/upload/check", _upload_check),
    api_route("/user/credit/detail", _credit_detail, bearer_alone=True),
    api_route("/user/credit/logs", _credit_logs),
    api_route("/user/space", _space),
    api_route("/notice/notice_url/check", _check_notice_url, method="POST"),
    api_route("/v1/product_avatar/category/list", _categories),
    api_route("/v1/product_avatar/public_avatar/query", _public_avatars),
    api_route("/v1/voice/query", _voices),
    api_route("/v1/caption/list", _captions),
    api_route("/v1/aiavatar/query", _ai_avatars),
    api_route("/v1/ethnicity/list", _ethnicities),
]
