"""`videoManifest`: it lists what there is, and is in nobody's way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import NO_SUCH_ID, Shop, failure_of, made
from tests.defs.test_checks import plain_media
from topview_pipeline import portfolio, syncing
from topview_pipeline.defs import manifest
from topview_pipeline.defs.manifest import MANIFEST
from topview_pipeline.defs.resources import CatalogueResource
from topview_pipeline.quality import Outcome, Verdict

pytestmark = pytest.mark.slow


def materialize(shop: Shop) -> dg.ExecuteInProcessResult:
    """Materialize the manifest of the catalogue as it is."""
    job = shop.defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=shop.instance, asset_selection=[dg.AssetKey(MANIFEST)], raise_on_error=False
    )


def publish(shop: Shop) -> dict[str, Any]:
    """Write the catalogue and materialize the manifest; the metadata of its event."""
    shop.write()
    assert materialize(shop).success
    event = shop.instance.get_latest_materialization_event(dg.AssetKey(MANIFEST))
    assert event is not None
    assert event.asset_materialization is not None
    return {key: value.value for key, value in event.asset_materialization.metadata.items()}


def listed(shop: Shop, name: str = "videos") -> list[dict[str, Any]]:
    (file,) = store_of(shop).glob(f"*/manifest/{name}.jsonl")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def store_of(shop: Shop) -> Path:
    return shop.folder / "home" / "artifacts"


def statuses(shop: Shop) -> dict[str, str]:
    return {row["product_id"]: row["status"] for row in listed(shop)}


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


def test_half_a_catalogue_takes_no_video_out_of_the_shop(shop: Shop) -> None:
    """Whatever else obeys catalogues refuses this one, too, until a person says it is meant."""
    shop.add(*(f"p{number}" for number in range(6)))
    shop.catch_up()
    publish(shop)
    shop.rows = {"p0": shop.rows["p0"]}
    shop.write()

    said = failure_of(materialize(shop))

    assert "5 of its 6 products are gone" in said
    assert "--accept-change" in said
    assert "Traceback" not in said
    assert len(listed(shop)) == 6

    found = CatalogueResource().read()
    with shop.ledger() as ledger:
        syncing.accept(ledger, found.sha256, who="ann")
    assert publish(shop)["topview/removed"] == 5


def test_a_slip_in_a_row_takes_no_video_out_of_the_shop(shop: Shop) -> None:
    shop.add("mug", "shoe")
    shop.catch_up()
    publish(shop)
    before = listed(shop)
    shop.rows["mug"]["mode"] = "nonsense"

    told = publish(shop)

    assert statuses(shop) == {"mug": "outdated", "shoe": "ready"}
    assert told["topview/removed"] == 0
    assert [line["columns"] for line in listed(shop, "changes")] == [["status"]]
    assert "column mode" in str(told["topview/in_bad_rows"])

    del shop.rows["mug"]["mode"]
    publish(shop)
    assert listed(shop) == before


def test_a_row_that_lost_its_name_takes_nobody_out_of_the_shop(shop: Shop) -> None:
    """Nobody can tell whose row it is: it may be that of anybody who is missing."""
    shop.add(*(f"p{number}" for number in range(6)))
    shop.catch_up()
    publish(shop)
    shop.rows[""] = shop.rows.pop("p3")

    told = publish(shop)

    assert [name for name, status in statuses(shop).items() if status == "outdated"] == ["p3"]
    assert len(statuses(shop)) == 6
    assert "column product_id" in str(told["topview/in_bad_rows"])


def test_a_product_that_left_is_taken_out_of_the_shop(shop: Shop) -> None:
    shop.add(*(f"p{number}" for number in range(6)))
    shop.catch_up()
    publish(shop)
    del shop.rows["p3"]
    assert publish(shop)["topview/removed"] == 1
    assert "p3" not in statuses(shop)


def test_a_store_that_is_not_mounted_is_no_empty_shop(shop: Shop) -> None:
    shop.add("mug")
    shop.catch_up()
    publish(shop)
    mount = store_of(shop)
    away = mount.rename(mount.with_name("the disk"))
    mount.mkdir()

    said = failure_of(materialize(shop))

    assert "Is it mounted" in said
    assert "Traceback" not in said
    assert [path for path in mount.rglob("*") if path.is_file()] == []

    mount.rmdir()
    away.rename(mount)
    assert publish(shop)["topview/added"] == 0
    assert list(statuses(shop)) == ["mug"]


def test_a_store_that_goes_away_in_the_middle_is_no_empty_shop(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("mug")
    shop.catch_up()
    publish(shop)
    mount = store_of(shop)
    read = portfolio.read_portfolio

    def unmounting(*products: Any, **options: Any) -> list[portfolio.ProductShown]:
        mount.rename(mount.with_name("the disk"))
        mount.mkdir()
        return read(*products, **options)

    monkeypatch.setattr(portfolio, "read_portfolio", unmounting)

    said = failure_of(materialize(shop))

    assert "no longer the store that was here before" in said
    assert [path for path in mount.rglob("*") if path.is_file()] == []


@pytest.mark.usefixtures(plain_media.__name__)
def test_what_nobody_measured_is_measured_before_it_is_exported(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger was rebuilt, or checks were off: the verdict is missing, and the video is bad."""
    shop.add("mug")
    monkeypatch.setenv("TOPVIEW_CHECKS", "false")
    shop.catch_up()
    assert publish(shop)["topview/videos"] == 1
    monkeypatch.setenv("TOPVIEW_CHECKS", "true")

    monkeypatch.setattr(manifest, "_LOGGED", 2)

    told = publish(shop)

    (run, *_) = shop.instance.get_runs(limit=1)
    logged = [entry.user_message for entry in shop.instance.all_logs(run.run_id)]
    assert "Measuring 3 results that no check of today has seen." in logged
    assert "Measured 2 of 3 results." in logged
    assert listed(shop) == []
    assert "finishedVideo failed its check" in str(told["topview/why_left_out"])
    with shop.ledger() as ledger:
        assert {row.quality is None for row in ledger.tasks.all()} == {False}


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
