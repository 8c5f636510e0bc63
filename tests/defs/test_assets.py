"""Materializing the three assets: ranges, single products, subsets. Real runs, real sandbox."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import ASSETS, NO_SUCH_ID, Shop, failure_of, made, troubles_of


def test_one_bad_product_of_a_range_fails_alone_and_a_shared_photo_is_cut_once(shop: Shop) -> None:
    shop.add("mug", "shoe")
    shop.add("shoe-gift", image=shop.rows["shoe"]["image"])
    shop.add("bag", template_image="", avatar_id=NO_SUCH_ID)
    shop.register()

    result = shop.materialize("mug", "bag")

    good = {"mug", "shoe", "shoe-gift"}
    assert not result.success
    assert shop.materialized("bgRemovedImage") == {*good, "bag"}
    assert shop.materialized("replacedImages") == good
    assert shop.materialized("finishedVideo") == good
    assert [row["stage"] for row in troubles_of(result)] == ["replacedImages", "finishedVideo"]
    assert {row["product"] for row in troubles_of(result)} == {"bag"}
    assert all(row["what"] and row["mend"] for row in troubles_of(result))
    assert "10 made, 2 failed" in failure_of(result)
    assert "bag / replacedImages failed" in failure_of(result)
    assert shop.failed("bgRemovedImage") == set()
    assert shop.failed("replacedImages") == shop.failed("finishedVideo") == {"bag"}
    assert shop.accepted()["remove_background"] == 3
    assert shop.counters()["duplicates"] == shop.counters()["orphans"] == 0


def test_a_shared_photo_is_paid_once_and_both_products_say_so(shop: Shop) -> None:
    shop.add("shoe")
    shop.add("shoe-gift", image=shop.rows["shoe"]["image"], script="This is shoe.")
    shop.register()

    result = shop.materialize("shoe", "shoe-gift")

    assert result.success
    videos = [
        event.materialization.metadata
        for event in result.all_events
        if event.is_step_materialization and event.asset_key == dg.AssetKey("finishedVideo")
    ]
    assert sorted(bool(video["topview/reused"].value) for video in videos) == [False, True]
    assert sorted(float(str(video["topview/credits"].value)) for video in videos)[0] == 0.0
    assert shop.accepted() == {"remove_background": 1, "image_replace": 1, "image2Video": 1}


def test_materializing_again_pays_nothing_and_tells_dagster_again(shop: Shop) -> None:
    shop.add("mug", "shoe")
    shop.register()
    shop.materialize("mug", "shoe")
    before = shop.accepted()

    again = shop.materialize("mug", "shoe")

    assert again.success
    assert len(made(again)) == 6
    assert shop.accepted() == before


def test_metadata_tells_task_price_files_and_times(shop: Shop) -> None:
    shop.add("mug")
    shop.register()

    result = shop.materialize("mug")

    (video,) = [
        event.materialization.metadata
        for event in result.all_events
        if event.is_step_materialization and event.asset_key == dg.AssetKey("finishedVideo")
    ]
    assert float(str(video["topview/credits"].value)) > 0
    assert video["topview/attempt"].value == 1
    assert video["topview/reused"].value is False
    assert float(str(video["topview/seconds_running"].value)) > 0
    assert float(str(video["topview/seconds_queued"].value)) >= 0
    assert str(video["dagster/uri"].value).endswith("video.mp4")
    files = video["topview/files"]
    assert isinstance(files, dg.TableMetadataValue)
    assert {record.data["file"] for record in files.records} >= {"video.mp4"}
    with shop.ledger() as ledger:
        (task,) = ledger.tasks.of_fingerprint(str(video["topview/fingerprint"].value))
    assert video["topview/task_id"].value == task.topview_task_id


@pytest.mark.parametrize(
    ("asset", "keys"),
    [
        ("bgRemovedImage", {"preview", "width", "height"}),
        ("replacedImages", {"preview", "width", "height"}),
        ("finishedVideo", {"preview", "width", "height", "video_seconds"}),
    ],
)
def test_what_is_made_shows_its_picture_and_size_where_previews_are_on(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, asset: str, keys: set[str]
) -> None:
    shop.add("mug")
    shop.register()
    without = shop.materialize("mug")
    monkeypatch.setenv("TOPVIEW_PREVIEWS", "true")
    shown = shop.materialize("mug")

    seen = {"preview", "width", "height", "video_seconds"}
    assert seen.isdisjoint(metadata_of(without, asset))
    values = metadata_of(shown, asset)
    assert seen & set(values) == keys
    assert values["width"] > 0
    assert values["height"] > 0
    assert values.get("video_seconds", 1.0) > 0
    assert values["preview"].startswith("![preview](")


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """Of the asset's one materialization, without the prefix."""
    (values,) = [
        event.materialization.metadata
        for event in result.all_events
        if event.is_step_materialization and event.asset_key == dg.AssetKey(asset)
    ]
    return {key.removeprefix("topview/"): value.value for key, value in values.items()}


def test_a_stage_alone_works_on_the_last_stored_upstream_even_when_it_is_stale(shop: Shop) -> None:
    shop.add("mug")
    shop.register()
    assert shop.materialize("mug", assets=ASSETS[:1]).success
    shop.rows["mug"]["image"] = shop.picture("other.png", (9, 9, 9))

    result = shop.materialize("mug", assets=["replacedImages"])

    assert result.success
    assert made(result) == [("replacedImages", "mug")]
    assert shop.accepted() == {"remove_background": 1, "image_replace": 1}


def test_a_stage_alone_without_upstream_names_what_to_materialize_and_makes_nothing(
    shop: Shop,
) -> None:
    shop.add("mug")
    shop.register()

    result = shop.materialize("mug", assets=["replacedImages"])

    assert not result.success
    (trouble,) = troubles_of(result)
    assert "materialize bgRemovedImage first" in trouble["mend"]
    assert shop.accepted() == {}


def test_held_and_parked_work_stays_ordered(shop: Shop) -> None:
    """The answer to a paid submit is lost: held, named, not sent again."""
    shop.add("mug")
    shop.register()
    assert shop.materialize("mug", assets=ASSETS[:1]).success
    shop.faults(drop_submit=1.0)

    result = shop.materialize("mug", assets=["replacedImages"])
    again = shop.materialize("mug", assets=["replacedImages"])

    for run in (result, again):
        (trouble,) = troubles_of(run)
        assert trouble["outcome"] == "held"
        assert "never sent again" in trouble["mend"]
    assert shop.accepted()["image_replace"] == 1
    with shop.ledger() as ledger:
        assert [order.stage for order in ledger.orders.open_orders()] == ["replacedImages"]
