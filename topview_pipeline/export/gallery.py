"""The gallery: one HTML page on which people see all products, and decide about their scenes.

It needs no server and nothing from a network. `page/` is its markup, style and script; the products
go into it as compressed JSON, and thumbnails lie beside it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from topview_pipeline.export.report import NO_PAST, Past, ProductReport, Report, SceneReport, Status
from topview_pipeline.export.thumbs import (
    THUMBS,
    Opener,
    photo_thumb,
    photo_url,
    stored_thumb,
    whole,
    write_thumbs,
)
from topview_pipeline.ledger import Task
from topview_pipeline.media import Outcome
from topview_pipeline.stages import CUT_OUT, SCENE, VIDEO, data_version
from topview_pipeline.stages.video import COVER_FILE, VIDEO_FILE
from topview_pipeline.store import Artifact, Store
from topview_pipeline.text import counted

if TYPE_CHECKING:
    from jinja2 import Template

GALLERY_FILE: Final = "index.html"
SERVED_FILE: Final = "served.html"
"""A page whose links need its server; beside the other, which works without."""
WAITING: Final = "waiting"
STATUS_WORDS: Final[Mapping[str, str]] = {
    WAITING: "waiting",
    "failed": "failed",
    "held": "on hold",
    "pending": "in progress",
    "new": "not made yet",
    "done": "finished",
}
"""By status, what needs a person first."""
FLAG_WORDS: Final = {"warning": "warnings", "chosen": "chosen, not in the video yet"}
_SCRIPTS: Final = ("data.js", "parts.js", "sheet.js", "product.js", "review.js", "page.js")
_EARLIER_VIDEOS: Final = 3
_DECISION_WORDS: Final = {
    "approved": "Approved",
    "rejected": "Rejected",
    "chosen": "Scene {image} chosen",
    "again": "Remake asked for",
}

Link = Callable[[Artifact], str]
"""Gives the address of a stored file as seen from the page."""


class Wait(NamedTuple):
    """Why a product waits for a person, the credits that a run spends once it goes on, and the row
    of the result to decide about; None: as if it did not wait."""

    why: str
    credits: float
    task: Task | None = None


@dataclass(frozen=True)
class Gallery:
    """Everything that a page is made of.

    Attributes:
        link: of a stored file as seen from the page.
        store: that thumbnails are made from; None: the page shows the pictures themselves.
        waiting: products that wait for a person, by id.
        past: by product id.
        key: of the account and pipeline; a browser keeps undelivered decisions under it.
        program: with which the commands on the page begin.
        dagster: the address of the videos' asset in the Dagster UI, where that is known.
    """

    report: Report
    link: Link
    title: str
    now: float
    store: Store | None = None
    waiting: Mapping[str, Wait] = field(default_factory=dict)
    past: Mapping[str, Past] = field(default_factory=dict)
    key: str = ""
    program: str = "topview-pipeline"
    dagster: str | None = None

    def write(self, folder: Path, name: str = GALLERY_FILE) -> Path:
        """Write the page, whole or not at all, and its thumbnails into a folder. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        page = folder / name
        there = write_thumbs(dict(self._thumbs()), folder)
        with whole(page) as part:
            part.write_text(self.html(there), encoding="utf-8")
        return page

    def html(self, thumbs: frozenset[str] = frozenset()) -> str:
        """The page, with its style and script; `thumbs` are the thumbnails that are there.

        What products say is compressed data: no text of theirs can become markup.
        """
        script = "\n".join(map(_source, _SCRIPTS))
        style = _source("gallery.css")
        packed = gzip.compress(
            json.dumps(self.data(thumbs), separators=(",", ":")).encode(), 7, mtime=0
        )
        return _template().render(
            title=self.title,
            total=counted(len(self.report.products), "product"),
            data=base64.b64encode(packed).decode(),
            style=style,
            script=script,
            # Only this script and style count, whatever a product's texts hold.
            script_hash=_digest(script),
            style_hash=_digest(style),
        )

    def data(self, thumbs: frozenset[str]) -> dict[str, Any]:
        """The page's data, as JSON values."""
        paid = [self.past.get(one.product_id, NO_PAST) for one in self.report.products]
        return {
            "title": self.title,
            "made": self.now,
            "key": self.key,
            "program": self.program,
            "dagster": self.dagster,
            "statuses": STATUS_WORDS,
            "flags": FLAG_WORDS,
            "credits": sum(one.credits for one in paid),
            "today": sum(one.credits_today for one in paid),
            "products": [self._record(one, thumbs) for one in self.report.products],
        }

    def _record(self, one: ProductReport, thumbs: frozenset[str]) -> dict[str, Any]:
        """The fields of a product on the page; empty ones are left out."""
        past = self.past.get(one.product_id, NO_PAST)
        wait = self.waiting.get(one.product_id)
        notes = list(_notes(one))
        task, row = one.video.task, one.product
        decides = (wait and wait.task) or one.decides_about
        chosen = next((scene.number for scene in one.scenes if scene.is_chosen), None)
        used = next((scene.number for scene in one.scenes if scene.is_used), None)
        record = {
            "id": one.product_id,
            "status": _status(one, notes, wait),
            "script": None if row is None else row.script,
            "photo": self._photo(one, thumbs),
            "cutout": self._picture(one.stages[CUT_OUT.key].file(CUT_OUT.main_file), thumbs),
            "scenes": [self._scene(scene, one, thumbs) for scene in one.scenes],
            "chosen": chosen,
            "used": used,
            "video": self._link(one.video.file(VIDEO_FILE)),
            "poster": self._picture(one.video.file(COVER_FILE) or one.scene, thumbs),
            "notes": notes,
            "warning": next(_warnings(one), None),
            "wait": None if wait is None else _sentence(wait.why),
            "mode": None if task is None else task.mode,
            "made": None if task is None or task.stored_at is None else int(task.stored_at),
            "seconds": None if one.seconds is None else round(one.seconds),
            "credits": _rounded(one.credits),
            "paid": _rounded(past.credits),
            "version": None if decides is None else data_version(decides.fingerprint)[:12],
            "about": None if decides is None else one.stages[decides.stage].stage.noun,
            "decision": one.decision(one.decides_about),
            "costs": _costs(one, decides, wait),
            "before": [self._earlier(old, thumbs) for old in _earlier_videos(past)],
            "history": [[int(at), what] for at, what in sorted(_history(one, past))],
        }
        return {name: value for name, value in record.items() if value not in (None, [], "")}

    def _link(self, file: Artifact | None) -> str | None:
        return None if file is None else self.link(file)

    def _picture(self, file: Artifact | None, thumbs: frozenset[str]) -> list[str] | None:
        """The addresses of a stored picture, and of its thumbnail if it has one."""
        if file is None:
            return None
        name = None if self.store is None else stored_thumb(file, self.store)[0]
        return [self.link(file), *([f"{THUMBS}/{name}"] if name in thumbs else [])]

    def _photo(self, one: ProductReport, thumbs: frozenset[str]) -> list[str] | None:
        image = None if one.product is None else one.product.image
        found = photo_thumb(image)
        if found is not None:
            return [f"{THUMBS}/{found[0]}"] if found[0] in thumbs else None
        address = photo_url(image)
        return None if address is None else [address]

    def _scene(
        self, scene: SceneReport, one: ProductReport, thumbs: frozenset[str]
    ) -> dict[str, Any]:
        shown = {
            "n": scene.number,
            "src": self._picture(scene.image, thumbs),
            "face": scene.has_face,
        }
        said = _images(one)
        verdict = said[scene.number - 1] if scene.number <= len(said) else {}
        if verdict.get("outcome") in (Outcome.FAILED.value, Outcome.DOUBTFUL.value):
            shown |= {"bad": verdict["outcome"] == Outcome.FAILED.value, "why": verdict["why"]}
        return shown

    def _earlier(self, row: Task, thumbs: frozenset[str]) -> list[Any]:
        files = {one.name: one for one in map(Artifact.from_json, row.artifacts or ())}
        cover = self._picture(files.get(COVER_FILE), thumbs)
        return [int(row.stored_at or 0), self._link(files.get(VIDEO_FILE)), cover]

    def _thumbs(self) -> Iterator[tuple[str, Opener]]:
        """The thumbnails of the page, those of what people decide about first."""
        products = sorted(self.report.products, key=lambda one: one.product_id not in self.waiting)
        for one in products if self.store is not None else ():
            for picture in self._pictures(one):
                yield stored_thumb(picture, self.store)  # type: ignore[arg-type]  # looked at above
        for one in products:
            found = photo_thumb(None if one.product is None else one.product.image)
            if found is not None:
                yield found

    def _pictures(self, one: ProductReport) -> Iterator[Artifact]:
        yield from (scene.image for scene in one.scenes)
        shown = one.video.file(COVER_FILE) or one.scene
        cut_out = one.stages[CUT_OUT.key].file(CUT_OUT.main_file)
        # Once there are scenes no card shows the cut-out.
        seen = shown, None if one.scenes else cut_out
        yield from (file for file in seen if file is not None)


