"""`videoManifest`: it lists what there is, and is in nobody's way."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg

from tests.defs.shop import NO_SUCH_ID, Shop, made
from topview_pipeline.defs.manifest import MANIFEST
from topview_pipeline.quality import Outcome, Verdict


def publish(shop: Shop) -> dict[str, Any]:
    """Materialize the manifest; the metadata of its event."""
    shop.write()
    job = shop.defs.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=shop.instance, asset_selection=[dg.AssetKey(MANIFEST)], raise_on_error=False
    )
    assert result.success
    event = shop.instance.get_latest_materialization_event(dg.AssetKey(MANIFEST))
    assert event is not None
    assert event.asset_materialization is not None
    return {key: value.value for key, value in event.asset_materialization.metadata.items()}


def listed(shop: Shop) -> list[dict[str, Any]]:
    (file,) = (shop.folder / "home" / "artifacts").glob("*/manifest/videos.jsonl")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_it_lists_finished_videos_and_names_the_rest(shop: Shop) -> None:
    shop.add("mug", "shoe")
    shop.add("hat", voice_id=NO_SUCH_ID)
    shop.catch_up()

    told = publish(shop)

    assert [row["product_id"] for row in listed(shop)] == ["mug", "shoe"]
    assert (told["topview/videos"], told["topview/left_out"], told["topview/added"]) == (2, 1, 2)
    assert "hat" in str(told["topview/why_left_out"])
    (mug, _) = listed(shop)
    for column in ("video", "poster", "scene", "cutout", "video_sha256", "made_at"):
        assert mug[column]
    assert mug["status"] == "ready"
    assert mug["duration_seconds"] > 0

    assert publish(shop)["topview/added"] == 0


def test_a_changed_script_is_a_changed_video_in_the_next_one(shop: Shop) -> None:
    shop.add("mug", "shoe")
    shop.catch_up()
    publish(shop)
    shop.rows["mug"]["script"] = "Another one."
    shop.catch_up()

    told = publish(shop)

    assert (told["topview/added"], told["topview/changed"]) == (0, 1)
    assert told["topview/removed"] == 0


def test_a_video_that_failed_its_check_is_not_exported(shop: Shop) -> None:
    shop.add("mug", "shoe")
    shop.catch_up()
    verdict = Verdict(Outcome.FAILED, "Its sound is silence.")
    with shop.ledger() as ledger:
        row = ledger.tasks.last_stored("mug", "finishedVideo")
        assert row is not None
        ledger.tasks.measured(row.id, verdict.to_json())

    told = publish(shop)

    assert [row["product_id"] for row in listed(shop)] == ["shoe"]
    assert "Its sound is silence." in str(told["topview/why_left_out"])


def test_links_lead_to_where_the_store_is_served(shop: Shop, monkeypatch: Any) -> None:
    monkeypatch.setenv("TOPVIEW_MEDIA_URL", "https://cdn.example/videos/")
    shop.add("mug")
    shop.catch_up()
    publish(shop)
    (mug,) = listed(shop)
    assert mug["video"].startswith("https://cdn.example/videos/")
    event = shop.instance.get_latest_materialization_event(dg.AssetKey("finishedVideo"))
    assert event is not None
    assert event.asset_materialization is not None
    link = event.asset_materialization.metadata["topview/open_video"]
    assert isinstance(link, dg.UrlMetadataValue)
    assert link.value == mug["video"]


def test_runs_of_the_three_assets_do_not_touch_it(shop: Shop) -> None:
    shop.add("mug", "shoe")
    shop.register()
    assert MANIFEST not in {asset for asset, _ in made(shop.materialize("mug", "shoe"))}
    assert MANIFEST not in {asset for asset, _ in made(shop.catch_up(force=True))}
    assert shop.instance.get_latest_materialization_event(dg.AssetKey(MANIFEST)) is None
    assert publish(shop)["topview/videos"] == 2
