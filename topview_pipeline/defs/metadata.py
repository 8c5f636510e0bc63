"""Metadata of events: a materialization with its preview, links, times and costs; tables.

Numbers stay numbers: the UI plots credits, bytes and seconds (waiting for a slot, running at
Topview, being stored, and of the video) over a partition's history.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from topview_pipeline.store.records import Artifact

if TYPE_CHECKING:
    from topview_pipeline.ledger import Task
    from topview_pipeline.media import Verdict
    from topview_pipeline.plan import Forecast, PlannedStage
    from topview_pipeline.stages import Stage
    from topview_pipeline.store import Store

MOST_ROWS: Final = 1000
_FILES: Final = dg.TableSchema(
    columns=[
        dg.TableColumn("file", "string"),
        dg.TableColumn("bytes", "int"),
        dg.TableColumn("uri", "string"),
        dg.TableColumn("sha256", "string"),
    ]
)
"""One for all events: Dagster keeps a step's events until it ends, those of 10,000 products too."""

_KINDS: Final[Mapping[type, Callable[[Any], dg.MetadataValue[Any]]]] = {
    bool: dg.MetadataValue.bool,
    int: dg.MetadataValue.int,
    float: dg.MetadataValue.float,
    str: dg.MetadataValue.text,
}
ACCOUNT: Final = "topview/account"
_REPEATED: Final = frozenset(
    f"topview/{name}"
    for name in ("credits", "reused", "mode", "width", "height", "attempt", "faces", "account")
)
"""Keys whose values thousands of events have in common."""


@dataclass(frozen=True)
class Preview:
    """Facts seen in a task's files; None is a fact that could not be found out.

    Attributes:
        markdown: a picture inline, short enough for the UI to draw.
        width: pixels.
        height: pixels.
        seconds: of a video.
    """

    markdown: str | None = None
    width: int | None = None
    height: int | None = None
    seconds: float | None = None


def made_metadata(
    stage: Stage,
    task: Task,
    store: Store,
    *,
    account: str,
    reused: bool,
    duration_is_unknown: bool,
    preview: Preview | None,
    verdict: Verdict | None = None,
    media_url: str | None = None,
) -> dict[str, Any]:
    """Metadata of one stored task.

    Args:
        account: id of the account: a new ledger recognises by it that something was made.
        reused: it was reported before: nothing was paid for this materialization.
        duration_is_unknown: nobody watched its end.
        preview: None where previews are off.
        verdict: of the check; None where checks are off.
        media_url: below which a browser finds the store's files; None: the store's own addresses.
    """
    artifacts = [Artifact.from_json(one) for one in task.artifacts or ()]
    # The UI keeps this order: what one looks at, what it cost and took, what identifies it.
    values: dict[str, Any] = {}
    if preview is not None and preview.markdown is not None:
        values["topview/preview"] = dg.MetadataValue.md(preview.markdown)
    values |= _links(artifacts, store, media_url)
    credits_paid = 0.0 if reused else task.cost_credits
    if credits_paid is not None:
        values["topview/credits"] = float(credits_paid)
    values["topview/reused"] = reused
    if task.mode is not None:
        values["topview/mode"] = task.mode
    values |= _measured(preview, verdict) | _times(task, duration_is_unknown=duration_is_unknown)
    values["topview/bytes"] = sum(artifact.size for artifact in artifacts)
    addresses = [store.address(artifact) for artifact in artifacts]
    values["topview/files"] = _file_table(artifacts, addresses)
    values |= {
        "topview/attempt": task.attempt,
        "topview/task_id": task.topview_task_id or "",
        **{f"topview/{name}": value for name, value in stage.facts(task.result or {}).items()},
        "topview/fingerprint": task.fingerprint,
        ACCOUNT: account,
    }
    if artifacts:
        values["topview/sha256"] = artifacts[0].sha256
        values["dagster/uri"] = addresses[0]
    return {key: _one_of(value) if key in _REPEATED else value for key, value in values.items()}


@lru_cache(maxsize=1024, typed=True)
def _one_of(value: bool | float | str) -> dg.MetadataValue[Any]:
    """One object for equal values: Dagster keeps a step's events until it ends."""
    return _KINDS[type(value)](value)


def _measured(preview: Preview | None, verdict: Verdict | None) -> dict[str, float]:
    """Pixels, and seconds of a video: as the check measured them, else as the preview has them."""
    seconds = None if verdict is None else verdict.numbers.get("video_seconds")
    if seconds is None and preview is not None:
        seconds = preview.seconds
    values = {
        "topview/video_seconds": None if seconds is None else round(seconds, 3),
        "topview/width": None if preview is None else preview.width,
        "topview/height": None if preview is None else preview.height,
    }
    return {key: value for key, value in values.items() if value is not None}


