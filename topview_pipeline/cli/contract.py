"""The contract: what a probe saw of Topview, beside what its documents let us believe. Pure.

`probe` asks and collects; here the answers become findings, shapes, prices, times, and the settings
of a sandbox that answers like that. Values stay out of it: names and types are enough.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from topview_pipeline.ledger import Task
from topview_pipeline.media.probe import MediaError, opened_image, opened_video, seconds_of
from topview_pipeline.prices import FIXED_SECONDS
from topview_pipeline.stages import BY_KEY, CUT_OUT, SCENE, VIDEO
from topview_pipeline.topview.models import CreditLogEntry

WORDS: Final = ("init", "running", "success", "fail")
"""The documented status words of a task."""
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
    """A call of the API and its answer; `skew`: Topview's clock minus ours, in seconds."""

    call: str
    status: int
    answer: Any
    skew: float | None = None

    @property
    def code(self) -> Any:
        """The envelope's code; None without an envelope."""
        return self.answer.get("code") if isinstance(self.answer, dict) else None

    @property
    def result(self) -> Any:
        """The envelope's result."""
        return self.answer.get("result") if isinstance(self.answer, dict) else None

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
    """Everything that a probe saw.

    Attributes:
        asked: single questions by their names.
        rows: the stored row by stage.
        refused: the refused rows of the video by rung.
        rung: the rung that Topview took.
        log: the credit log's entries in their order, and as they came.
    """

    exchanges: list[Exchange] = field(default_factory=list)
    asked: dict[str, Exchange] = field(default_factory=dict)
    rows: dict[str, Task] = field(default_factory=dict)
    refused: dict[str, Task] = field(default_factory=dict)
    rung: str | None = None
    log: list[CreditLogEntry] = field(default_factory=list)
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


# Files


def file_facts(name: str, data: bytes) -> FileFacts:
    """Codec, size and length of a file, and the marks in its bytes."""
    marks = tuple(mark for mark, text in _MARKS.items() if text in data)
    try:
        if not name.endswith(".mp4"):
            with opened_image(data) as image:
                return FileFacts(name, image.format or "", *image.size, marks=marks)
        with opened_video(data) as container:
            context = container.streams.video[0].codec_context
            sound = [one.codec_context.name for one in container.streams.audio]
            return FileFacts(
                name,
                context.name,
                context.width,
                context.height,
                round(seconds_of(container), 2),
                ", ".join(sound),
                marks,
            )
    except MediaError as error:
        return FileFacts(name, str(error), 0, 0, marks=marks)


# Shapes


