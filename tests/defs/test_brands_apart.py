"""Several pipelines of one account on one Dagster instance: none harms another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from tests.defs.shop import CUT_OUT, Shop, failure_of
from topview_pipeline import TopviewResource, build_definitions
from topview_pipeline.defs.jobs import CATCH_UP, catch_up_config
from topview_pipeline.ledger import Ledger
from topview_pipeline.settings import PipelineConfig


class Brands:
    """Pipelines of one home, one ledger and one account, each with a catalogue of its own."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    def config(self, name: str, **settings: str) -> PipelineConfig:
        """The pipeline's configuration, over the catalogue of its products."""
        catalogue = self.shop.folder / f"{name}.csv"
        given = {"TOPVIEW_NAME": name, "TOPVIEW_CATALOGUE": str(catalogue), **settings}
        return PipelineConfig.from_environment(self.shop.settings | given)

    def sells(self, name: str, *products: str) -> None:
        """The brand's catalogue, whose photos are no other brand's."""
        rows = Shop(self.shop.folder / name, self.shop.control, self.shop.instance)
        rows.folder.mkdir(exist_ok=True)
        rows.path = self.shop.folder / f"{name}.csv"
        for place, product in enumerate(products):
            photo = rows.picture(f"{product}.png", (len(name), sum(name.encode()) % 256, place))
            rows.add(product, image=photo)
        rows.write()

    @contextmanager
    def ledger(self, name: str) -> Iterator[Ledger]:
        with TopviewResource(self.config(name)).ledger() as ledger:
            yield ledger

    def catch_up(self, name: str, **settings: str) -> dg.ExecuteInProcessResult:
        """A run that makes cut-outs."""
        defs = build_definitions(self.config(name, **settings))
        return defs.resolve_job_def(f"{name}_{CATCH_UP}").execute_in_process(
            instance=self.shop.instance,
            raise_on_error=False,
            run_config=catch_up_config(stages=CUT_OUT),
        )


@pytest.fixture
def brands(shop: Shop) -> Brands:
    brands = Brands(shop)
    brands.sells("acme", "mug")
    brands.sells("zeta", "mug")
    return brands


@pytest.mark.parametrize("ledger_in", ["sqlite", "postgresql"])
def test_what_another_began_after_a_loss_lets_no_pipeline_pay_again(
    brands: Brands, ledger_in: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A container without mounts came up new, and a new brand was the first to run in it."""
    if ledger_in == "postgresql":
        server = request.getfixturevalue("postgres")
        brands.shop.settings["TOPVIEW_LEDGER_URL"] = server.create()
    assert brands.catch_up("acme").success
    if ledger_in == "postgresql":
        brands.shop.settings["TOPVIEW_LEDGER_URL"] = server.create()
    brands.shop.settings["TOPVIEW_HOME"] = str(tmp_path / "new")

    assert brands.catch_up("zeta").success
    paid = brands.shop.accepted()
    said = failure_of(brands.catch_up("acme"))
    assert "Dagster has materializations of this account" in said
    assert "has no task of this pipeline" in said
    assert "`topview-pipeline ledger adopt`" in said
    assert brands.shop.accepted() == paid

    with brands.ledger("zeta") as zeta:
        store_id = TopviewResource(brands.config("zeta")).store.identity()
        assert zeta.store_id() == store_id is not None
    with brands.ledger("acme") as acme:  # as `topview-pipeline ledger adopt` does
        acme.remember_store(store_id, who="a person")
    assert brands.catch_up("acme").success
    assert brands.catch_up("zeta").success
