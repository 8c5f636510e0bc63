"""The list of finished videos that a shop imports: its rows, its files' text, and what changed.

Pure: rows in, bytes out. Not here: where they are written (`publishing`), what a product has
(`portfolio`).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from topview_pipeline.artifacts import Artifact
from topview_pipeline.portfolio import ProductShown

Row = Mapping[str, Any]

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
"""The video is whole and checked, and is perhaps not what is wanted now: another one was ordered
since and is not there yet, or the product's row in the catalogue cannot be used."""


@dataclass(frozen=True)
class Measured:
    """What a video's own file says: pixels and seconds; None is what could not be found out."""

    seconds: float | None = None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class Listing:
    """The rows of a manifest, and what is to be known of products.

    Attributes:
        left_out: products that are not in it, and why.
        in_bad_rows: products that are in it although their row in the catalogue cannot be used,
            and why it cannot.
    """

    rows: tuple[Row, ...]
    left_out: Mapping[str, str]
    in_bad_rows: Mapping[str, str]


@dataclass(frozen=True)
class Changes:
    """How a manifest differs from the one before. `changed`: columns by product."""

    added: tuple[str, ...]
    changed: Mapping[str, tuple[str, ...]]
    removed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def lines(self) -> Iterable[Row]:
        """One for each product that differs, by product."""
        told: list[Row] = [
            *({"product_id": name, "change": "added", "columns": []} for name in self.added),
            *(
                {"product_id": name, "change": "changed", "columns": list(columns)}
                for name, columns in self.changed.items()
            ),
            *({"product_id": name, "change": "removed", "columns": []} for name in self.removed),
        ]
        return sorted(told, key=lambda line: line["product_id"])


def listing(
    portfolio: Iterable[ProductShown],
    *,
    is_there: Callable[[Artifact], bool],
    address: Callable[[Artifact], str],
    measure: Callable[[Artifact], Measured],
) -> Listing:
    """The rows of what may be exported, and why the rest may not.

    Args:
        is_there: whether a file is in the store as it was written.
        address: where a shop finds a file.
        measure: asked of videos that are exported only.
    """
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    in_bad_rows: dict[str, str] = {}
    for shown in portfolio:
        reason = reason_to_leave_out(shown, is_there)
        if reason is not None:
            left_out[shown.product_id] = reason
            continue
        rows.append(_row(shown, is_there, address, measure))
        if shown.row_problem is not None:
            in_bad_rows[shown.product_id] = shown.row_problem
    return Listing(tuple(rows), left_out, in_bad_rows)


def reason_to_leave_out(shown: ProductShown, is_there: Callable[[Artifact], bool]) -> str | None:
    """Why a product is not in the manifest; None when it is."""
    video = shown.video.file("video.mp4")
    if video is None:
        what = shown.video.what
        if shown.row_problem is not None:
            what = f"its row cannot be used: {shown.row_problem}"
        return f"no finished video: {what}" if what else "no finished video"
    if shown.refusal is not None:
        return str(shown.refusal)
    if not is_there(video):
        return "its video is not in the store"
    return None


def _row(
    shown: ProductShown,
    is_there: Callable[[Artifact], bool],
    address: Callable[[Artifact], str],
    measure: Callable[[Artifact], Measured],
) -> Row:
    video, row = shown.video.file("video.mp4"), shown.video.row
    if video is None or row is None:
        raise ValueError(f"{shown.product_id} has no video to list")
    measured = measure(video)

    def link(artifact: Artifact | None) -> str | None:
        return address(artifact) if artifact is not None and is_there(artifact) else None

    is_wanted = shown.video.outcome == "done" and shown.row_problem is None
    values = (
        shown.product_id,
        READY if is_wanted else OUTDATED,
        address(video),
        video.sha256,
        video.bytes,
        measured.seconds,
        measured.width,
        measured.height,
        link(shown.video.file("cover.jpg")),
        link(shown.scene),
        link(shown.cutout),
        row.mode,
        shown.credits,
        _utc(row.stored_at),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _utc(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")


def changes_between(before: Sequence[Row], after: Sequence[Row]) -> Changes:
    """What a shop has to do that imported the one and gets the other.

    A column that only one of the two knows counts as empty in the other.
    """
    old = {row["product_id"]: row for row in before}
    new = {row["product_id"]: row for row in after}
    changed = {
        name: columns
        for name in sorted(old.keys() & new.keys())
        if (columns := _different(old[name], new[name]))
    }
    return Changes(
        added=tuple(sorted(new.keys() - old.keys())),
        changed=changed,
        removed=tuple(sorted(old.keys() - new.keys())),
    )


def _different(old: Row, new: Row) -> tuple[str, ...]:
    names = [*new, *(name for name in old if name not in new)]
    return tuple(name for name in names if old.get(name) != new.get(name))


def to_csv(rows: Iterable[Row]) -> bytes:
    """UTF-8, with a line of column names; empty is not known."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def to_jsonl(rows: Iterable[Row]) -> bytes:
    """UTF-8, one JSON object a line; null is not known."""
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def from_jsonl(data: bytes) -> list[Row]:
    """The inverse of `to_jsonl`.

    Raises:
        ValueError: a line is no object with a product_id.
    """
    # Not splitlines: that breaks at separators which JSON leaves inside its texts.
    rows = [json.loads(line) for line in data.decode().split("\n") if line]
    for row in rows:
        if not isinstance(row, dict) or "product_id" not in row:
            raise ValueError(f"no row of a manifest: {row!r}")
    return rows
