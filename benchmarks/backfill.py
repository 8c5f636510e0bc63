"""A backfill through Dagster's daemon: ours, and the textbook's three assets. Instant tasks."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dagster_dev import Backfilled, dagster_dev
from benchmarks.load import Load, counters, environment, write_catalogue
from topview_pipeline.cli.instance import DAGSTER_YAML

_ASSETS = ("bgRemovedImage", "replacedImages", "finishedVideo")
_TEXTBOOK_YAML = "telemetry:\n  enabled: false\n"
_SECONDS_PER_PRODUCT = 60.0
_LEAST_SECONDS = 300.0


@dataclass(frozen=True)
class Cost:
    """Of one product: CPU seconds of all processes but the sandbox, and wall seconds."""

    cpu_seconds: float
    wall_seconds: float
    runs: int


class BackfillBench:
    """Backfills, each with an instance, a ledger and a sandbox of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._load = Load(instant=True)

    def ours(self, products: int, *, pictures: bool) -> Cost:
        """As `topview-pipeline` sets Dagster up; `pictures`: with previews and checks."""
        home = self._folder / f"ours-{products}-{pictures}"
        catalogue = write_catalogue(home / "catalogue", products)
        shown = str(pictures).lower()
        settings = {"TOPVIEW_PREVIEWS": shown, "TOPVIEW_CHECKS": shown}
        return self._measure(home, catalogue, ("-w", "workspace.yaml"), DAGSTER_YAML, settings)

    def textbook(self, products: int) -> Cost:
        """Dagster's own defaults: a run for each product, a process for each step."""
        home = self._folder / "textbook"
        catalogue = write_catalogue(home / "catalogue", products)
        made = home / "made"
        made.mkdir()
        location = ("-m", "benchmarks.textbook.definitions")
        settings = {"TEXTBOOK_FOLDER": str(made)}
        return self._measure(home, catalogue, location, _TEXTBOOK_YAML, settings)

    def _measure(
        self,
        home: Path,
        catalogue: Path,
        location: tuple[str, ...],
        yaml: str,
        settings: dict[str, str],
    ) -> Cost:
        with catalogue.open(newline="") as file:
            products = [row["product_id"] for row in csv.DictReader(file)]
        dagster_home = home / "dagster"
        dagster_home.mkdir()
        (dagster_home / "dagster.yaml").write_text(yaml)
        with self._load.sandbox() as sandbox:
            environ = environment(sandbox, home, catalogue, self._load) | settings
            with dagster_dev(dagster_home, location, environ) as dev:
                seconds = max(_LEAST_SECONDS, _SECONDS_PER_PRODUCT * len(products))
                took = dev.backfill(_ASSETS, products, seconds=seconds)
            counters(sandbox, products=len(products))
        return _per_product(took, len(products))


def _per_product(took: Backfilled, products: int) -> Cost:
    return Cost(took.cpu_seconds / products, took.wall_seconds / products, took.runs)
