"""Several pipelines of one account on one Dagster instance: none harms another."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from tests.defs.shop import CUT_OUT, Shop, failure_of
from tests.export.test_gallery import Page
from topview_pipeline import TopviewResource, build_definitions
from topview_pipeline.cli.gallery import write_page
from topview_pipeline.defs.jobs import CATCH_UP, SYNC_PRODUCTS, catch_up_config
from topview_pipeline.defs.outline import MANIFEST, PENDING_TASK_SENSOR
from topview_pipeline.ledger import LIVING_SECONDS, Ledger
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

    def run(
        self, name: str, job: str, run_config: Mapping[str, object] | None = None, **settings: str
    ) -> dg.ExecuteInProcessResult:
        """A run of one of the pipeline's jobs."""
        defs = build_definitions(self.config(name, **settings))
        return defs.resolve_job_def(f"{name}_{job}").execute_in_process(
            instance=self.shop.instance, raise_on_error=False, run_config=run_config
        )

    def catch_up(self, name: str, **settings: str) -> dg.ExecuteInProcessResult:
        """A run that makes cut-outs."""
        return self.run(name, CATCH_UP, catch_up_config(stages=CUT_OUT), **settings)

    def tick(self, name: str, sensor: str, **settings: str) -> str:
        """A first tick of a sensor that starts no run; returns what it says."""
        defs = build_definitions(self.config(name, **settings))
        context = dg.build_sensor_context(self.shop.instance)
        ticked = defs.get_sensor_def(f"{name}_{sensor}").evaluate_tick(context)
        assert not ticked.run_requests
        return str(ticked.skip_message)


@pytest.fixture
def brands(shop: Shop) -> Brands:
    brands = Brands(shop)
    brands.sells("acme", "mug")
    brands.sells("zeta", "mug")
    return brands


@pytest.mark.slow
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
    assert "`topview-pipeline ledger adopt --pipeline acme`" in said
    assert brands.shop.accepted() == paid

    with brands.ledger("zeta") as zeta:
        store_id = TopviewResource(brands.config("zeta")).store.identity()
        assert zeta.store_id() == store_id is not None
    with brands.ledger("acme") as acme:  # as `topview-pipeline ledger adopt` does
        acme.remember_store(store_id, who="a person")
    assert brands.catch_up("acme").success
    assert brands.catch_up("zeta").success


def begin_ticking(instance: dg.DagsterInstance, location: str, sensor: str, at: float) -> None:
    """As the daemon writes it down when it ticks a location's sensor."""
    target = LoadableTargetOrigin(module_name="shop")
    origin = RemoteRepositoryOrigin(
        ManagedGrpcPythonEnvCodeLocationOrigin(target, location), "__repository__"
    )
    state = InstigatorState(
        RemoteInstigatorOrigin(origin, sensor),
        InstigatorType.SENSOR,
        InstigatorStatus.DECLARED_IN_CODE,
        SensorInstigatorData(last_tick_timestamp=at),
    )
    instance.add_instigator_state(state)


@pytest.mark.slow
def test_two_code_locations_with_one_name_submit_nothing(brands: Brands, tmp_path: Path) -> None:
    """A project was copied: both have a ledger of their own, and one set of partitions.

    A sensor that a stranger gave this name, without the rest of ours, refuses nothing.
    """
    sensor, now = "acme_pending_task_sensor", time.time()
    (tmp_path / "dagster").mkdir()
    with dg.instance_for_test(temp_dir=str(tmp_path / "dagster")) as instance:
        brands.shop.instance = instance
        begin_ticking(instance, "old", sensor, now - LIVING_SECONDS - 1.0)
        begin_ticking(instance, "copy", "zeta_pending_task_sensor", now)
        begin_ticking(instance, "stranger", sensor, now)
        begin_ticking(instance, "one", sensor, now)
        for location in ("old", "one", "two"):
            begin_ticking(instance, location, "acme_catalogue_sensor", now - 1e6)
        assert brands.tick("acme", "catalogue_sensor").startswith("1 product")
        assert brands.catch_up("acme").success
        paid = brands.shop.accepted()
        begin_ticking(instance, "two", sensor, now)
        said = failure_of(brands.catch_up("acme", TOPVIEW_HOME=str(tmp_path / "copy")))
        assert "another name" in brands.tick("acme", "catalogue_sensor")
    assert "the code locations one and two of this Dagster instance" in said
    assert "another name" in said
    assert brands.shop.accepted() == paid


def test_two_catalogues_with_one_name_are_refused_where_both_are_seen(brands: Brands) -> None:
    """Two Dagsters over one ledger: each would retire the products of the other."""
    theirs, mine = (
        brands.config("acme"),
        {"TOPVIEW_CATALOGUE": str(brands.shop.folder / "zeta.csv")},
    )
    assert brands.tick("acme", PENDING_TASK_SENSOR) == "there is nothing to finish"
    assert "1 product, 0 problems" in brands.tick("acme", "catalogue_sensor")
    said = {
        "run": failure_of(brands.catch_up("acme", **mine)),
        "sync": failure_of(brands.run("acme", SYNC_PRODUCTS, None, **mine)),
        "resume": brands.tick("acme", PENDING_TASK_SENSOR, **mine),
        "follow": brands.tick("acme", "catalogue_sensor", **mine),
    }
    for what in said.values():
        assert f"sensors of this name follow the catalogue {theirs.catalogue}" in what
        assert "another name" in what
    assert brands.shop.accepted() == {}
    assert brands.catch_up("acme").success


@pytest.mark.slow
def test_galleries_and_manifests_in_one_home_stay_apart(brands: Brands) -> None:
    """One page for all brands, or a feed with another brand's videos, would be published."""
    products, pages, manifests = {"acme": "cap-a1", "zeta": "pen-z1"}, {}, {}
    for name, product in products.items():
        brands.sells(name, product)
        assert brands.run(name, CATCH_UP).success
    for name in products:
        config = brands.config(name)
        manifest = build_definitions(config).resolve_implicit_global_asset_job_def()
        assert manifest.execute_in_process(
            instance=brands.shop.instance, asset_selection=[dg.AssetKey([name, MANIFEST])]
        ).success
        pages[name], _ = write_page(TopviewResource(config))
        (manifests[name],) = brands.shop.store.glob(f"*/manifest/{name}*/*.jsonl")
    for name, product in products.items():
        page = str(Page(pages[name].read_text()).data["products"])
        for text in (page, manifests[name].read_text()):
            assert [one for one in products.values() if one in text] == [product]
    assert pages["acme"].parent != pages["zeta"].parent
