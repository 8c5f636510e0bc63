"""The load that all benches share: a catalogue, and a sandbox with known task durations."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from PIL import Image

from topview_pipeline.sandbox.api.control import Control
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.serve import Running, running

SLOTS: Final = 12
MEDIAN_SECONDS: Final = {"remove_background": 0.3, "image_replace": 2.0, "image2Video": 5.0}
"""A tenth of what real tasks take or less, so that a bench takes minutes and not half an hour."""
POLL_SECONDS: Final = 0.1
"""Shortest interval between two queries of a task, of ours and of what it is compared with."""
SIGMA: Final = 0.6
"""Of the log-normal durations: one task in a hundred takes four times the median."""
INSTANT: Final = 1e6
"""A speed at which tasks are done when they are submitted: what is left is the client's work."""
NOBODY: Final = "http://127.0.0.1:9"
"""The discard port: the base URL of measurements that must not call Topview."""
PLAIN_DAGSTER: Final = "telemetry:\n  enabled: false\n"
_PHOTO_PIXELS: Final = 64
_COLUMNS: Final = "product_id image template_image image_edit_prompt script voice_id mode"
_PROMPT: Final = "Put the product into the hand."
_VOICE: Final = "zeeTdrCqbhpVKOucLtOKdhytM7rbJx5t"


@contextmanager
def sandbox(speed: float) -> Iterator[Running]:
    """A fresh sandbox in a process of its own; the same work takes the same time in each.

    Args:
        speed: divides the durations of its tasks.
    """
    config = SandboxConfig(
        media="tiny",
        media_workers=0,
        medians=MEDIAN_SECONDS,
        sigma=SIGMA,
        concurrency=SLOTS,
        credits=1e9,
        speed=speed,
    )
    with running(config, where="process") as topview:
        yield topview


class NotCleanError(RuntimeError):
    """A run paid twice, lost what it paid for, or left products unfinished: no number counts."""


def counters(topview: Running, *, products: int) -> Mapping[str, Any]:
    """The sandbox's counters of a run that has ended.

    Raises:
        NotCleanError: it is not exactly one finished and downloaded task per product and kind.
    """
    with Control(topview.base_url) as control:
        seen = control.counters()
    succeeded = dict.fromkeys(MEDIAN_SECONDS, products)
    wrong = {name: seen[name] for name in ("duplicates", "orphans", "repeats") if seen[name]}
    if wrong or seen["succeeded"] != succeeded or seen["accepted"] != succeeded:
        raise NotCleanError(f"{wrong or ''} succeeded {seen['succeeded']}, wanted {succeeded}")
    return seen


def environment(home: Path, products: int, topview: Running | None = None) -> dict[str, str]:
    """A catalogue, an empty DAGSTER_HOME, and the settings of a pipeline on them.

    The settings of the shell count for nothing.

    Args:
        home: a folder that does not exist yet.
        topview: the Topview that it may call; None: nobody.
    """
    catalogue = write_catalogue(home / "catalogue", products)
    dagster_home = home / "dagster"
    dagster_home.mkdir()
    (dagster_home / "dagster.yaml").write_text(PLAIN_DAGSTER)
    unset = {name: "" for name in os.environ if name.startswith("TOPVIEW_")}
    return unset | {
        "DAGSTER_HOME": str(dagster_home),
        "TOPVIEW_HOME": str(home),
        "TOPVIEW_BASE_URL": NOBODY if topview is None else topview.base_url,
        "TOPVIEW_UID": "uid" if topview is None else topview.uid,
        "TOPVIEW_API_KEY": "key" if topview is None else topview.api_key,
        "TOPVIEW_CATALOGUE": str(catalogue),
        "TOPVIEW_SLOTS": str(SLOTS),
        "TOPVIEW_POLL_SECONDS": str(POLL_SECONDS),
    }


def write_catalogue(folder: Path, products: int) -> Path:
    """A catalogue of different photos and scripts that share one template; returns the CSV."""
    folder.mkdir(parents=True)
    template = folder / "template.png"
    _picture(template, products)
    path = folder / "catalogue.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(_COLUMNS.split())
        for number, name in enumerate(product_ids(products)):
            photo, script = folder / f"{name}.png", f"This is number {number}."
            _picture(photo, number)
            rows.writerow((name, photo.name, template.name, _PROMPT, script, _VOICE, "avatar2"))
    return path


def product_ids(products: int) -> list[str]:
    """The ids of a catalogue of so many products."""
    return [f"product-{number:05}" for number in range(products)]


def _picture(path: Path, number: int) -> None:
    """A picture of a plain colour and, for those that share one, a pixel that tells them apart."""
    image = Image.new("RGB", (_PHOTO_PIXELS, _PHOTO_PIXELS), (number % 256, 90, 120))
    image.putpixel((0, 0), (number // 65536 % 256, number // 256 % 256, len(path.stem)))
    image.save(path)
