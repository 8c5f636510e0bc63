"""A shop: the engines' world with real photos, and what its catalogue has come to."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image

from tests.engine.world import World, product
from topview_pipeline.catalogue import Catalogue, InputFiles, Product, RowProblem, parse_catalogue
from topview_pipeline.export import ProductReport, Published, Report, build_report, publish_manifest
from topview_pipeline.ledger import Review, ReviewDecision, Task
from topview_pipeline.media import Outcome, Verdict
from topview_pipeline.settings import CatalogueDefaults
from topview_pipeline.stages import SCENE, Stage

REFUSED: Final = Verdict(Outcome.FAILED, "No image shows the product.", "Make it again.")
QUAD: Final = ((0.2, 0.2), (0.6, 0.2), (0.6, 0.8), (0.2, 0.8))
_BARE: Final = parse_catalogue(b"product_id\nsomething\n", "shop.csv", CatalogueDefaults())


def catalogue_of(*products: Product, problems: Sequence[RowProblem] = ()) -> Catalogue:
    named = {one.product_id: one for one in products}
    return replace(_BARE, products=named, problems=tuple(problems))


class Shop(World):
    """Runs are real, against the sandbox; every file of a product is on the disk."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.files = InputFiles(self.ledger.hashes)  # type: ignore[assignment]

    def product(self, product_id: str = "mug", *, photo: str = "teal", **changes: Any) -> Product:
        """A product whose scene has two images; `photo` is the colour of its photo."""
        files = {"image": self.photo(photo), "template_image": self.photo("white")}
        return product(
            product_id, **{"location": QUAD, "image_edit_prompt": None, **files, **changes}
        )

    def photo(self, colour: str, name: str = "") -> str:
        path = self.folder / f"{name or colour}.png"
        Image.new("RGB", (8, 8), colour).save(path)
        return str(path)

    def again(self, one: Product, *stages: Stage) -> None:
        """Make these stages once more, by force."""
        self.run([one], stages=[stage.key for stage in stages], force=True)

    def row(self, one: Product, stage: Stage) -> Task:
        found = self.ledger.tasks.last_made(one.product_id, stage.key)
        assert found is not None
        return found

    def choose(self, one: Product, image: int) -> None:
        scene = self.row(one, SCENE)
        self.ledger.reviews.choose(one.product_id, scene.fingerprint, image, who="ann", why="")

    def decide(self, one: Product, stage: Stage, decision: ReviewDecision) -> None:
        key = one.product_id, self.row(one, stage).fingerprint
        self.ledger.reviews.decide({key: Review(None, decision)}, who="ann", why="")

    def refuse(self, row: Task) -> None:
        """Its check failed."""
        self.ledger.tasks.measured(row.id, REFUSED.to_json())

    def report(self, *products: Product, problems: Sequence[RowProblem] = ()) -> Report:
        return build_report(catalogue_of(*products, problems=problems), self.ledger, self.stages)

    def look(self, one: Product) -> ProductReport:
        (found,) = self.report(one).products
        return found

    def publish(self, *products: Product, media_url: str | None = None) -> Published:
        found = self.report(*products)
        ledger = self.ledger
        return publish_manifest(
            found, self.store, ledger.account, pipeline=ledger.pipeline, media_url=media_url
        )


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    shop.close()
