"""Pictures of what a lost answer may have been, beside what was sent: files, and a page of them."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from topview_pipeline.cli.console import worded
from topview_pipeline.ledger import Ledger, Task
from topview_pipeline.stages import BY_KEY, data_version
from topview_pipeline.store import Artifact, Store, StoreError, product_slug
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.errors import TopviewError

_MOST_CANDIDATES: Final = 10
_MOST_BYTES: Final = 2 * 2**30
_STYLE: Final = (
    "body{font:15px sans-serif;margin:2em}main{display:flex;gap:2em;flex-wrap:wrap}"
    "section{max-width:24em}img,video{max-width:100%;display:block;margin:.5em 0}"
    "pre{white-space:pre-wrap}"
)


async def save_candidates(
    client: TopviewClient,
    ledger: Ledger,
    store: Store,
    row: Task,
    titles: Mapping[str, str],
    folder: Path,
) -> tuple[Path, list[str]]:
    """Save what was sent and what the candidates are.

    Args:
        titles: by Topview task id of each candidate, the oldest first.

    Returns:
        The page that shows them beside each other, and what could not be had.
    """
    troubles: list[str] = []
    sent = _save_sent(ledger, store, row, folder / "sent", troubles)
    request = "\n".join(f"{name}: {value}" for name, value in (row.request or {}).items())
    sections = [_section("What was sent", sent, request)]
    for task_id in list(titles)[:_MOST_CANDIDATES]:
        files = await _save(client, row, task_id, folder / product_slug(task_id), troubles)
        command = worded(f"topview-pipeline tasks adopt {row.id} {task_id}")
        sections.append(_section(titles[task_id], files, command))
    if len(titles) > _MOST_CANDIDATES:
        troubles.append(f"only the first {_MOST_CANDIDATES} of {len(titles)} charges are shown")
    title = html.escape(f"Row {row.id}, {row.stage} of {row.product_id}: which of these is it?")
    none = worded(f"topview-pipeline tasks void {row.id}")
    page = folder / "index.html"
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><main>{''.join(sections)}</main>"
        f"<p>If it is none of them: {none} --why TEXT</p>",
        encoding="utf-8",
    )
    return page, troubles


async def _save(
    client: TopviewClient, row: Task, task_id: str, folder: Path, troubles: list[str]
) -> list[Path]:
    stage = BY_KEY[row.stage]
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    try:
        for file in stage.downloads(await client.query(stage.endpoint, task_id)) or ():
            partial = folder / f"{file.name}.part"
            with partial.open("wb") as sink:
                await client.download(file.url, sink, max_bytes=_MOST_BYTES, expect=file.expect)
            files.append(partial.replace(folder / file.name))
    except TopviewError as error:
        troubles.append(str(error))
    else:
        if not files:
            troubles.append(f"Topview gives no files of task {task_id}")
    return files


def _save_sent(
    ledger: Ledger, store: Store, row: Task, folder: Path, troubles: list[str]
) -> list[Path]:
    """The pictures of the stage before that were sent, if the product still has them."""
    folder.mkdir(parents=True, exist_ok=True)
    stage = BY_KEY[row.stage]
    made = ledger.tasks.last_made(row.product_id, str(stage.upstream))
    if made is None or row.inputs.get(made.stage) != data_version(made.fingerprint):
        troubles.append(
            "the product has other pictures now than those that were sent: see the request"
        )
        return []
    wanted = stage.upstream_files(row.request or {}, made.result or {})
    files = []
    try:
        for artifact in map(Artifact.from_json, made.artifacts or ()):
            if artifact.name in wanted:
                (folder / artifact.name).write_bytes(store.read_bytes(artifact))
                files.append(folder / artifact.name)
    except StoreError as error:
        troubles.append(str(error))
    return files


def _section(title: str, files: Sequence[Path], text: str) -> str:
    """A column of the page, which is in the folder above that of the files."""
    media = ""
    for file in files:
        source = f"{quote(file.parent.name)}/{quote(file.name)}"
        is_video = file.suffix == ".mp4"
        media += f'<video controls src="{source}"></video>' if is_video else f'<img src="{source}">'
    return f"<section><h2>{html.escape(title)}</h2>{media}<pre>{html.escape(text)}</pre></section>"