def _times(task: Task, *, duration_is_unknown: bool) -> dict[str, float]:
    """Seconds that it waited for a slot, ran at Topview, and took to be stored."""
    values = {"topview/seconds_queued": task.reserved_at - task.queued_at}
    if task.pending_at is not None and task.succeeded_at is not None and not duration_is_unknown:
        values["topview/seconds_running"] = task.succeeded_at - task.pending_at
        if task.stored_at is not None:
            values["topview/seconds_storing"] = task.stored_at - task.succeeded_at
    # Clocks are set back now and then.
    return {name: round(max(seconds, 0.0), 3) for name, seconds in values.items()}


def _links(
    artifacts: Sequence[Artifact], store: Store, media_url: str | None
) -> dict[str, dg.UrlMetadataValue]:
    """Links that open a picture in full size, and play the video.

    To a bucket without `media_url` they are signed, for a week. None where a browser would not
    follow it: neither s3: nor file: is opened from Dagster's page.
    """
    links = {
        artifact.name.partition(".")[0]: store.link(artifact, media_url) for artifact in artifacts
    }
    return {
        f"topview/open_{name}": dg.MetadataValue.url(link)
        for name, link in links.items()
        if link.startswith(("http://", "https://"))
    }


def _file_table(artifacts: Sequence[Artifact], addresses: Sequence[str]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "file": artifact.name,
                    "bytes": artifact.size,
                    "uri": address,
                    "sha256": artifact.sha256,
                }
            )
            for artifact, address in zip(artifacts, addresses, strict=True)
        ],
        schema=_FILES,
    )


def preview_of(stage: Stage, task: Task, store: Store) -> Preview:
    """A small picture of what was made, and how large and long that is.

    "No picture" never fails a product, and where previews are off this is not called.
    """
    artifacts = {one.name: one for one in map(Artifact.from_json, task.artifacts or ())}
    shown = next((artifacts[name] for name in stage.preview_files if name in artifacts), None)
    main = artifacts.get(stage.main_file)
    size = Preview() if main is None else _size_of(main, store)
    markdown = None if shown is None else _inline(shown, store)
    return Preview(markdown, size.width, size.height, size.seconds)


def _inline(shown: Artifact, store: Store) -> str | None:
    # Pillow and FFmpeg take 0.3 s to import, and the code location must load without them.
    from topview_pipeline.media.preview import inline_preview, poster
    from topview_pipeline.media.probe import MediaError
    from topview_pipeline.store import StoreError

    try:
        data = store.read_bytes(shown)
        if shown.media_type.startswith("video/"):
            frame = io.BytesIO()
            poster(data).save(frame, "PNG")
            data = frame.getvalue()
        return inline_preview(data)
    except (MediaError, StoreError, OSError):
        return None


def _size_of(main: Artifact, store: Store) -> Preview:
    from topview_pipeline.media.probe import MediaError, probe_image, probe_video
    from topview_pipeline.store import StoreError

    try:
        with store.local_copy(main) as path:
            if main.media_type.startswith("video/"):
                video = probe_video(path)
                return Preview(None, video.width, video.height, video.seconds)
            image = probe_image(path)
            return Preview(None, image.width, image.height)
    except (MediaError, StoreError, OSError):
        return Preview()


def text_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> dg.TableMetadataValue:
    """A table of text: the first thousand rows, then one that says how many more there are.

    Args:
        rows: a text for each column.
    """
    coming = iter(rows)
    shown = [dict(zip(columns, row, strict=True)) for row in islice(coming, MOST_ROWS)]
    more = sum(1 for _ in coming)
    if more:
        shown.append({**dict.fromkeys(columns, ""), columns[0]: f"... and {more:,} more"})
    return dg.MetadataValue.table(
        [dg.TableRecord(row) for row in shown],
        schema=dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in columns]),
    )


def forecast_metadata(coming: Forecast) -> dict[str, Any]:
    """The sums of a plan: numbers that the UI plots, and a table of the stages."""
    columns = {"stage": "string", "products": "int", "new tasks": "int", "credits": "float"}
    return {
        "topview/tasks": coming.tasks,
        "topview/credits": coming.credits,
        "topview/tasks_of_unknown_price": coming.unpriced,
        "topview/seconds": coming.seconds,
        "topview/stages": dg.MetadataValue.table(
            [
                dg.TableRecord(
                    {
                        "stage": stage.stage,
                        "products": stage.products,
                        "new tasks": stage.tasks,
                        "credits": stage.credits,
                    }
                )
                for stage in coming.stages
            ],
            schema=dg.TableSchema(
                columns=[dg.TableColumn(name, type_) for name, type_ in columns.items()]
            ),
        ),
    }


def plan_table(planned: Sequence[PlannedStage]) -> dg.TableMetadataValue:
    """A plan as the UI shows it."""
    return text_table(
        ("product", "stage", "why", "credits"),
        (
            (
                one.product_id,
                one.stage,
                one.why,
                "unknown" if one.credits is None else f"{one.credits:g}",
            )
            for one in planned
        ),
    )
