"""Lists that a client chooses from: categories, public avatars, voices, captions, ethnicities."""

import json
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from topview_pipeline.sandbox.avatars import Avatar
from topview_pipeline.sandbox.catalogues import (
    CAPTIONS,
    CATEGORIES,
    CUSTOM_VOICES,
    ETHNICITIES,
    VOICES,
    Voice,
    category_id,
    ethnicity_id,
    sample_key,
    thumbnail_key,
)
from topview_pipeline.sandbox.kinds import Kind
from topview_pipeline.sandbox.results import avatar_id, avatar_name
from topview_pipeline.sandbox.wire import base_of, query_count, query_flag, query_text

from .endpoint import Call, endpoint


def page_of(request: Request, items: Sequence[Any]) -> dict[str, Any]:
    """One page of a list, by `pageNo` (from 1) and `pageSize` (20)."""
    number = query_count(request, "pageNo", 1)
    size = query_count(request, "pageSize", 20)
    first = (number - 1) * size
    return {
        "total": len(items),
        "pageNo": number,
        "pageSize": size,
        "data": list(items[first : first + size]),
    }


def url_of(call: Call, key: str) -> str:
    """A signed URL of a catalogue file."""
    return call.world.signer.s3(
        base_of(call.request),
        key,
        now=call.world.clock(),
        seconds=call.world.config.url_seconds,
    )


async def _categories(_call: Call) -> list[dict[str, str]]:
    return [{"categoryId": key, "categoryName": name} for key, name in CATEGORIES.items()]


async def _ethnicities(_call: Call) -> list[dict[str, str]]:
    return [{"ethnicityId": key, "ethnicityName": name} for key, name in ETHNICITIES.items()]


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
    page = page_of(request, found)
    page["data"] = [_avatar(call, avatar) for avatar in page["data"]]
    return page


def _ids(request: Request, name: str) -> set[str]:
    return {part.strip() for part in query_text(request, name).split(",") if part.strip()}


def _avatar(call: Call, avatar: Avatar) -> dict[str, Any]:
    return {
        "avatarId": avatar.avatar_id,
        "avatarImagePath": url_of(call, avatar.key),
        "voiceoverId": avatar.voice_id,
        "gender": avatar.gender,
        "avatarCategoryList": [
            {"categoryId": category_id(avatar.category), "categoryName": avatar.category}
        ],
        "objectMaskImageInfo": json.dumps(dict(avatar.mask)),
        "avatarEthnicityList": [
            {"ethnicityId": ethnicity_id(avatar.ethnicity), "ethnicityName": avatar.ethnicity}
        ],
        "minSubsType": "free",
    }


async def _voices(call: Call) -> dict[str, Any]:
    request = call.request
    name = query_text(request, "voiceName").lower()
    wanted = {
        trait: query_text(request, trait).lower()
        for trait in ("language", "gender", "age", "style", "accent")
    }
    found = [
        voice
        for voice in (CUSTOM_VOICES if query_flag(request, "isCustom") else VOICES)
        if name in voice.name.lower()
        and all(not want or getattr(voice, trait).lower() == want for trait, want in wanted.items())
    ]
    page = page_of(request, found)
    page["data"] = [_voice(call, voice) for voice in page["data"]]
    return page


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
        "demoAudioUrl": url_of(call, sample_key(voice)),
    }


async def _captions(call: Call) -> list[dict[str, str]]:
    return [
        {"captionId": caption.caption_id, "thumbnail": url_of(call, thumbnail_key(caption))}
        for caption in CAPTIONS
    ]


async def _ai_avatars(call: Call) -> dict[str, Any]:
    """`isCustom=true`: the avatars that this account's finished videos left; else public ones."""
    if query_flag(call.request, "isCustom"):
        return page_of(call.request, _custom_avatars(call))
    public = [
        {
            "aiavatarId": avatar.avatar_id,
            "aiavatarName": avatar.name,
            "gender": avatar.gender,
            "coverUrl": url_of(call, avatar.key),
            "previewVideoUrl": None,
            "thumbnailUrl": url_of(call, avatar.key),
            "ethnicities": [
                {
                    "ethnicityId": ethnicity_id(avatar.ethnicity),
                    "ethnicityName": avatar.ethnicity,
                }
            ],
        }
        for avatar in call.world.avatars
    ]
    return page_of(call.request, public)


def _custom_avatars(call: Call) -> list[dict[str, Any]]:
    state = call.world.state
    avatars = []
    for task in state.tasks.values():
        if task.kind is Kind.IMAGE2VIDEO and task.succeeded and task.uid == call.account.uid:
            keys = {state.files[f].role: state.files[f].key for f in task.outputs}
            cover = url_of(call, keys["cover"])
            avatars.append(
                {
                    "aiavatarId": avatar_id(task),
                    "aiavatarName": avatar_name(task),
                    "gender": None,
                    "coverUrl": cover,
                    "previewVideoUrl": url_of(call, keys["preview"]),
                    "thumbnailUrl": cover,
                    "ethnicities": None,
                }
            )
    return avatars


ROUTES = [
    Route("/v1/product_avatar/category/list", endpoint(_categories), methods=["GET"]),
    Route("/v1/product_avatar/public_avatar/query", endpoint(_public_avatars), methods=["GET"]),
    Route("/v1/voice/query", endpoint(_voices), methods=["GET"]),
    Route("/v1/caption/list", endpoint(_captions), methods=["GET"]),
    Route("/v1/aiavatar/query", endpoint(_ai_avatars), methods=["GET"]),
    Route("/v1/ethnicity/list", endpoint(_ethnicities), methods=["GET"]),
]
