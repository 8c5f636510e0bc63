"""The manifest: the finished videos of a catalogue as two files that a shop imports.

    <account>/manifest/videos.csv, videos.jsonl              of the pipeline "topview"
    <account>/manifest/<pipeline>/videos.csv, videos.jsonl   of every other

The same rows in both, written whole. Dagster keeps the history of the asset.
"""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Any, Final

from topview_pipeline.export.report import ProductReport, Report
from topview_pipeline.media.probe import MediaError, MediaInfo, probe_video
from topview_pipeline.settings import DEFAULT_NAME
from topview_pipeline.stages.video import COVER_FILE, VIDEO_FILE
from topview_pipeline.store import Artifact, Store, StoreError, product_slug

CSV: Final = "videos.csv"
JSONL: Final = "videos.jsonl"
COLUMNS: Final = (
    "product_id",
    "status",
    "video",
    "video_sha256",
    "video_bytes",
    "duration_seconds",
    "width",
    "height",
    "poster",
    "scene",
    "cutout",
    "mode",
    "credits",
    "made_at",
)
"""Of both files, in this order. A column is only ever added at the end: shops import by name, and
some by place."""
READY: Final = "ready"
OUTDATED: Final = "outdated"
"""The video is whole and checked, and may not be what is wanted now: something of it is to be made
again and is not there yet, or the product's row in the catalogue cannot be used."""
_AT_ONCE: Final = 32  # questions to a bucket
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Published:
    """A manifest as it is in the store now.

    Attributes:
        version: hash of its content.
        videos: how many it lists.
        left_out: by product, why it is not listed.
        addresses: of the files, by name.
    """

    version: str
    videos: int
    left_out: Mapping[str, str]
    addresses: Mapping[str, str]


def publish_manifest(
    report: Report, store: Store, account: str, *, pipeline: str, media_url: str | None
) -> Published:
    """List the videos that may be exported, and write the list. Raises StoreError.

    Args:
        pipeline: whose products these are; each has its own files.
        media_url: below which a shop finds the store's files; None: the store's own addresses.
    """
    folder = f"{account}/manifest"
    if pipeline != DEFAULT_NAME:
        folder = f"{folder}/{product_slug(pipeline)}"
    keys = {name: f"{folder}/{name}" for name in (CSV, JSONL)}
    known = _measured_before(store.read_file(keys[JSONL]))

    def measure(video: Artifact) -> MediaInfo | None:
        if video.sha256 in known:
            return known[video.sha256]
        try:
            with store.local_copy(video) as path:
                return probe_video(path)
        except (MediaError, StoreError):
            return None

    rows, left_out = list_videos(
        report.products,
        present=_present(store, report.products),
        address=partial(store.address, base_url=media_url),
        measure=measure,
    )
    lines = to_jsonl(rows)
    store.write_file(keys[CSV], to_csv(rows), "text/csv")
    store.write_file(keys[JSONL], lines, "application/jsonl")
    return Published(
        version=hashlib.sha256(lines).hexdigest()[:32],
        videos=len(rows),
        left_out=left_out,
        addresses={name: store.address(key) for name, key in keys.items()},
    )


def list_videos(
    products: Iterable[ProductReport],
    *,
    present: frozenset[Artifact],
    address: Callable[[Artifact], str],
    measure: Callable[[Artifact], MediaInfo | None],
) -> tuple[list[Row], dict[str, str]]:
    """The rows of what may be exported, and by product why others may not.

    Args:
        present: the files that are in the store as they were written.
        address: of a file, for the shop.
        measure: asked for videos that are exported; None: they cannot be measured.
    """

    def link(file: Artifact | None) -> str | None:
        return address(file) if file is not None and file in present else None

    rows: list[Row] = []
    left_out: dict[str, str] = {}
    for product in products:
        video = product.video.file(VIDEO_FILE)
        refusal = product.refusal
        if video is None:
            left_out[product.product_id] = _why_no_video(product)
        elif refusal is not None:
            left_out[product.product_id] = refusal
        elif video not in present:
            left_out[product.product_id] = "its video is not in the store"
        else:
            rows.append(_row(product, video, measure(video), link))
    return rows, left_out


def _why_no_video(product: ProductReport) -> str:
    reasons = [stage.what for stage in product.stages.values() if stage.what is not None]
    if product.row_problem is not None:
        reasons = [f"its row cannot be used: {product.row_problem}"]
    return ": ".join(["no finished video", *reasons[:1]])


def _row(
    product: ProductReport,
    video: Artifact,
    measured: MediaInfo | None,
    link: Callable[[Artifact | None], str | None],
) -> Row:
    task = product.video.task
    values = (
        product.product_id,
        OUTDATED if product.is_outdated else READY,
        link(video),
        video.sha256,
        video.size,
        None if measured is None else round(measured.seconds, 3) or None,
        None if measured is None else measured.width,
        None if measured is None else measured.height,
        link(product.video.file(COVER_FILE)),
        link(product.scene),
        link(product.cutout),
        None if task is None else task.mode,
        product.credits,
        None if task is None else _utc(task.stored_at),
    )
    return dict(zip(COLUMNS, values, strict=True))


def to_csv(rows: Iterable[Row]) -> bytes:
    """UTF-8, with a line of column names; an empty cell is not known."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def to_jsonl(rows: Iterable[Row]) -> bytes:
    """UTF-8, one JSON object a line; null is not known."""
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def _present(store: Store, products: Iterable[ProductReport]) -> frozenset[Artifact]:
    """The files of products with a video that are in the store."""
    files = {
        file
        for product in products
        if (video := product.video.file(VIDEO_FILE)) is not None
        for file in (video, product.video.file(COVER_FILE), product.scene, product.cutout)
        if file is not None
    }
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = zip(files, pool.map(store.has, files), strict=True)
        return frozenset(file for file, is_there in found if is_there)


def _measured_before(manifest: bytes | None) -> dict[str, MediaInfo]:
    """The measures in the last manifest by the video's sha256; none when it is damaged."""
    try:
        # Not splitlines: that breaks at separators which JSON leaves inside its texts.
        rows = [json.loads(line) for line in (manifest or b"").decode().split("\n") if line]
        return {
            row["video_sha256"]: MediaInfo(row["width"], row["height"], row["duration_seconds"])
            for row in rows
            if row["duration_seconds"]
        }
    except (ValueError, TypeError, KeyError):
        return {}


def _utc(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
