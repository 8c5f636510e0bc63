"""Each product's result has its own check, whichever kind of run told of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from tests.defs.shop import ASSETS, Shop, made, observed
from topview_pipeline import inspection
from topview_pipeline.artifacts import ArtifactStore
from topview_pipeline.quality import Outcome, Verdict, is_refused
from topview_pipeline.sandbox import tinymedia
from topview_pipeline.settings import Settings

Run = Callable[[Shop], dg.ExecuteInProcessResult]

RUNS: dict[str, Run] = {
    "a ranged run": lambda shop: shop.materialize("bag", "shoe"),
    "a run of one product": lambda shop: shop.materialize("mug"),
    "the catch_up job": lambda shop: shop.catch_up(),
}


@pytest.fixture
def plain_media(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tiny files that do not say that they are stand-ins: tiny, silent, one second long."""
    made_once = (tinymedia._png, tinymedia._mp4)
    for one in made_once:
        one.cache_clear()
    monkeypatch.setattr(tinymedia, "_COMMENT", "as good as real")
    yield
    for one in made_once:
        one.cache_clear()


def checked(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str | None], tuple[bool, str]]:
    """Whether the check of (asset, product) passed, and what it says; each must be there once."""
    found = [
        event.asset_check_evaluation_data
        for event in result.all_events
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ]
    keyed = {
        (one.asset_key.to_user_string(), one.partition): (one.passed, one.description or "")
        for one in found
    }
    assert len(keyed) == len(found)
    return keyed


def shelf(shop: Shop) -> Shop:
    shop.add("bag", "mug", "shoe")
    shop.register()
    return shop


@pytest.mark.parametrize("run", RUNS.values(), ids=list(RUNS))
def test_every_materialization_has_its_check(shop: Shop, run: Run) -> None:
    result = run(shelf(shop))

    assert result.success
    assert made(result)
    assert set(checked(result)) == set(made(result))
    # The sandbox's tiny media are no bad pictures.
    assert {passed for passed, _ in checked(result).values()} == {True}
    assert all("Could not measure" in said for _, said in checked(result).values())


@pytest.mark.parametrize("run", RUNS.values(), ids=list(RUNS))
def test_a_bad_video_fails_its_check_and_not_its_run(
    shop: Shop, plain_media: None, run: Run
) -> None:
    result = run(shelf(shop))

    assert result.success
    failed = {key for key, (passed, _) in checked(result).items() if not passed}
    assert {asset for asset, _ in failed} == {"finishedVideo"}
    assert {product for _, product in failed} == {product for _, product in made(result)}
    for asset, product in failed:
        said = checked(result)[asset, product][1]
        assert "gives 1080p" in said
        assert "silence" in said
        assert "force" in said


def test_a_clean_first_run_stores_nine_events_a_product(shop: Shop) -> None:
    """Each costs Dagster 17 ms: they are the floor of the cost of a product."""
    shelf(shop)
    result = shop.materialize("bag", "shoe")

    assert Counter(product for _, product in made(result)) == dict.fromkeys(shop.rows, 3)
    assert Counter(product for _, product in observed(result)) == dict.fromkeys(shop.rows, 3)
    assert Counter(product for _, product in checked(result)) == dict.fromkeys(shop.rows, 3)
    of_assets = [
        event
        for event in result.all_events
        if event.event_type_value.startswith("ASSET_") and "PLANNED" not in event.event_type_value
    ]
    assert len(of_assets) == 9 * len(shop.rows)


def test_a_placed_product_is_looked_for_in_its_scene(shop: Shop, plain_media: None) -> None:
    """The place is what was sent, and the cut-out the one that the scene was made from."""
    shop.add("mug", location="[[0.2,0.2],[0.8,0.2],[0.8,0.8],[0.2,0.8]]")
    shop.register()
    shop.materialize("mug")

    with shop.ledger() as ledger:
        row = ledger.tasks.last_stored("mug", "replacedImages")
    assert row is not None
    verdict = Verdict.from_json(row.quality)
    assert verdict is not None
    # A cut-out of the sandbox's tiny media is a gradient from black to white, and so is its scene.
    assert verdict.numbers["product_pattern_likeness"] > 0.9
    assert verdict.not_measured == ("whether there is a face: the images have no colour",)


