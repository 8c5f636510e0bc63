"""The load that all benches share: a catalogue, and a sandbox with known task durations."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.serve import Running, running

SLOTS = 12
MEDIAN_SECONDS = {"remove_background": 0.3, "image_replace": 2.0, "image2Video": 5.0}
"""A tenth of what real tasks take or less, so that a bench takes minutes and not half an hour."""
POLL_SECONDS = 0.1
"""Shortest interval between two queries of a task, of ours and of what it is compared with."""
SIGMA = 0.6
"""Of the log-normal durations: one task in a hundred takes four times the median."""
_INSTANT_SPEED = 1e6
_PHOTO_PIXELS = 64
_COLUMNS = (
    "product_id",
    "image",
    "template_image",
    "image_edit_prompt",
    "script",
    "voice_id",
    "mode",
)
_PROMPT = "Put the product into the hand."
_VOICE = "zeeTdrCqbhpVKOucLtOKdhytM7rbJx5t"


@dataclass(frozen=True)
class Load:
    """Task durations and the polling interval, all divided by `speed`."""

    speed: float = 1.0
    instant: bool = False
    """Tasks are done as soon as they are submitted: what is left is the client's own work."""

    @property
    def poll_seconds(self) -> float:
        """The shortest polling interval."""
        return POLL_SECONDS / self.speed

    @contextmanager
    def sandbox(self, *, port: int = 0) -> Iterator[Running]:
        """A fresh sandbox in a process of its own; the same work takes the same time in each."""
        config = SandboxConfig(
            media="tiny",
            media_workers=0,
            medians=MEDIAN_SECONDS,
            sigma=SIGMA,
            concurrency=SLOTS,
            credits=1e9,
            speed=_INSTANT_SPEED if self.instant else self.speed,
        )
        with running(config, where="process", port=port) as sandbox:
            yield sandbox


class NotCleanError(RuntimeError):
    """A run paid twice, lost what it paid for, or left products unfinished: no number counts."""


def counters(sandbox: Running, *, products: int) -> dict[str, Any]:
    """What the sandbox saw of a run that has ended.

    Raises:
        NotCleanError: it is not exactly one finished and downloaded task per product and kind.
    """
    url = f"{sandbox.base_url}/_sandbox/counters"
    seen: dict[str, Any] = httpx.get(url, timeout=60.0, trust_env=False).json()
    succeeded = dict.fromkeys(MEDIAN_SECONDS, products)
    wrong = {name: seen[name] for name in ("duplicates", "orphans", "repeats") if seen[name]}
    if wrong or seen["succeeded"] != succeeded or seen["accepted"] != succeeded:
        raise NotCleanError(f"{wrong or ''} succeeded {seen['succeeded']}, wanted {succeeded}")
    return seen


def environment(sandbox: Running, home: Path, catalogue: Path, load: Load) -> dict[str, str]:
    """The package's settings for a run; those of whoever runs the bench are none of its own."""
    unset = {name: "" for name in os.environ if name.startswith("TOPVIEW_")}
    return unset | {
        "TOPVIEW_HOME": str(home),
        "TOPVIEW_BASE_URL": sandbox.base_url,
        "TOPVIEW_UID": sandbox.uid,
        "TOPVIEW_API_KEY": sandbox.api_key,
        "TOPVIEW_CATALOGUE": str(catalogue),
        "TOPVIEW_MAX_CONCURRENT_TASKS": str(SLOTS),
        "TOPVIEW_POLL_SECONDS": str(load.poll_seconds),
    }


def write_catalogue(folder: Path, products: int) -> Path:
    """A catalogue of different photos and scripts that share one template; returns the CSV."""
    folder.mkdir(parents=True)
    template = folder / "template.png"
    _picture(template, products)
    path = folder / "catalogue.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(_COLUMNS)
        for number in range(products):
            photo = folder / f"product-{number:05}.png"
            _picture(photo, number)
            script = f"This is number {number}."
            rows.writerow(
                (photo.stem, photo.name, template.name, _PROMPT, script, _VOICE, "avatar2")
            )
    return path


def _picture(path: Path, number: int) -> None:
    """A picture of a plain colour and, for those that share one, a pixel that tells them apart."""
    image = Image.new("RGB", (_PHOTO_PIXELS, _PHOTO_PIXELS), (number % 256, 90, 120))
    image.putpixel((0, 0), (number // 65536 % 256, number // 256 % 256, len(path.stem)))
    image.save(path)
