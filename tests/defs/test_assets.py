"""Materializing the assets: ranges, single products, subsets, products that left, the manifest."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import (
    ASSETS,
    CUT_OUT,
    FIVE,
    NO_SUCH_ID,
    OUTLINE,
    REFUSED,
    Patch,
    Shop,
    failure_of,
    made,
    marks,
    materializations,
    outcomes,
    troubles_of,
)
from tests.stages.toy import Thumbnail
from topview_pipeline.defs import assets, checks
from topview_pipeline.defs.assets import product_videos, source_specs
from topview_pipeline.defs.io_manager import TopviewResults
from topview_pipeline.defs.outline import MANIFEST
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.export.manifest import COLUMNS
from topview_pipeline.ledger import TaskState
from topview_pipeline.media import Outcome, Verdict
from topview_pipeline.stages import SCENE, STAGES


def test_one_bad_product_of_a_range_fails_alone_and_a_shared_photo_is_cut_once(shop: Shop) -> None:
    shop.add("mug", "shoe")
    shop.add("shoe-gift", image=shop.rows["shoe"]["image"])
    shop.add("bag", **REFUSED)

    result = shop.materialize("mug", "bag")

    good = {"mug", "shoe", "shoe-gift"}
    assert not result.success
    assert shop.materialized("bgRemovedImage") == {*good, "bag"}
    assert shop.materialized("replacedImages") == shop.materialized("finishedVideo") == good
    assert outcomes(result) == {("bag", asset, "failed") for asset in ASSETS[1:]}
    assert all(row["what"] and row["fix"] for row in troubles_of(result))
    assert "10 made.\nProducts not finished: 1 failed." in failure_of(result)
    assert "bag replacedImages failed" in failure_of(result)
    # A product's own page would say only that a run failed, of two hundred products.
    found = marks(result)
    assert [mark[:3] for mark in found] == [("failed", asset, "bag") for asset in ASSETS[1:]]
    assert "change in the catalogue what Topview refused" in found[0][3]["topview/what_to_do"]
    run = shop.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags["topview/result"] == "8 made, 2 reused, 1 failed"
    assert float(run.tags["topview/credits"]) > 0
    (record,) = shop.instance.fetch_observations(dg.AssetKey(MANIFEST), 1).records
    assert record.asset_observation is not None
    spent = {name: value.value for name, value in record.asset_observation.metadata.items()}
    assert spent["topview/credits_of_run"] == float(run.tags["topview/credits"])
    assert float(str(spent["topview/credits_today"])) >= float(run.tags["topview/credits"])
    assert shop.failed("bgRemovedImage") == set()
    assert shop.failed("replacedImages") == shop.failed("finishedVideo") == {"bag"}
    assert shop.accepted()["remove_background"] == 3
    counters = shop.control.counters()
    assert counters["duplicates"] == counters["orphans"] == 0


def test_a_shared_task_is_paid_once_and_reported_for_both_products_with_all_that_matters(
    shop: Shop,
) -> None:
    shop.add("shoe")
    shop.add("shoe-gift", image=shop.rows["shoe"]["image"], script="This is shoe.")

    shop.settings["TOPVIEW_GALLERY_URL"] = "http://gallery.example/"
    result = shop.materialize("shoe", "shoe-gift")

    assert result.success
    assert shop.accepted() == {"remove_background": 1, "image_replace": 1, "image2Video": 1}
    videos = materializations(result, "finishedVideo")
    assert {str(video["topview/open"].value) for video in videos} == {
        f"[gallery](<http://gallery.example/#product={name}>)" for name in ("shoe", "shoe-gift")
    }
    free, paid = (
        {key.removeprefix("topview/"): one.value for key, one in video.items()}
        for video in sorted(videos, key=lambda video: float(str(video["topview/credits"].value)))
    )
    assert (free["credits"], "nothing paid" in str(free["caption"])) == (0.0, True)
    assert float(str(paid["credits"])) > 0
    assert "credits · " in str(paid["caption"])
    assert float(str(paid["seconds_running"])) > 0
    assert str(paid["dagster/uri"]).endswith("video.mp4")
    assert len(paid) <= 11, "a person looks for the picture, the price and the link"
    table: Any = paid["technical"]
    technical = {record.data["what"]: record.data["value"] for record in table.records}
    with shop.ledger() as ledger:
        task = ledger.tasks.last_made("shoe", "finishedVideo")
    assert task is not None
    assert len(technical["video.mp4, sha256"]) == 64
    assert technical["fingerprint"] == task.fingerprint
    assert technical["task at Topview"] == task.topview_task_id


def test_a_range_gives_events_one_product_gives_outputs_and_again_is_free(shop: Shop) -> None:
    """Another asset of the same run goes on from outputs; of a range Dagster passes none on."""
    shop.add("mug", "shoe")
    paid: list[dict[str, int]] = []
    for last, products, outputs in (("shoe", 2, set()), ("shoe", 2, set()), (None, 1, {*ASSETS})):
        result = shop.materialize("mug", last)
        assert result.success
        assert len(made(result)) == 3 * products
        done = [event for event in result.all_events if event.is_successful_output]
        assert {event.step_output_data.output_name for event in done} == outputs
        paid.append(shop.accepted())
    assert paid == [dict.fromkeys(paid[0], 2)] * 3


@pytest.mark.parametrize(
    ("gate", "is_made"), [("quality", False), ("approve", False), ("off", True)]
)
def test_a_refused_result_stops_what_is_downstream_in_the_run_of_one_product(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, gate: str, is_made: bool
) -> None:
    """A shop page of a silent video would be online before anybody saw the check."""
    silent = Verdict(Outcome.FAILED, "It is silent.", "Make it again.")
    monkeypatch.setattr(type(SCENE), "check", lambda *_: silent)

    @dg.asset(partitions_def=OUTLINE.products, deps=["replacedImages"])
    def shop_page() -> None:
        pass

    shop.settings |= {"TOPVIEW_GATE": gate, "TOPVIEW_CHECKS": "true"}
    whole = dg.Definitions.merge(shop.definitions(), dg.Definitions(assets=[shop_page]))
    monkeypatch.setattr(shop, "definitions", lambda: whole)
    shop.add("mug")
    result = shop.materialize("mug", assets=["bgRemovedImage", "replacedImages", "shop_page"])
    assert result.success is is_made
    succeeded = {event.step_key for event in result.get_step_success_events()}
    assert ("shop_page" in succeeded) is is_made
    assert shop.materialized("replacedImages") == {"mug"}, "it is there, and can be looked at"


def test_a_stage_alone_works_on_the_last_stored_upstream_even_when_it_is_stale(shop: Shop) -> None:
    shop.add("mug")
    (missing,) = troubles_of(shop.materialize("mug", assets=["replacedImages"]))
    assert "Materialize bgRemovedImage first" in missing["fix"]
    assert shop.materialize("mug", assets=CUT_OUT).success
    shop.rows["mug"]["image"] = shop.picture("other.png", (9, 9, 9))

    result = shop.materialize("mug", assets=["replacedImages"])

    assert made(result) == [("replacedImages", "mug")]
    assert shop.accepted() == {"remove_background": 1, "image_replace": 1}


def test_a_run_holds_what_is_over_its_credit_limit(shop: Shop) -> None:
    """A scene is 1 credit, a video 0.4: of two products one is within 1.5 credits."""
    shop.add("mug", "shoe")
    shop.settings["TOPVIEW_SLOTS"] = "1"
    config = {"ops": {"product_videos": {"config": {"credit_limit": 1.5}}}}

    result = shop.materialize("mug", "shoe", run_config=config)

    assert {row["outcome"] for row in troubles_of(result)} == {"held"}
    assert "run again with a higher credit limit" in failure_of(result)
    assert 0 < shop.control.counters()["charged"] <= 1.5


def test_a_fourth_stage_is_one_more_source_and_one_more_asset(monkeypatch: Patch) -> None:
    for module in (assets, checks):
        monkeypatch.setattr(module, "STAGES", (*STAGES, Thumbnail()))
    assert source_specs(OUTLINE)[-1].key == dg.AssetKey("productThumbnail")
    keys = product_videos(OUTLINE).keys
    assert {key.to_user_string() for key in keys} == {*ASSETS, "thumbnail"}


def test_a_resource_that_a_test_puts_in_its_place_is_the_one_that_the_assets_use(
    shop: Shop,
) -> None:
    """A developer who replaced it would have paid with the account of the real one."""
    shop.add("mug")
    shop.write()
    shop.register(shop.instance)
    other = TopviewResource(shop.config.model_copy(update={"catalogue": "elsewhere.csv"}))
    done = dg.materialize(
        [*source_specs(OUTLINE), product_videos(OUTLINE)],
        instance=shop.instance,
        partition_key="mug",
        resources={"topview": other, "topview_results": TopviewResults(other)},
        raise_on_error=False,
    )
    assert "elsewhere.csv" in failure_of(done)
    assert shop.accepted() == {}


# Products that left the catalogue.


@pytest.mark.slow
def test_of_products_that_left_a_range_reports_what_is_stored(shop: Shop) -> None:
    shop.add(*FIVE)
    shop.catch_up(products=["mug"], stages=CUT_OUT)
    paid, row = shop.accepted(), shop.rows["mug"]
    shop.remove("mug", "shoe")

    result = shop.materialize("mug", "shoe", assets=CUT_OUT)

    assert made(result) == [("bgRemovedImage", "mug")]
    (trouble,) = troubles_of(result)
    assert (trouble["product"], trouble["outcome"]) == ("shoe", "failed")
    assert "not in the catalogue" in trouble["what"]
    (event,) = materializations(result, "bgRemovedImage")
    assert "nothing paid" in str(event["topview/caption"].value)
    assert event["topview/credits"].value == 0.0
    assert made(shop.catch_up(products=["mug"], stages=["replacedImages"])) == []
    assert shop.accepted() == paid

    shop.rows["mug"] = row
    back = shop.catch_up(products=["mug"])
    assert [asset for asset, _ in made(back)] == list(ASSETS[1:]), "only what is missing is paid"

    shop.remove("mug")
    for file in shop.store.rglob("*.png"):
        file.unlink()
    assert outcomes(shop.materialize("mug", assets=CUT_OUT)) == {("mug", *CUT_OUT, "failed")}


# The manifest. What it lists, and why not, is tested with `export`.


def publish(shop: Shop) -> dict[str, Any]:
    """The metadata and the data version of a materialization of the manifest."""
    result = shop.materialize(None, assets=[MANIFEST])
    assert result.success
    (event,) = result.asset_materializations_for_node(MANIFEST)
    metadata = {key.removeprefix("topview/"): value.value for key, value in event.metadata.items()}
    return {**metadata, "version": (event.tags or {})["dagster/data_version"]}


def test_the_manifest_lists_finished_videos_names_the_rest_and_needs_no_key(shop: Shop) -> None:
    """A result that nobody measured, as checks were off or the ledger healed, is measured first."""
    shop.add("mug")
    shop.add("hat", voice_id=NO_SUCH_ID)
    assert MANIFEST not in {asset for asset, _ in made(shop.catch_up())}
    assert {row.quality for row in shop.rows_in(TaskState.STORED)} == {None}
    del shop.settings["TOPVIEW_API_KEY"]
    shop.settings["TOPVIEW_CHECKS"] = "true"

    published = publish(shop)

    (file,) = shop.store.glob("*/manifest/videos.jsonl")
    (line,) = file.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["product_id"] == "mug"
    assert (published["dagster/row_count"], published["left_out"]) == (1, 1)
    assert [one.name for one in published["dagster/column_schema"].columns] == list(COLUMNS)
    (left_out,) = published["why_left_out"].records
    assert left_out.data["product"] == "hat"
    measured = {row.product_id for row in shop.rows_in(TaskState.STORED) if row.quality}
    assert "mug" in measured
    assert publish(shop)["version"] == published["version"], "no news to what follows it"