def shape(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The names and types in a result. A name that may be a value, such as a key, is a star."""
    if isinstance(value, list):
        for one in value:
            yield from shape(one, name)
    elif isinstance(value, dict):
        for key, part in value.items():
            is_a_name = re.fullmatch("[a-z][A-Za-z_]{0,39}", str(key)) and not name.endswith("Map")
            place = ".".join(filter(None, (name, str(key) if is_a_name else "*")))
            yield place, _type(part)
            yield from shape(part, place)


def _type(value: Any) -> str:
    names = {bool: "boolean", str: "string", dict: "object", list: "list", type(None): "null"}
    return names.get(type(value), "number")


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


# What was seen, in numbers


def submit_results(seen: Seen) -> list[dict[str, Any]]:
    """The results of accepted submits."""
    found = [one for call in FIELDS if call.endswith("/submit") for one in seen.results(call)]
    return [one for one in found if isinstance(one, dict)]


def query_results(seen: Seen) -> list[dict[str, Any]]:
    """The results of all queries of tasks."""
    found = [one for path in QUERIES.values() for one in seen.results(f"GET {path}")]
    return [one for one in found if isinstance(one, dict)]


def first_url(exchange: Exchange | None) -> str | None:
    url = exchange.fields.get("bgRemovedImagePath") if exchange else None
    return url if isinstance(url, str) else None


def prices(seen: Seen) -> dict[str, str]:
    """The credits of each paid kind as seen, as TOPVIEW_PRICES writes them."""
    found = {}
    if (cost := seen.cost(SCENE.key)) is not None:
        found[f"image_replace/{seen.rows[SCENE.key].mode}"] = f"{cost:g}"
    row, cost = seen.rows.get(VIDEO.key), seen.cost(VIDEO.key)
    if row is not None and cost is not None and seen.seconds_of_video:
        is_fixed = row.mode in FIXED_SECONDS
        a_second = cost / max(1, math.ceil(seen.seconds_of_video - 0.01))
        found[f"image2video/{row.mode}"] = f"{cost:g}" if is_fixed else f"{a_second:g}/s"
    return found


def log_date(seen: Seen) -> str | None:
    """The moment that dates a charge: creation or success; None when it cannot be told."""
    skews = [one.skew for one in seen.exchanges if one.skew is not None]
    skew = statistics.median(skews) if skews else 0.0
    found = set()
    for key in seen.rows:
        row, charge, took = seen.rows[key], seen.charge(key), seen.took(key)
        if charge is None or charge.date is None or row.pending_at is None or (took or 0.0) < 2.0:
            continue
        lag = charge.date.timestamp() - skew - row.pending_at
        found.add("creation" if lag < (took or 0.0) / 2 else "success")
    return found.pop() if len(found) == 1 else None


def is_iso(seen: Seen) -> bool:
    """True if the log writes its dates in ISO 8601."""
    pages = [one.fields.get("data") for one in seen.exchanges if one.call.endswith("/credit/logs")]
    rows = [row for page in pages if isinstance(page, list) for row in page]
    texts = [row.get("date") for row in rows if isinstance(row, dict)]
    return any(isinstance(text, str) and "T" in text for text in texts)


# The document


def sandbox_settings(seen: Seen) -> dict[str, Any]:
    """The fields of SandboxConfig by which a sandbox answers as was seen."""
    settings: dict[str, Any] = {
        "contract": {**_bills(seen), **_answers(seen), **_fields(seen)},
    }
    times = {BY_KEY[key].endpoint: took for key in seen.rows if (took := seen.took(key))}
    if times:
        settings["medians"] = {kind: max(round(took, 2), 0.01) for kind, took in times.items()}
    url = first_url(seen.asked.get("query"))
    lives = parse_qs(urlsplit(url or "").query).get("X-Amz-Expires", [""])[0]
    return settings | ({"url_seconds": int(lives)} if lives.isdigit() else {})


def _bills(seen: Seen) -> dict[str, Any]:
    """Prices, numbers of images, and the credit log."""
    found: dict[str, Any] = {}
    amounts: dict[str, float] = {}
    if cut_out := seen.cost(CUT_OUT.key):
        amounts["remove_background"] = cut_out
    cost = seen.cost(SCENE.key)
    if cost is not None and seen.image_count:
        amounts["image_replace"] = round(cost / seen.image_count, 4)
        if seen.is_manual:
            found["images"] = {"manual": seen.image_count, "auto": 1}
    for name, text in prices(seen).items():
        kind, _, mode = name.partition("/")
        if kind == VIDEO.kind:
            amount = float(text.removesuffix("/s"))
            amounts[f"{VIDEO.endpoint}/{mode}"] = round(amount / FIXED_SECONDS.get(mode, 1.0), 4)
    if amounts:
        found["prices"] = amounts
    booked = {BY_KEY[key].endpoint: one.task_type for key in seen.rows if (one := seen.charge(key))}
    if booked:
        found["booked_as"] = {kind: word for kind, word in booked.items() if word}
        found["log_iso"] = is_iso(seen)
    if (meaning := log_date(seen)) is not None:
        found["log_date"] = meaning
    dates = [one.date for one in seen.log if one.date is not None]
    if len(set(dates)) > 1:
        found["log_newest_first"] = dates[0] > dates[-1]
    return found


def _answers(seen: Seen) -> dict[str, Any]:
    """Words, codes, and what must be given."""
    found: dict[str, Any] = {}
    if seen.rung is not None:
        found["required"] = list(RUNGS[seen.rung])
    for one in submit_results(seen):
        found["submit_status"] = str(one.get("status"))
    words = (str(one.get("status")) for one in query_results(seen))
    if odd := [word for word in words if word not in WORDS]:
        found["status_words"] = {"running": odd[0]}
    codes = {"4004": seen.asked.get("unknown task"), "4003": seen.asked.get("no photo")}
    found["codes"] = {
        believed: one.code
        for believed, one in codes.items()
        if one is not None and isinstance(one.code, str) and one.code not in ("200", believed)
    }
    if (wrong := seen.asked.get("wrong key")) is not None:
        found["auth_errors"] = "http" if wrong.status == 401 else "code"
    if (alone := seen.asked.get("key alone")) is not None:
        found["bearer_alone"] = alone.code == "200"
    if (early := seen.asked.get("check before PUT")) is not None:
        found["check_before_put"] = "false" if early.code == "200" else "4004"
    return found


def _fields(seen: Seen) -> dict[str, Any]:
    """Fields that results have in addition, and lack; those within others stay as they are."""
    added: dict[str, dict[str, None]] = {}
    dropped: dict[str, list[str]] = {}
    for call, parts in shapes(seen).items():
        path = call.partition(" ")[2]
        if unknown := [name for name in parts["unknown"] if "." not in name]:
            added[path] = dict.fromkeys(unknown)
        if missing := [name for name in parts["missing"] if "." not in name]:
            dropped[path] = missing
    return {"added": added, "dropped": dropped}
