"""`topview-pipeline demo`: the sample catalogue's videos, through Dagster, on a local Topview."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import click


@click.command()
@click.pass_context
def demo(context: click.Context) -> None:
    """Make the sample catalogue's videos on a local Topview. No account, nothing is paid."""
    from topview_pipeline.cli.demohome import DemoHome
    from topview_pipeline.cli.run import catch_up

    home = DemoHome.here()
    home.enter()
    click.echo("A local Topview makes the videos of the sample catalogue, through Dagster.")
    with home.sandbox():
        code = catch_up((), (), force=False)
    if code == 0:
        _tell_videos(_collect(home.folder / "videos"))
    context.exit(code)


def _collect(folder: Path) -> list[Path]:
    """One file for each product in one folder; the store keeps its own, deeper down."""
    from topview_pipeline.defs.resources import ArtifactsResource, CatalogueResource, LedgerResource
    from topview_pipeline.results import FinishedVideo, result_of

    store = ArtifactsResource().store
    ledger = LedgerResource().open()
    folder.mkdir(parents=True, exist_ok=True)
    videos = []
    try:
        for product_id in CatalogueResource().read().products:
            task = ledger.tasks.last_stored(product_id, "finishedVideo")
            result = None if task is None else result_of(product_id, task, store)
            if not isinstance(result, FinishedVideo) or result.video.path is None:
                continue
            target = folder / f"{product_id}.mp4"
            with suppress(FileNotFoundError):
                target.unlink()
            shutil.copyfile(result.video.path, target)
            videos.append(target)
    finally:
        ledger.close()
    return videos


def _tell_videos(videos: list[Path]) -> None:
    click.echo(f"\n{len(videos)} videos:")
    for video in videos:
        click.echo(f"  {os.path.relpath(video)}  ({video.stat().st_size / 1e6:.1f} MB)")
    click.echo("\nSee them in Dagster, with lineage and history:  make ui")
