"""What a person sees of a materialization: metadata with units, under namespaced keys.

What is a number is kept as one: the UI plots credits, bytes and seconds (queued until it was sent,
running at Topview, being stored, and of the video) over a partition's history.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import dagster as dg

from topview_pipeline.artifacts import Artifact, ArtifactStore
from topview_pipeline.artifacts.addresses import Links, public
from topview_pipeline.defs.pictures import Picture
from topview_pipeline.ledger import Task
from topview_pipeline.quality import Verdict

_FILE_IDS: Mapping[str, str] = {
    "bgRemovedImageFileId": "topview/cutout_file_id",
    "maskImageFileId": "topview/mask_file_id",
}
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
_REPEATED: Final = frozenset(
    f"topview/{name}"
    for name in ("credits", "reused", "mode", "width", "height", "attempt", "faces")
)
"""Keys whose values thousands of events have in common."""


def made_metadata(
    task: Task,
    store: ArtifactStore,
    *,
    reused: bool,
    seen_late: bool,
    preview: Picture | None,
    verdict: Verdict | None = None,
    media_url: str | None = None,
) -> dict[str, Any]:
    """Metadata of one stored task.

    Args:
        reused: an earlier materialization was made from this task: nothing was paid for this one.
        seen_late: its end may have been seen long after it, so how long it ran is not known.
        preview: what can be seen of it; None where previews are off.
        verdict: what measuring it said; None where checks are off.
        media_url: below which a browser finds the store's files; None: where the store says it
            has them itself.
    """
    artifacts = [Artifact.from_json(one) for one in task.artifacts or ()]
    # The UI keeps this order: what one looks at, what it cost and took, what identifies it.
    values: dict[str, Any] = {}
    if preview is not None and preview.markdown is not None:
        values["topview/preview"] = dg.MetadataValue.md(preview.markdown)
    values |= _links(artifacts, public(store, media_url))
    credits_paid = 0.0 if reused else task.cost_credits
    if credits_paid is not None:
        values["topview/credits"] = float(credits_paid)
    values["topview/reused"] = reused
    if task.mode is not None:
        values["topview/mode"] = task.mode
    values |= _measured(preview, verdict) | _times(task, seen_late=seen_late)
    values["topview/bytes"] = sum(artifact.bytes for artifact in artifacts)
    uris = [store.uri(artifact) for artifact in artifacts]
    values["topview/files"] = _file_table(artifacts, uris)
    values |= {
        "topview/attempt": task.attempt,
        "topview/task_id": task.topview_task_id,
        **_ids(task.result or {}),
        "topview/fingerprint": task.fingerprint,
    }
    if artifacts:
        values["topview/sha256"] = artifacts[0].sha256
        values["dagster/uri"] = uris[0]
    return {key: _one_of(value) if key in _REPEATED else value for key, value in values.items()}


@lru_cache(maxsize=1024, typed=True)
def _one_of(value: bool | float | str) -> dg.MetadataValue[Any]:
    """One object for equal values, for the reason that `_FILES` is one."""
    return _KINDS[type(value)](value)


def _measured(preview: Picture | None, verdict: Verdict | None) -> dict[str, float]:
    """Pixels, and seconds of a video: as the check measured them, else as its picture tells."""
    seconds = None if verdict is None else verdict.numbers.get("video_seconds")
    if seconds is None and preview is not None:
        seconds = preview.seconds
    values = {
        "topview/video_seconds": None if seconds is None else round(seconds, 3),
        "topview/width": None if preview is None else preview.width,
        "topview/height": None if preview is None else preview.height,
    }
    return {key: value for key, value in values.items() if value is not None}


def _times(task: Task, *, seen_late: bool) -> dict[str, float]:
    """How long it waited until it was sent, ran at Topview, and took to be stored."""
    values = {"topview/seconds_queued": task.reserved_at - task.queued_at}
    if task.pending_at is not None and task.succeeded_at is not None and not seen_late:
        values["topview/seconds_running"] = task.succeeded_at - task.pending_at
        if task.stored_at is not None:
            values["topview/seconds_storing"] = task.stored_at - task.succeeded_at
    # Clocks are set back now and then.
    return {name: round(max(seconds, 0.0), 3) for name, seconds in values.items()}


def _links(artifacts: list[Artifact], link: Links) -> dict[str, dg.UrlMetadataValue]:
    """What opens a picture as large as it is, and plays the video.

    None where no browser would follow it: neither s3: nor file: is opened from a page of Dagster's.
    """
    addresses = {artifact.name.partition(".")[0]: link(artifact) for artifact in artifacts}
    return {
        f"topview/open_{name}": dg.MetadataValue.url(address)
        for name, address in addresses.items()
        if address.startswith(("http://", "https://"))
    }


def _ids(result: Mapping[str, Any]) -> dict[str, str]:
    found = {key: result[name] for name, key in _FILE_IDS.items() if result.get(name)}
    images = result.get("replaceProductResult") or []
    if images:
        found["topview/image_ids"] = ", ".join(str(image.get("imageId")) for image in images)
        found["topview/faces"] = ", ".join(
            {True: "yes", False: "no"}.get(image.get("faceExistence"), "not said")
            for image in images
        )
    return found


def _file_table(artifacts: list[Artifact], uris: list[str]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "file": artifact.name,
                    "bytes": artifact.bytes,
                    "uri": uri,
                    "sha256": artifact.sha256,
                }
            )
            for artifact, uri in zip(artifacts, uris, strict=True)
        ],
        schema=_FILES,
    )
