"""Metadata of events: a materialization with its pictures, links, times and costs; tables.

Three numbers stay numbers, for the UI plots them over a partition's history: credits, seconds at
Topview, seconds of the video. What identifies a result is in one table.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from topview_pipeline.store import Artifact
from topview_pipeline.text import counted

if TYPE_CHECKING:
    from topview_pipeline.ledger import Task
    from topview_pipeline.media import Verdict
    from topview_pipeline.plan import Forecast, PlannedStage
    from topview_pipeline.stages import Stage
    from topview_pipeline.store import Store

MOST_ROWS: Final = 1000
_LONGEST_MARKDOWN: Final = 999
"""Characters: Dagster shows a Markdown value of 1,000 and more as a link to open it."""


@dataclass(frozen=True)
class Preview:
    """Facts seen in a task's files; None is a fact that could not be found out.

    Attributes:
        pictures: by name, as Markdown that the UI draws inline.
        width, height: pixels.
        seconds: of a video.
    """

    pictures: Mapping[str, str] = field(default_factory=dict)
    width: int | None = None
    height: int | None = None
    seconds: float | None = None


def made_metadata(
    stage: Stage,
    task: Task,
    store: Store,
    *,
    reused: bool,
    duration_is_unknown: bool,
    preview: Preview | None,
    verdict: Verdict | None = None,
    media_url: str | None = None,
    gallery_url: str | None = None,
) -> dict[str, Any]:
    """Metadata of one stored task, at most ten: the UI keeps their order.

    Args:
        reused: it was reported before: nothing was paid for this materialization.
        duration_is_unknown: nobody watched its end.
        preview, verdict: None where previews and checks are off.
        gallery_url: the product's place in the gallery.
    """
    artifacts = [Artifact.from_json(one) for one in task.artifacts or ()]
    pictures = {} if preview is None else preview.pictures
    values: dict[str, Any] = {
        f"topview/{name}": dg.MetadataValue.md(one) for name, one in pictures.items()
    }
    seconds = _video_seconds(preview, verdict)
    times = _times(task, duration_is_unknown=duration_is_unknown)
    credits_paid = 0.0 if reused else task.cost_credits
    values["topview/caption"] = caption(task, preview, seconds, times, reused=reused)
    links = _links(artifacts, store, media_url, gallery_url)
    if links:
        values["topview/open"] = dg.MetadataValue.md(links)
    plotted = {"credits": credits_paid, "seconds_running": times.get("running")}
    plotted["video_seconds"] = seconds
    values |= {f"topview/{name}": float(one) for name, one in plotted.items() if one is not None}
    facts = {
        "task at Topview": task.topview_task_id or "",
        **{name.replace("_", " "): one for name, one in stage.facts(task.result or {}).items()},
        "attempt": str(task.attempt),
        **{f"seconds {name}": f"{took:g}" for name, took in times.items()},
        "fingerprint": task.fingerprint,
    }
    for one in artifacts:
        facts[one.name] = f"{one.size:,} bytes"
        facts[f"{one.name}, sha256"] = one.sha256
        facts[f"{one.name}, address"] = store.address(one)
    values["topview/technical"] = text_table(
        ("what", "value"), filter(itemgetter(1), facts.items())
    )
    if artifacts:
        values["dagster/uri"] = store.address(artifacts[0])
    return values


def caption(
    task: Task,
    preview: Preview | None,
    seconds: float | None,
    times: Mapping[str, float],
    *,
    reused: bool,
) -> str:
    """Length, size, mode, cost and time of a result, in one line."""
    parts = [] if seconds is None else [f"{seconds:.1f} s"]
    if preview is not None and preview.width and preview.height:
        parts.append(f"{preview.width} × {preview.height}")
    parts += [task.mode] if task.mode else []
    if reused:
        parts.append("made before, nothing paid")
    else:
        parts += (
            [] if task.cost_credits is None else [counted(round(task.cost_credits, 2), "credit")]
        )
        parts += [f"{times['running']:.1f} s at Topview"] if "running" in times else []
    return " · ".join(parts)


def _video_seconds(preview: Preview | None, verdict: Verdict | None) -> float | None:
    """Seconds of a video: as the check measured them, else as the preview has them."""
    seconds = None if verdict is None else verdict.numbers.get("video_seconds")
    if seconds is None and preview is not None:
        seconds = preview.seconds
    return None if seconds is None else round(seconds, 3)


def _times(task: Task, *, duration_is_unknown: bool) -> dict[str, float]:
    """Seconds that it waited for a slot, ran at Topview, and took to be stored."""
    values = {"queued": task.reserved_at - task.queued_at}
    if task.pending_at is not None and task.succeeded_at is not None and not duration_is_unknown:
        values["running"] = task.succeeded_at - task.pending_at
        if task.stored_at is not None:
            values["storing"] = task.stored_at - task.succeeded_at
    # Clocks are set back now and then.
    return {name: round(max(seconds, 0.0), 3) for name, seconds in values.items()}


def _links(
    artifacts: Sequence[Artifact], store: Store, media_url: str | None, gallery_url: str | None
) -> str:
    """Links that open a picture in full size, play the video, and lead to the gallery, as Markdown.

    To a bucket without `media_url` they are signed, for a week. None where a browser would not
    follow it: neither s3: nor file: is opened from Dagster's page.
    """
    links = {"gallery": gallery_url} if gallery_url else {}
    for one in artifacts:
        links[one.name.partition(".")[0].replace("_", " ")] = store.link(one, media_url)
    shown = ""
    for word, link in links.items():
        longer = f"{shown} · [{word}](<{link}>)".removeprefix(" · ")
        if link.startswith(("http://", "https://")) and len(longer) <= _LONGEST_MARKDOWN:
            shown = longer
    return shown


def preview_of(stage: Stage, task: Task, store: Store) -> Preview:
    """Small pictures of what was made, and how large and long that is, as far as can be seen."""
    main = _artifacts(task).get(stage.main_file)
    size = Preview() if main is None else _size_of(main, store)
    return replace(size, pictures=pictures_of(stage, task, store))


def pictures_of(
    stage: Stage, task: Task, store: Store, *, used: Collection[str] = (), by: str = ""
) -> dict[str, str]:
    """A task's pictures as Markdown, by name; those `used` by a stage are named for it."""
    # Pillow and FFmpeg take 0.3 s to import, and the code location must load without them.
    from topview_pipeline.media.probe import MediaError, inline_preview
    from topview_pipeline.store import StoreError

    artifacts = _artifacts(task)
    names = {name: "preview" for name in stage.preview_files if name in artifacts}
    if stage.shows_all_files:
        names = {name: name.partition(".")[0] for name in artifacts}
    found: dict[str, str] = {}
    for name, key in names.items():
        with suppress(MediaError, StoreError, OSError):
            picture = None if key in found else inline_preview(_picture(artifacts[name], store))
            if picture is not None:
                found[f"{key}_in_the_{by}" if name in used else key] = picture
    return found


