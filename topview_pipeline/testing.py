"""pytest fixtures to test your own project against Topview, without Topview: docs/testing.md.

`pytest_plugins = ["topview_pipeline.testing"]` in the conftest.py of your tests enables them.
"""

import csv
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

import dagster as dg

from topview_pipeline.defs.outline import Outline
from topview_pipeline.settings import DEFAULT_NAME, PipelineConfig

try:
    import pytest
    from PIL import Image

    from topview_pipeline.sandbox.api.control import Control
    from topview_pipeline.sandbox.config import SandboxConfig
    from topview_pipeline.sandbox.serve import Running, running
except ModuleNotFoundError as error:
    raise ImportError(
        f"topview_pipeline.testing needs {error.name}: install topview-pipeline[sandbox] and pytest"
    ) from None

VOICE = "zeeTdrCqbhpVKOucLtOKdhytM7rbJx5t"
"""A voice that the sandbox has."""


class Sandbox(Control):
    """A local Topview with one account. It counts what reached it, and fails as you ask.

    `counters()` is its report, `set_faults(drop_submit=1.0)` sets faults, `advance_clock(seconds)`
    moves its time; docs/sandbox.md has the counters and the faults.
    """

    def __init__(self, served: Running) -> None:
        super().__init__(served.base_url)
        self.base_url, self.port, self.pid = served.base_url, served.port, served.pid
        self.uid, self.api_key = served.uid, served.api_key


@contextmanager
def sandbox(
    *, where: Literal["thread", "process"] = "thread", port: int = 0, **settings: Any
) -> Iterator[Sandbox]:
    """A sandbox on a free port of this machine while the block runs.

    Args:
        where: in a thread of this process, or in a process of its own.
        settings: fields of SandboxConfig; without any its media are tiny and it is quick.
    """
    config = SandboxConfig(**{"media": "tiny", "speed": 1000.0, **settings})
    with running(config, where=where, port=port) as served, closing(Sandbox(served)) as found:
        yield found


class ProductRows:
    """The rows of a catalogue, by product id: edit `rows`, then `write` them to `path`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "catalogue.csv"
        self.rows: dict[str, dict[str, str]] = {}

    def picture(self, name: str, colour: str | tuple[int, int, int]) -> str:
        """Make a picture of one colour; returns its path."""
        path = self.folder / name
        Image.new("RGB", (16, 16), colour).save(path)
        return str(path)

    def add(self, *product_ids: str, **cells: str) -> None:
        """Add products, each with a photo of its own, in one template, that speak their name."""
        template = self.folder / "template.png"
        if not template.exists():
            self.picture(template.name, (200, 200, 200))
        for product_id in product_ids:
            number = len(self.rows) + 1
            colour = (number % 256, number // 256, 0)
            self.rows[product_id] = {
                "image": cells.get("image") or self.picture(f"photo{number}.png", colour),
                "template_image": str(template),
                "script": f"This is {product_id}.",
                "voice_id": VOICE,
                **cells,
            }

    def remove(self, *product_ids: str) -> None:
        """Take products out."""
        for product_id in product_ids:
            del self.rows[product_id]

    def write(self) -> None:
        """Write the rows as CSV."""
        columns = sorted({name for row in self.rows.values() for name in row})
        with self.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["product_id", *columns])
            writer.writeheader()
            writer.writerows({"product_id": key, **row} for key, row in self.rows.items())

    def register(self, instance: dg.DagsterInstance, pipeline: str = DEFAULT_NAME) -> None:
        """Make the pipeline's products partitions, as the catalogue's sensor does."""
        partitions = Outline(pipeline).partition_set
        instance.add_dynamic_partitions(partitions, list(self.rows))


class MakeCatalogue(Protocol):
    """Adds so many products, with these cells, to the test's catalogue, and writes it."""

    def __call__(self, count: int, **cells: str) -> ProductRows: ...


@pytest.fixture
def topview_sandbox() -> Iterator[Sandbox]:
    """A sandbox in a thread of this process."""
    with sandbox() as found:
        yield found


@pytest.fixture
def topview_catalogue(tmp_path: Path) -> MakeCatalogue:
    """Makes the catalogue that `topview_config` names: product-1, product-2 and so on."""
    catalogue = ProductRows(tmp_path)

    def make(count: int, **cells: str) -> ProductRows:
        first = len(catalogue.rows) + 1
        catalogue.add(*(f"product-{number}" for number in range(first, first + count)), **cells)
        catalogue.write()
        return catalogue

    return make


@pytest.fixture
def topview_config(topview_sandbox: Sandbox, tmp_path: Path) -> PipelineConfig:
    """A pipeline over sandbox and catalogue, with ledger and store in `tmp_path`.

    For other settings: `topview_config.model_copy(update={"slots": 1})`.
    """
    return PipelineConfig(
        uid=topview_sandbox.uid,
        api_key=topview_sandbox.api_key,
        base_url=topview_sandbox.base_url,
        home=tmp_path / "topview",
        catalogue=str(tmp_path / "catalogue.csv"),
        poll_seconds=0.02,
        wait_seconds=20,
        previews=False,
        checks=False,
    )


@pytest.fixture
def topview_instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance of this test; `topview_catalogue(3).register(topview_instance)`."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance
