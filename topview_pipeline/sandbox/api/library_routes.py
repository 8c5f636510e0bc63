"""The API's routes for lists: categories, public and own avatars, voices, captions, ethnicities."""

import json
from typing import Any

from starlette.requests import Request

from topview_pipeline.sandbox.kinds import Kind

from .calls import Call, api_route
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
from .results import avatar_id, avatar_name
from .wire import base_of, page_of, query_flag, query_text


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


ROUTES = [
    api_route("/v1/product_avatar/category/list", _categories),
    api_route("/v1/product_avatar/public_avatar/query", _public_avatars),
    api_route("/v1/voice/query", _voices),
    api_route("/v1/caption/list", _captions),
    api_route("/v1/aiavatar/query", _ai_avatars),
    api_route("/v1/ethnicity/list", _ethnicities),
]