def _status(one: ProductReport, notes: list[list[str]], wait: Wait | None) -> str:
    if any(note[0] == "failed" for note in notes) and (wait is None or one.row_problem):
        return "failed"
    return WAITING if wait is not None else one.status


def _notes(product: ProductReport) -> Iterator[list[str]]:
    """Troubles as status, heading, reason and fix: one cause is said once, where it arose.

    A result that failed its check is a failure, unless a person approved of it.
    """
    if product.row_problem is not None:
        fix = "Fix the row in the catalogue. Until then nothing new is made of it."
        yield ["failed", "The row cannot be used", _sentence(product.row_problem), fix]
    refused = [
        stage
        for stage in product.stages.values()
        if stage.refused is not None and product.decision(stage.task) != "approved"
    ]
    for stage in product.stages.values():
        label = stage.stage.label
        if stage in refused:
            what = _sentence(str(stage.refused))
            yield ["failed", f"{label}: the check failed", what, ""]
        elif stage.what is not None:
            word: Status = stage.status
            head = f"{label}: {STATUS_WORDS[word]}"
            yield [word, head, _sentence(stage.what), _sentence(stage.fix or "")]
            if word in ("failed", "held"):
                return  # what follows from it says nothing new
    if product.video.task is not None and product.refusal is not None and not refused:
        yield ["failed", "The video is not exported", _sentence(product.refusal), ""]