def test_numbers_are_numbers_that_the_ui_plots(shop: Shop, plain_media: None) -> None:
    result = shelf(shop).materialize("mug")
    (video,) = [
        event.materialization.metadata
        for event in result.all_events
        if event.is_step_materialization and event.asset_key == dg.AssetKey("finishedVideo")
    ]
    plotted = ("credits", "bytes", "seconds_queued", "seconds_running", "seconds_storing")
    for name in (*plotted, "video_seconds"):
        assert isinstance(video[f"topview/{name}"].value, (int, float)), name
    (data,) = [
        event.asset_check_evaluation_data
        for event in result.all_events
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
        and event.asset_check_evaluation_data.asset_key == dg.AssetKey("finishedVideo")
    ]
    assert data.metadata["topview/video_seconds"].value == pytest.approx(1.0, abs=0.1)
    assert data.metadata["topview/sound_decibels"].value == -120.0
    assert data.severity is dg.AssetCheckSeverity.ERROR


def test_what_is_told_again_is_checked_again_without_measuring(
    shop: Shop, plain_media: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the newest materialization would be without a result, or thousands measured anew."""
    shelf(shop)
    first = shop.materialize("bag", "shoe")
    monkeypatch.setattr(inspection, "_MEASURES", {})

    again = shop.materialize("bag", "shoe")

    assert checked(again) == checked(first)


def test_the_ledger_knows_what_is_not_to_be_exported(shop: Shop, plain_media: None) -> None:
    shelf(shop)
    shop.materialize("bag", "shoe")

    with shop.ledger() as ledger:
        rows = {asset: ledger.tasks.last_stored("mug", asset) for asset in ASSETS}
    refused = {asset for asset, row in rows.items() if row is not None and is_refused(row.quality)}
    assert refused == {"finishedVideo"}


def test_a_file_that_came_back_is_measured_anew(shop: Shop) -> None:
    shelf(shop)
    shop.materialize("mug")
    store = ArtifactStore(Settings.from_environment().artifacts)
    with shop.ledger() as ledger:
        video = ledger.tasks.last_stored("mug", "finishedVideo")
        assert video is not None
        (file,) = (
            Path(store.root) / one["path"] for one in video.artifacts or () if "mp4" in one["name"]
        )
        file.unlink()
        ledger.tasks.measured(video.id, {"version": -1})
        assert inspection.verdict_of(ledger.tasks.get(video.id), ledger, store).outcome is (
            Outcome.UNMEASURED
        )
        # A file that is gone may come back: that is not remembered.
        assert ledger.tasks.get(video.id).quality == {"version": -1}

    shop.materialize("mug")

    with shop.ledger() as ledger:
        assert (ledger.tasks.get(video.id).quality or {})["outcome"] == "unmeasured"
        assert "stand-in" in (ledger.tasks.get(video.id).quality or {})["why"]


def test_checks_can_be_switched_off(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPVIEW_CHECKS", "false")
    shelf(shop)
    result = shop.materialize("bag", "shoe")

    assert result.success
    assert len(made(result)) == 9
    assert checked(result) == {}
    with shop.ledger() as ledger:
        assert {row.quality for row in ledger.tasks.all()} == {None}


def test_a_failed_check_stands_at_its_product_and_no_other(shop: Shop, plain_media: None) -> None:
    shelf(shop)
    shop.materialize("mug")

    key = dg.AssetCheckKey(dg.AssetKey("finishedVideo"), "quality")
    history = shop.instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
    assert [(record.partition, record.status.value) for record in history] == [("mug", "FAILED")]
