"""The contract: what Topview's documents let us believe, and what a probe saw of it. Pure.

Values stay out of it: names and types are enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from topview_pipeline.ledger import Task
from topview_pipeline.media.probe import MediaError, opened_image, opened_video, seconds_of
from topview_pipeline.stages import CUT_OUT, SCENE, VIDEO
from topview_pipeline.topview.models import CreditLogEntry

QUERIES: Final = {
    CUT_OUT.key: "/v1/common_task/remove_background/query",
    SCENE.key: "/v2/product_avatar/task/image_replace/query",
    VIDEO.key: "/v2/product_avatar/task/image2Video/query",
}
RUNGS: Final[Mapping[str, tuple[str, ...]]] = {
    "neither": (),
    "the voice alone": ("voiceId",),
    "the caption alone": ("captionId",),
    "both": ("voiceId", "captionId"),
}
"""The fields of image2Video that the probe sends, in this order, until Topview takes one."""
_PAGE: Final = "total pageNo pageSize data"
_SUBMIT: Final = "taskId status errorMsg noticeUuid"
_TASK: Final = "taskId status errorMsg costCredit"
_TYPES: Final = {bool: "boolean", str: "string", dict: "object", list: "list", type(None): "null"}
_MARKS: Final[Mapping[str, bytes]] = {
    "C2PA": b"c2pa",
    "XMP": b"<x:xmpmeta",
    "says that it is made by a model": b"trainedAlgorithmicMedia",
}
FIELDS: Final[Mapping[str, frozenset[str]]] = {
    call: frozenset(names.split())
    for call, names in {
        "GET /user/credit/detail": "uid remainCredit expiredTime apiKeyMap",
        "GET /user/credit/logs": f"{_PAGE} data.uid data.apiKey data.date data.costCredit "
        "data.taskId data.taskType",
        "GET /user/space": "uid usedDiskSpace usedDiskSpace.size usedDiskSpace.unit maxDiskSpace "
        "maxDiskSpace.size maxDiskSpace.unit",
        "GET /v1/voice/query": f"{_PAGE} data.voiceId data.voiceName data.language "
        "data.bestSupportLanguage data.gender data.age data.style data.accent data.demoAudioUrl",
        "GET /v1/caption/list": "captionId thumbnail",
        "GET /v1/product_avatar/public_avatar/query": f"{_PAGE} data.avatarId data.avatarImagePath "
        "data.voiceoverId data.gender data.avatarCategoryList data.avatarCategoryList.categoryId "
        "data.avatarCategoryList.categoryName data.objectMaskImageInfo data.avatarEthnicityList "
        "data.avatarEthnicityList.ethnicityId data.avatarEthnicityList.ethnicityName "
        "data.minSubsType",
        "GET /v1/upload/credential": "fileId fileName format uploadUrl",
        "POST /v1/common_task/remove_background/submit": _SUBMIT,
        "POST /v2/product_avatar/task/image_replace/submit": _SUBMIT,
        "POST /v2/product_avatar/task/image2Video/submit": _SUBMIT,
        f"GET {QUERIES[CUT_OUT.key]}": f"{_TASK} bgRemovedImageFileId bgRemovedImagePath "
        "bgRemovedImageWidth bgRemovedImageHeight maskImageFileId maskImagePath maskImageWidth "
        "maskImageHeight",
        f"GET {QUERIES[SCENE.key]}": f"{_TASK} replaceProductResult replaceProductResult.imageId "
        "replaceProductResult.faceExistence replaceProductResult.url",
        f"GET {QUERIES[VIDEO.key]}": f"{_TASK} finishedVideoUrl aiAvatar aiAvatar.aiavatarId "
        "aiAvatar.aiavatarName aiAvatar.gender aiAvatar.coverUrl aiAvatar.previewVideoUrl "
        "aiAvatar.ethnicities aiAvatar.voiceoverIdDefault aiAvatar.faceSquareConfig",
    }.items()
}
"""The documented fields of each call's result; a dot stands before a field of an object or list."""


@dataclass(frozen=True)
class Exchange:
    """A call of the API and its answer.

    Attributes:
        code, result: of the envelope; None without one.
        skew: Topview's clock minus ours, in seconds.
    """

    call: str
    status: int
    code: Any = None
    result: Any = None
    skew: float | None = None

    @property
    def fields(self) -> Mapping[str, Any]:
        """The result's fields; none when it is no object."""
        return self.result if isinstance(self.result, dict) else {}


