"""The gallery: one HTML file that shows every product, its scenes, its video and its troubles.

It needs no server and nothing from a network. `page/` is the template with its style and script;
small copies of the catalogue's photos lie beside the page.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from topview_pipeline.catalogue.references import local_path
from topview_pipeline.export.report import STATUSES, ProductReport, Report, Status
from topview_pipeline.media.probe import MediaError, opened_image
from topview_pipeline.stages import CUT_OUT, STAGES
from topview_pipeline.stages.video import COVER_FILE, VIDEO_FILE
from topview_pipeline.store import Artifact
from topview_pipeline.text import counted

if TYPE_CHECKING:
    from jinja2 import Template
    from PIL import Image

GALLERY_FILE: Final = "index.html"
SERVED_FILE: Final = "served.html"
"""A page whose links need its server; beside the other, which works without."""
PHOTOS: Final = "photos"
"""The folder of the photos' copies, beside the page."""
_PHOTO_SIDE: Final = 480  # pixels of the longer side: twice what a card shows
_PHOTO_QUALITY: Final = 80
STATUS_WORDS: Final[Mapping[Status, str]] = {
    "done": "finished",
    "failed": "failed",
    "held": "held",
    "pending": "on its way",
    "new": "not made yet",
}

Link = Callable[[Artifact], str]
"""Gives the address of a stored file as seen from the page."""


@dataclass(frozen=True)
class Note:
    """Something to know of a product, and what to do about it."""

    status: Status
    head: str
    what: str
    fix: str | None = None


def write_gallery(
    report: Report,
    folder: Path,
    link: Link,
    *,
    title: str,
    now: float,
    program: str = "topview-pipeline",
    name: str = GALLERY_FILE,
) -> Path:
    """Write the page, whole or not at all, and small copies of the photos into a folder.

    Args:
        folder: it is made when it is missing.
        now: seconds since the epoch.
        program: with which the commands on the page begin.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cards = [card_of(product, folder, program) for product in report.products]
    page = folder / name
    with _whole(page) as part:
        part.write_text(render(cards, link, title=title, now=now), encoding="utf-8")
    return page


def render(cards: Sequence[Mapping[str, Any]], link: Link, *, title: str, now: float) -> str:
    """The page as HTML, with its style and script; the template escapes what the cards say."""
    script = _source("gallery.js")
    counts = Counter(card["status"] for card in cards)
    return _template().render(
        title=title,
        made=_minute(now),
        cards=cards,
        total=counted(len(cards), "product"),
        link=link,
        counts=[(one, STATUS_WORDS[one], counts[one]) for one in STATUSES if counts[one]],
        words=STATUS_WORDS,
        stage_words={stage.key: stage.label for stage in STAGES},
        style=_source("gallery.css"),
        script=script,
        # Only this script runs, whatever a product's texts hold.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def card_of(product: ProductReport, folder: Path, program: str) -> dict[str, Any]:
    """A product as the template shows it; its photo is copied to the page's folder."""
    product_id, row = product.product_id, product.product
    notes = tuple(_notes(product))
    script = "" if row is None else row.script or ""
    chosen = next((scene.number for scene in product.scenes if scene.is_chosen), None)
    used = next((scene.number for scene in product.scenes if scene.is_used), None)
    return {
        "product_id": product_id,
        "status": "failed" if any(note.status == "failed" for note in notes) else product.status,
        "stages": {
            key: "failed" if stage.refused is not None else stage.status
            for key, stage in product.stages.items()
        },
        "photo": None if row is None else photo_for(row.image, folder),
        "cutout": product.stages[CUT_OUT.key].file(CUT_OUT.main_file),
        "scenes": product.scenes,
        "video": product.video.file(VIDEO_FILE),
        "poster": product.video.file(COVER_FILE) or product.scene,
        "script": script,
        "facts": tuple(_facts(product)),
        "notes": notes,
        # An id that begins with a dash must not become an option of the command.
        "choose": f"{program} choose {'-- ' if product_id.startswith('-') else ''}"
        f"{shlex.quote(product_id)}",
        "waits_for": chosen if used is not None and chosen != used else None,
        # The text that the page's filter searches; gallery.js folds its case.
        "search": " ".join((product_id, script, *(f"{note.head} {note.what}" for note in notes))),
    }


