"""`topview-pipeline export`: the finished videos in one folder, under readable names."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console

from topview_pipeline.cli.console import SOME_FAILED, CannotStart, say
from topview_pipeline.cli.environment import pipeline, usable_catalogue
from topview_pipeline.cli.options import products_option
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.export import build_report
from topview_pipeline.stages import STAGES, VIDEO
from topview_pipeline.store import Artifact, Store, StoreError, hashed_slug, product_slug, whole
from topview_pipeline.text import counted


@dataclass
class Exported:
    """The files of an export, which of them are new, and what could not be exported, and why."""

    files: list[Path] = field(default_factory=list)
    written: int = 0
    outdated: int = 0
    missing: int = 0
    troubles: list[str] = field(default_factory=list)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@products_option
@click.pass_context
def export(context: click.Context, folder: Path, products: tuple[str, ...]) -> None:
    """Copy each product's finished video to FOLDER, as its product_id.mp4.

    A video that is there already is not copied again; nothing is removed from the folder. A video
    that its check or a person refused stays out. It spends nothing and needs no key.

    Exit codes: 0 all that exist are there, 1 some could not be copied, 2 nothing could start.
    """
    done = export_videos(pipeline(), folder, products)
    console = Console()
    for trouble in done.troubles:
        say(trouble, console, style="yellow")
    count = counted(len(done.files), "video")
    notes = [f"{done.written} copied now"] if done.files else []
    if done.outdated:
        notes.append(f"{done.outdated} made before the catalogue changed")
    if done.missing:
        notes.append(f"{counted(done.missing, 'product')} without one yet: topview-pipeline run")
    said = f" ({'; '.join(notes)})" if notes else ""
    say(f"{count} in {folder.absolute()}{said}", console)
    context.exit(SOME_FAILED if done.troubles else 0)


def export_videos(
    topview: TopviewResource, folder: Path, products: Collection[str] = ()
) -> Exported:
    """Copy the videos of these products (none: of all) to a folder.

    Raises PipelineError; one product's trouble is in the result.
    """
    catalogue = usable_catalogue(topview, list(products))
    with topview.ledger() as ledger:
        report = build_report(catalogue, ledger, STAGES)
    names = file_names(product.product_id for product in report.products)
    done = Exported()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"{error.filename or folder} cannot be written ({error.strerror})"
        raise CannotStart(what, fix="Name another folder.") from error
    for product in report.products:
        if products and product.product_id not in products:
            continue
        video = product.video.file(VIDEO.main_file)
        if video is None:
            done.missing += 1
        elif product.refusal is not None:
            done.troubles.append(f"{product.product_id}: not exported, {product.refusal}")
        else:
            target = folder / names[product.product_id]
            try:
                done.written += _copy(topview.store, video, target)
            except StoreError as error:
                done.troubles.append(f"{product.product_id}: {error}")
                continue
            except OSError as error:
                what = f"{target} cannot be written ({error.strerror})"
                done.troubles.append(f"{product.product_id}: {what}")
                continue
            done.files.append(target)
            done.outdated += product.is_outdated
    return done


def file_names(product_ids: Iterable[str]) -> dict[str, str]:
    """The file name of each product, none like another even where case does not count."""
    slugs = {product_id: product_slug(product_id) for product_id in product_ids}
    alike = Counter(slug.lower() for slug in slugs.values())
    return {
        product_id: f"{slug if alike[slug.lower()] == 1 else hashed_slug(product_id)}.mp4"
        for product_id, slug in slugs.items()
    }


def _copy(store: Store, video: Artifact, target: Path) -> bool:
    """Copy a video, whole or not at all; False when the file is this video already."""
    is_like_it = target.is_file() and target.stat().st_size == video.size
    if is_like_it and hashlib.sha256(target.read_bytes()).hexdigest() == video.sha256:
        return False
    data = store.read_bytes(video)  # these are the bytes that were stored
    with whole(target) as part:
        # Not a hard link: somebody who edits the copy would edit what was paid for.
        part.write_bytes(data)
    return True