@dataclass(frozen=True)
class FileFacts:
    """A file that Topview made: its codec or format, size and length, and the marks in it."""

    name: str
    codec: str
    width: int
    height: int
    seconds: float = 0.0
    sound: str = ""
    marks: Sequence[str] = ()


@dataclass
class Seen:
    """Everything that a probe saw."""

    exchanges: list[Exchange] = field(default_factory=list)
    asked: dict[str, Exchange] = field(default_factory=dict)  # single questions by their names
    rows: dict[str, Task] = field(default_factory=dict)  # stored, by stage
    refused: dict[str, Task] = field(default_factory=dict)  # rows of the video, by rung
    rung: str | None = None  # that Topview took
    log: list[CreditLogEntry] = field(default_factory=list)  # in their order
    files: list[FileFacts] = field(default_factory=list)
    seconds_of_video: float | None = None

    def results(self, call: str) -> list[Any]:
        """The results of a call's good answers."""
        return [one.result for one in self.exchanges if one.call == call and one.code == "200"]

    def charge(self, stage: str) -> CreditLogEntry | None:
        """The log's entry of a stage's task."""
        row = self.rows.get(stage)
        mine = (one for one in self.log if row and one.task_id == row.topview_task_id)
        return next(mine, None)

    def cost(self, stage: str) -> float | None:
        """The credits of a stage's task: of its query, else of the log."""
        row, charge = self.rows.get(stage), self.charge(stage)
        if row is not None and row.cost_credits is not None:
            return row.cost_credits
        return None if charge is None else charge.cost_credit

    def took(self, stage: str) -> float | None:
        """Seconds of a stage's task."""
        row = self.rows.get(stage)
        if row is None or row.pending_at is None or row.succeeded_at is None:
            return None
        return row.succeeded_at - row.pending_at

    @property
    def is_manual(self) -> bool:
        """The scene has a location."""
        row = self.rows.get(SCENE.key)
        return row is not None and row.mode == "manual"

    @property
    def image_count(self) -> int:
        """Images of the scene's task."""
        row = self.rows.get(SCENE.key)
        return len(((row and row.result) or {}).get("replaceProductResult") or ())


def file_facts(name: str, data: bytes) -> FileFacts:
    """Codec, size and length of a file, and the marks in its bytes."""
    marks = tuple(mark for mark, text in _MARKS.items() if text in data)
    try:
        if not name.endswith(".mp4"):
            with opened_image(data) as image:
                return FileFacts(name, image.format or "", *image.size, marks=marks)
        with opened_video(data) as container:
            video = container.streams.video[0].codec_context
            sound = ", ".join(one.codec_context.name for one in container.streams.audio)
            seconds = round(seconds_of(container), 2)
            return FileFacts(name, video.name, video.width, video.height, seconds, sound, marks)
    except MediaError as error:
        return FileFacts(name, str(error), 0, 0, marks=marks)


def shape(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The names and types in a result. A name that may be a value, such as a key, is a star."""
    if isinstance(value, list):
        for one in value:
            yield from shape(one, name)
    elif isinstance(value, dict):
        for key, part in value.items():
            is_a_name = re.fullmatch("[a-z][A-Za-z_]{0,39}", str(key)) and not name.endswith("Map")
            place = ".".join(filter(None, (name, str(key) if is_a_name else "*")))
            yield place, _TYPES.get(type(part), "number")
            yield from shape(part, place)


def shapes(seen: Seen) -> dict[str, dict[str, Any]]:
    """The fields of each call's results with their types, the unknown ones and the missing ones."""
    found: dict[str, dict[str, Any]] = {}
    for call in sorted({one.call for one in seen.exchanges}):
        types: dict[str, set[str]] = {}
        for result in seen.results(call):
            for name, kind in shape(result):
                types.setdefault(name, set()).add(kind)
        if not types:
            continue
        known = FIELDS.get(call, frozenset(types))
        parents = {name.rpartition(".")[0] for name in types} | {""}
        missing = {name for name in known - types.keys() if name.rpartition(".")[0] in parents}
        stars = {name for name in types if "*" in name}
        found[call] = {
            "fields": {name: "|".join(sorted(kinds)) for name, kinds in sorted(types.items())},
            "unknown": sorted(types.keys() - known - stars),
            "missing": sorted(missing),
        }
    return found