def _notes(product: ProductReport) -> Iterator[Note]:
    """Troubles; a result that failed its check is a failure, whatever its task's state."""
    if product.row_problem is not None:
        fix = "Fix the row in the catalogue. Until then nothing new is made of it."
        yield Note("failed", "Row cannot be used", _sentence(product.row_problem), fix)
    refused = [stage for stage in product.stages.values() if stage.refused is not None]
    for stage in product.stages.values():
        label = stage.stage.label
        if stage in refused:
            head = f"{label} {STATUS_WORDS['failed']}"
            yield Note("failed", head, f"It failed its check: {stage.refused}")
        elif stage.what is not None:
            head = f"{label} {STATUS_WORDS[stage.status]}"
            yield Note(stage.status, head, _sentence(stage.what), stage.fix)
    if product.video.task is not None and product.refusal is not None and not refused:
        yield Note("failed", "Video not exported", _sentence(product.refusal))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _facts(product: ProductReport) -> Iterator[tuple[str, str]]:
    if product.credits is not None:
        yield "credits", f"{product.credits:g}"
    if product.seconds is not None:
        minutes, rest = divmod(round(product.seconds), 60)
        yield "at Topview", f"{minutes} min {rest} s" if minutes else f"{rest} s"
    task = product.video.task
    if task is not None and task.mode is not None:
        yield "mode", task.mode
    if task is not None and task.stored_at is not None:
        yield "made", _minute(task.stored_at)


def photo_for(ref: str | None, folder: Path) -> str | None:
    """The address of a photo as seen from the page in `folder`; None without a picture.

    One on this machine is copied, once for each version of the file. One behind a URL is shown from
    there, unless the URL has a query: that may be a signature, and a page is passed on.

    Raises:
        OSError: the folder cannot be written.
    """
    path = None if ref is None else local_path(ref)
    if path is not None:
        return _copy(path, folder)
    parts = urlsplit(ref or "")
    is_plain = parts.scheme in ("http", "https") and not (parts.query or parts.username)
    return ref if is_plain else None


def _copy(path: Path, folder: Path) -> str | None:
    try:
        state = path.stat()
    except OSError:
        return None
    key = f"{path}\n{state.st_mtime_ns}\n{state.st_size}"
    name = f"{hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()[:20]}.webp"
    target = folder / PHOTOS / name
    if not target.exists():
        try:
            small = _small(path)
        except MediaError:
            return None
        target.parent.mkdir(parents=True, exist_ok=True)
        with _whole(target) as part:
            small.save(part, "WEBP", quality=_PHOTO_QUALITY, method=2)
    return f"{PHOTOS}/{name}"


def _small(path: Path) -> Image.Image:
    """Raises MediaError, also for a picture with more pixels than Pillow takes."""
    from PIL import Image, ImageOps

    with opened_image(path) as opened:
        opened.draft("RGB", (_PHOTO_SIDE, _PHOTO_SIDE))
        small = ImageOps.exif_transpose(opened)
        small = small.convert("RGBA" if small.has_transparency_data else "RGB")
        small.thumbnail((_PHOTO_SIDE, _PHOTO_SIDE), Image.Resampling.LANCZOS)
        return small


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A path to write to, which becomes the target once all is written."""
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _minute(at: float) -> str:
    return f"{datetime.fromtimestamp(at, timezone.utc):%Y-%m-%d %H:%M} UTC"


def _source(name: str) -> str:
    return (files("topview_pipeline.export") / "page" / name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_source("gallery.html.j2"))