def _warnings(product: ProductReport) -> Iterator[str]:
    """Points of the video, or of what it was made from, that a person should look at."""
    for key, row in product.behind.items():
        quality = row.quality or {}
        if quality.get("outcome") == Outcome.DOUBTFUL.value:
            yield f"{product.stages[key].stage.label}: {quality['why']}"


def _images(product: ProductReport) -> list[Mapping[str, Any]]:
    """The verdicts on the scenes' images, in their order."""
    task = product.stages[SCENE.key].task
    return list(((task.quality if task is not None else None) or {}).get("images") or ())


def _costs(product: ProductReport, decides: Task | None, wait: Wait | None) -> list[float | None]:
    """Credits that a run spends after approving, and after asking for another result.

    What was made before costs about as much again.
    """
    video = product.video.task
    follows = wait.credits if wait is not None else None if video is None else video.cost_credits
    own = None if decides is None else decides.cost_credits or 0.0
    again = None if own is None or follows is None else own + follows
    return [_rounded(follows), _rounded(again)]


def _earlier_videos(past: Past) -> list[Task]:
    videos = [row for row in past.earlier if row.stage == VIDEO.key]
    return videos[::-1][:_EARLIER_VIDEOS]


def _history(product: ProductReport, past: Past) -> Iterator[tuple[float, str]]:
    """Everything that was made and decided, with its time."""
    now = [stage.task for stage in product.stages.values() if stage.task is not None]
    for row in (*past.earlier, *now):
        label = product.stages[row.stage].stage.label
        if row.stored_at is not None:
            cost = "" if not row.cost_credits else f", {counted(row.cost_credits, 'credit')}"
            again = " again" if row.generation else ""
            yield row.stored_at, f"{label} made{again}{cost}"
    for event in past.decisions:
        what = _DECISION_WORDS[event.what].format(image=event.detail.get("image"))
        why = event.detail.get("why")
        yield event.at, f"{what} by {event.who}" + (f": {why}" if why else "")


def _rounded(credits_: float | None) -> float | None:
    return None if credits_ is None else round(credits_, 2)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _source(name: str) -> str:
    return (files("topview_pipeline.export") / "page" / name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    return environment.from_string(_source("gallery.html.j2"))