def _artifacts(task: Task) -> dict[str, Artifact]:
    return {one.name: one for one in map(Artifact.from_json, task.artifacts or ())}


def _picture(shown: Artifact, store: Store) -> bytes:
    """Its bytes; of a video those of a frame."""
    from topview_pipeline.media.probe import poster

    data = store.read_bytes(shown)
    if not shown.media_type.startswith("video/"):
        return data
    frame = io.BytesIO()
    poster(data).save(frame, "PNG")
    return frame.getvalue()


def _size_of(main: Artifact, store: Store) -> Preview:
    from topview_pipeline.media.probe import MediaError, probe_image, probe_video
    from topview_pipeline.store import StoreError

    try:
        with store.local_copy(main) as path:
            if main.media_type.startswith("video/"):
                video = probe_video(path)
                return Preview({}, video.width, video.height, video.seconds)
            image = probe_image(path)
            return Preview({}, image.width, image.height)
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
    return dg.MetadataValue.table([dg.TableRecord(row) for row in shown], _schema(tuple(columns)))


@cache
def _schema(columns: tuple[str, ...]) -> dg.TableSchema:
    """One for all events: Dagster keeps a step's events until it ends, of 10,000 products too."""
    return dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in columns])


def forecast_metadata(coming: Forecast) -> dict[str, Any]:
    """The sums of a plan: numbers that the UI plots, and a table of the stages."""
    columns = ("stage", "products", "new tasks", "credits")
    rows = (
        (one.stage, str(one.products), str(one.tasks), f"{round(one.credits, 2):g}")
        for one in coming.stages
    )
    return {
        "topview/tasks": coming.tasks,
        "topview/credits": coming.credits,
        "topview/tasks_of_unknown_price": coming.unpriced,
        "topview/seconds": coming.seconds,
        "topview/stages": text_table(columns, rows),
    }


def plan_table(planned: Sequence[PlannedStage]) -> dg.TableMetadataValue:
    return text_table(
        ("product", "stage", "why", "credits"),
        (
            (
                one.product_id,
                one.stage,
                one.why,
                "unknown" if one.credits is None else f"{round(one.credits, 2):g}",
            )
            for one in planned
        ),
    )
