"""Pictures of what a lost answer may have been, beside what was sent: files, and a page of them."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from topview_pipeline.artifacts import Artifact, ArtifactStore, StoreError
from topview_pipeline.artifacts.slugs import product_slug
from topview_pipeline.cli.tasks.wording import candidate_line, name_of
from topview_pipeline.ledger import Ledger, Task
from topview_pipeline.producer.findings import Candidate, Finding
from topview_pipeline.reconciliation import with_client
from topview_pipeline.settings import Settings
from topview_pipeline.stages import BY_KEY, FINISHED_VIDEO, calls
from topview_pipeline.stages.results import downloads_of
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.errors import TopviewError
from topview_pipeline.topview.models import ImageReplaceResult

_MOST_CANDIDATES: Final = 10
_MOST_BYTES: Final = 2 * 2**30
_SENT: Final = "sent"


@dataclass(frozen=True)
class _Saved:
    """The files of one candidate, and why there are none."""

    candidate: Candidate
    files: tuple[Path, ...] = ()
    trouble: str | None = None


def compare(settings: Settings, ledger: Ledger, finding: Finding) -> tuple[Path, list[str]]:
    """Save what was sent and what the candidates are.

    Returns:
        The page that shows them beside each other, and what could not be had.
    """
    folder = settings.home / "candidates" / str(finding.row.id)
    chosen = sorted(finding.candidates, key=lambda one: one.at)[:_MOST_CANDIDATES]

    async def save_all(client: TopviewClient) -> list[_Saved]:
        return [await _save(client, finding.row, one, folder) for one in chosen]

    saved = with_client(settings, save_all)
    sent, trouble = _save_sent(ledger, ArtifactStore(settings.artifacts), finding.row, folder)
    troubles = [one.trouble for one in saved if one.trouble is not None]
    if trouble is not None:
        troubles.append(trouble)
    if len(chosen) < len(finding.candidates):
        troubles.append(f"the first {len(chosen)} of {len(finding.candidates)} charges are shown")
    page = folder / "index.html"
    page.write_text(_page(finding.row, sent, saved), encoding="utf-8")
    return page, troubles


async def _save(client: TopviewClient, row: Task, candidate: Candidate, folder: Path) -> _Saved:
    task_id = candidate.topview_task_id
    target = folder / product_slug(task_id)
    target.mkdir(parents=True, exist_ok=True)
    files = []
    try:
        result = await calls.query(client, BY_KEY[row.stage], task_id)
        for file in downloads_of(result) or ():
            partial = target / f"{file.name}.part"
            with partial.open("wb") as sink:
                await client.download(file.url, sink, max_bytes=_MOST_BYTES, expect=file.expect)
            files.append(partial.replace(target / file.name))
    except TopviewError as error:
        return _Saved(candidate, tuple(files), str(error))
    trouble = None if files else f"Topview gives no files of task {task_id}"
    return _Saved(candidate, tuple(files), trouble)


def _save_sent(
    ledger: Ledger, store: ArtifactStore, row: Task, folder: Path
) -> tuple[list[Path], str | None]:
    """The pictures of the stage before that were sent, when the store has them."""
    upstream = BY_KEY[row.stage].upstream
    made = None if upstream is None else ledger.tasks.last_stored(row.product_id, upstream)
    if made is None or not made.fingerprint.startswith(row.inputs.get(made.stage, "-")):
        return [], "what was sent is no longer the product's own: see the request"
    wanted = _names_sent(row, made)
    target = folder / _SENT
    target.mkdir(parents=True, exist_ok=True)
    files = []
    try:
        for artifact in (Artifact.from_json(one) for one in made.artifacts or ()):
            if artifact.name in wanted:
                files.append(target / artifact.name)
                files[-1].write_bytes(store.read_bytes(artifact))
    except StoreError as error:
        return [], str(error)
    return files, None


def _names_sent(row: Task, made: Task) -> Sequence[str]:
    """Which files of the stage before went into a request."""
    if row.stage != FINISHED_VIDEO.key:
        return ("cutout.png",)
    images = ImageReplaceResult.model_validate(made.result or {"taskId": "-"}).images
    used = (row.request or {}).get("replaceProductTaskImageId")
    return [
        f"scene_{number}.png" for number, image in enumerate(images, 1) if image.image_id == used
    ]


def _page(row: Task, sent: Sequence[Path], saved: Sequence[_Saved]) -> str:
    columns = [
        _column("What was sent", sent, _request_text(row.request or {}), _SENT),
        *(
            _column(
                candidate_line(one.candidate),
                one.files,
                one.trouble or "",
                product_slug(one.candidate.topview_task_id),
            )
            for one in saved
        ),
    ]
    title = html.escape(f"{name_of(row)}: which of these is it?")
    return (
        '<!doctype html><meta charset="utf-8">'
        f"<title>{title}</title>"
        "<style>body{font:15px sans-serif;margin:2em}main{display:flex;gap:2em;flex-wrap:wrap}"
        "section{max-width:24em}img,video{max-width:100%;display:block;margin:.5em 0}"
        "pre{white-space:pre-wrap}</style>"
        f"<h1>{title}</h1><main>{''.join(columns)}</main>"
    )


def _request_text(request: Mapping[str, object]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in request.items())


def _column(title: str, files: Sequence[Path], text: str, folder: str) -> str:
    media = "".join(_medium(f"{quote(folder)}/{quote(file.name)}", file) for file in files)
    return f"<section><h2>{html.escape(title)}</h2>{media}<pre>{html.escape(text)}</pre></section>"


def _medium(source: str, file: Path) -> str:
    if file.suffix == ".mp4":
        return f'<video controls src="{source}"></video>'
    return f'<img src="{source}" alt="{html.escape(file.name)}">'
