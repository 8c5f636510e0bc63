"""The rules for the body of a submit, kind by kind, and the identity of the requested work."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import av

from topview_pipeline.sandbox.draws import fingerprint
from topview_pipeline.sandbox.kinds import MODES, Kind

from .library import CAPTION_IDS, VOICE_IDS
from .state import FILE_ROLES, File, State
from .wire import ApiError, choice, notice_url, required, text

_PRODUCT_SIZES = ("1", "2", "3", "4", "5", "6")


@dataclass(frozen=True)
class Submission:
    """A valid submit. `inputs` are its files by role, `params` all else that shapes the result.

    `estimate` is the least that it will cost, in credits.
    """

    kind: Kind
    version: str
    inputs: Mapping[str, File]
    params: dict[str, Any]
    estimate: float
    notice_url: str

    def content(self, uid: str) -> str:
        """Identity of the work, whatever ids its files have; equal for the same work twice."""
        lineages = {role: file.lineage for role, file in self.inputs.items()}
        identity = json.dumps([lineages, self.params], sort_keys=True)
        return fingerprint(uid, self.kind.value, identity)


def remove_background(
    body: Mapping[str, Any], state: State, uid: str, version: str = "v1"
) -> Submission:
    """v1 remove_background: one image."""
    name = "productImageFileId"
    product = state.usable(uid, required(body, name), FILE_ROLES, name)
    estimate = state.contract.prices.get(Kind.REMOVE_BACKGROUND.value, 0.0)
    return Submission(
        Kind.REMOVE_BACKGROUND, version, {"product": product}, {}, estimate, notice_url(body)
    )


def image_replace(body: Mapping[str, Any], state: State, uid: str, version: str) -> Submission:
    """v2 and v3 image_replace: a cut-out, a template or avatar, and a place or prompt.

    v3 also takes a product photo that is not cut out, and wants `version` "v4" for manual mode.
    """
    if version == "v2":
        required(body, "generateImageMode")
    mode = choice(body, "generateImageMode", ("manual", "auto"), "auto")
    images = state.contract.image_count(mode)
    prompt = text(body, "imageEditPrompt")
    params: dict[str, Any] = {"mode": mode, "prompt": prompt, "count": images}
    if mode == "manual":
        params["location"] = _location(body, version)
    if version == "v3":
        params |= _v3_params(body, mode)
    return Submission(
        kind=Kind.IMAGE_REPLACE,
        version=version,
        inputs=_scene_inputs(body, state, uid, version),
        params=params,
        estimate=state.contract.image_replace_credits(version, images),
        notice_url=notice_url(body),
    )


def _v3_params(body: Mapping[str, Any], mode: str) -> dict[str, Any]:
    model = choice(body, "version", ("v3", "v4"), "v3")
    if mode == "manual" and model != "v4":
        raise ApiError("4000", "manual mode needs version v4")
    size = body.get("productSize")
    if isinstance(size, int) and not isinstance(size, bool):  # as the official client sends it
        size = str(size)
    return {
        "version": model,
        "keep_target": choice(body, "keepTarget", ("model", "product"), "model"),
        "product_size": choice({"productSize": size}, "productSize", _PRODUCT_SIZES, "2"),
    }


def _scene_inputs(body: Mapping[str, Any], state: State, uid: str, version: str) -> dict[str, File]:
    inputs: dict[str, File] = {}

    def take(role: str, field: str) -> None:
        file_id = text(body, field)
        if file_id:
            inputs[role] = state.usable(uid, file_id, FILE_ROLES, field)

    take("cutout", "productImageWithoutBackgroundFileId")
    if version == "v3" and "cutout" not in inputs:
        take("product", "productImageFileId")
    if not inputs:
        raise ApiError("4003", "productImageWithoutBackgroundFileId")
    take("template", "templateImageFileId")
    avatar_id = text(body, "avatarId")
    if "template" not in inputs:
        if not avatar_id:
            raise ApiError("4003", "avatarId or templateImageFileId")
        inputs["template"] = state.usable(uid, avatar_id, ("avatar",), "avatarId")
    take("face", "userFaceImageFileId")
    return inputs


def _location(body: Mapping[str, Any], version: str) -> list[list[float]]:
    """Four [x, y] points, fractions of the template; 4003 without, 4000 for anything else.

    v3 also takes what the official client's help shows: two corners, and percents.
    """
    points = body.get("location")
    if points is None or points == [] or points == "":
        raise ApiError("4003", "location")
    is_v3 = version == "v3"
    counts, most = ((2, 4), 100.0) if is_v3 else ((4,), 1.0)
    if (
        not isinstance(points, list)
        or len(points) not in counts
        or not all(_is_point(point, most) for point in points)
    ):
        raise ApiError("4000", "location is not four [x, y] points between 0 and 1")
    scale = 100.0 if is_v3 and any(number > 1.0 for point in points for number in point) else 1.0
    corners = [[x / scale, y / scale] for x, y in points]
    if len(corners) == 4:
        return corners
    (left, top), (right, bottom) = corners
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def _is_point(point: object, most: float) -> bool:
    return (
        isinstance(point, list)
        and len(point) == 2
        and all(
            isinstance(number, (int, float))
            and not isinstance(number, bool)
            and math.isfinite(number)
            and 0.0 <= number <= most
            for number in point
        )
    )


def image2video(body: Mapping[str, Any], state: State, uid: str, version: str) -> Submission:
    """v2 and v3 image2Video: one image of an image_replace task, and a script or an audio file."""
    name = "replaceProductTaskImageId"
    scene = state.usable(uid, required(body, name), ("scene",), name)
    mode = choice(body, "mode", MODES, "avatar2")
    if scene.face_existence is False and mode != "avatar2":
        raise ApiError("4000", f"the image has no face: mode avatar2 only, not {mode}")
    inputs = {"scene": scene}
    script_mode = choice(body, "scriptMode", ("text", "audio"), "text")
    must = state.contract.required
    caption_id = required(body, "captionId") if "captionId" in must else text(body, "captionId")
    if caption_id and caption_id not in CAPTION_IDS:
        raise ApiError("4004", f"captionId {caption_id}")
    if script_mode == "audio":
        inputs["audio"] = _audio(body, state, uid, mode)
        script, voice_id = "", text(body, "voiceId")
    else:
        script = required(body, "ttsText")
        voice_id = required(body, "voiceId") if "voiceId" in must else text(body, "voiceId")
    if voice_id and voice_id not in VOICE_IDS:
        raise ApiError("4004", f"voiceId {voice_id}")
    return Submission(
        kind=Kind.IMAGE2VIDEO,
        version=version,
        inputs=inputs,
        params={"mode": mode, "text": script, "voice_id": voice_id, "caption_id": caption_id},
        # A video that lasts as long as its script lasts at least a second.
        estimate=state.contract.video_credits(
            mode, MODES[mode].longest_seconds if MODES[mode].fixed else 1.0
        ),
        notice_url=notice_url(body),
    )


def _audio(body: Mapping[str, Any], state: State, uid: str, mode: str) -> File:
    file = state.usable(uid, required(body, "audioFileId"), FILE_ROLES, "audioFileId")
    seconds = _audio_seconds(state.content_of(file))
    limit = MODES[mode].longest_seconds
    if not MODES[mode].fixed and seconds > limit:
        raise ApiError("4000", f"mode {mode} takes at most {limit:g} s of audio, not {seconds:.1f}")
    return file


def _audio_seconds(content: bytes) -> float:
    """The length of an audio file; 4000 if it is none."""
    try:
        with av.open(BytesIO(content), "r") as container:
            if not container.streams.audio or container.duration is None:
                raise ApiError("4000", "audioFileId is not an audio file")
            return container.duration / av.time_base
    except av.FFmpegError as error:
        raise ApiError("4000", "audioFileId is not an audio file") from error
