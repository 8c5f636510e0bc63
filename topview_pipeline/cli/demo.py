"""`topview-pipeline demo`: the sample catalogue's videos, through Dagster, on a local Topview."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

_QUIETLY: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""The run's events are in Dagster."""


@click.command()
@click.pass_context
def demo(context: click.Context) -> None:
    """Make the sample catalogue's videos on a local Topview. No account, nothing is paid."""
    from topview_pipeline.cli.demohome import DEMO_PROGRAM, DemoHome
    from topview_pipeline.cli.gallery import write_page
    from topview_pipeline.cli.run import catch_up

    home = DemoHome.here()
    home.enter()
    click.echo("A local Topview makes the videos of the sample catalogue, through Dagster.")
    with home.sandbox():
        code = catch_up((), (), force=False)
    if code == 0:
        videos = _collect(home.folder / "videos")
        _publish()
        _tell(videos, write_page(program=DEMO_PROGRAM).page)
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


def _publish() -> None:
    """Materialize videoManifest and its standing checks, as a person does after a run."""
    import dagster as dg

    from topview_pipeline.cli.instance import open_instance
    from topview_pipeline.definitions import defs
    from topview_pipeline.defs.manifest import MANIFEST

    everything = defs.resolve_implicit_global_asset_job_def()
    job = everything.get_subset(asset_selection={dg.AssetKey(MANIFEST)})
    with open_instance() as instance:
        job.execute_in_process(instance=instance, run_config=_QUIETLY)


def _tell(videos: list[Path], gallery: Path) -> None:
    click.echo(f"\n{len(videos)} videos:")
    for video in videos:
        click.echo(f"  {os.path.relpath(video)}  ({video.stat().st_size / 1e6:.1f} MB)")
    click.echo(f"\nPhoto, cut-out, scenes and video of each:  {os.path.relpath(gallery)}")
    click.echo("The same in Dagster, with lineage and history:  make ui")
