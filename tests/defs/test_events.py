"""Events of a run: marks that make a partition's history a story, observations, and no noise."""

from __future__ import annotations

import json

import dagster as dg
import pytest

from tests.defs.shop import ASSETS, CUT_OUT, REFUSED, Patch, Shop, failure_of, made, marks, observed
from topview_pipeline.defs.jobs import RESUME_TASKS
from topview_pipeline.media import Outcome, Verdict
from topview_pipeline.stages import VIDEO


@pytest.mark.slow
def test_a_clean_run_leaves_no_mark_and_observes_only_what_is_news(shop: Shop) -> None:
    shop.add("mug", "bag")
    first = shop.catch_up()
    shop.rows["mug"]["script"] = "Something else."
    second = shop.catch_up()
    forced = shop.catch_up(force=True, everything=True, stages=CUT_OUT)
    assert [len(observed(run)) for run in (first, second, forced)] == [6, 1, 0]
    assert observed(second) == [("productScript", "mug")]
    assert [marks(run) for run in (first, second, forced)] == [[], [], []]


def test_a_source_shows_what_it_stands_for_and_what_changed(shop: Shop) -> None:
    """ "No metadata found" leaves the question open why a product is stale."""
    shop.settings["TOPVIEW_PREVIEWS"] = "true"
    shop.add("mug", script="Old words.")
    shop.catch_up(stages=CUT_OUT)
    shop.catch_up()
    photo = _seen(shop, "productImage")
    assert isinstance(photo.metadata["topview/preview"], dg.MarkdownMetadataValue)
    assert "topview/photo" in photo.metadata
    assert _seen(shop, "productScript").metadata["topview/text"].value == "Old words."
    shop.rows["mug"]["script"] = "New words."
    shop.run_job("sync_products")
    changed = _seen(shop, "productScript")
    assert changed.description == "mug: script changed, text: Old words. → New words."
    table = changed.metadata["topview/changed"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [dict(one.data) for one in table.records] == [
        {"what": "text", "from": "Old words.", "to": "New words."}
    ]


def _seen(shop: Shop, source: str) -> dg.AssetObservation:
    (record,) = shop.instance.fetch_observations(dg.AssetKey(source), limit=1).records
    assert record.asset_observation is not None
    return record.asset_observation


def test_a_held_product_says_why_once_at_the_stage_where_it_waits(shop: Shop) -> None:
    shop.settings["TOPVIEW_CREDIT_LIMIT"] = "0.1"
    shop.add("mug", "bag")

    found = marks(shop.catch_up())

    assert sorted(mark[:3] for mark in found) == [
        ("held", "replacedImages", "bag"),
        ("held", "replacedImages", "mug"),
    ]
    for *_, values in found:
        assert values["topview/until"] > 0
        assert "TOPVIEW_CREDIT_LIMIT" in values["topview/what_to_do"]


def test_a_product_without_a_result_says_why_as_its_check_until_it_has_one(shop: Shop) -> None:
    """Dagster shows a held product like one that was never asked for."""
    shop.settings |= {"TOPVIEW_CHECKS": "true", "TOPVIEW_GATE": "approve"}
    shop.add("mug")
    shop.add("bad", **REFUSED)
    held = shop.catch_up()
    found = {
        (str(one.asset_key.to_user_string()), one.partition): one
        for one in held.get_asset_check_evaluations()
        if not one.passed
    }
    assert sorted(found) == [
        ("finishedVideo", "bad"),
        ("finishedVideo", "mug"),
        ("replacedImages", "bad"),
    ]
    waits = found["finishedVideo", "mug"]
    assert str(waits.description).startswith("mug is on hold: the scene waits for a person.")
    assert "the job review_scenes" in str(waits.description)
    assert waits.severity is dg.AssetCheckSeverity.WARN
    assert "change in the catalogue what Topview refused" in str(
        found["replacedImages", "bad"].description
    )

    shop.settings["TOPVIEW_GATE"] = "off"
    checks = shop.catch_up(products=["mug"]).get_asset_check_evaluations()
    (video,) = [one for one in checks if one.asset_key == dg.AssetKey("finishedVideo")]
    assert video.passed

    # A result that is there keeps its verdict, whatever holds the next one.
    shop.settings["TOPVIEW_CREDIT_LIMIT"] = "0.1"
    shop.rows["mug"]["script"] = "Something else."
    assert shop.catch_up(products=["mug"]).get_asset_check_evaluations() == []


@pytest.mark.slow
def test_what_one_run_left_is_adopted_by_the_next(shop: Shop) -> None:
    """An observation without a data version must not look like a change of the asset."""
    shop.add("mug")
    left = shop.leave_pending()
    home = shop.run_job(RESUME_TASKS)

    assert [(what, product) for what, _, product, _ in marks(left)] == [("held", "mug")]
    ((what, asset, product, values),) = marks(home)
    assert (what, asset, product) == ("adopted", "bgRemovedImage", "mug")
    assert values["topview/submitted_by_run"] == left.run_id
    assert values["topview/task_id"]
    assert marks(shop.catch_up()) == []
    assert shop.stale("mug") == {}

    shop.rows["mug"]["script"] = "Something else."
    shop.settings["TOPVIEW_CREDIT_LIMIT"] = "0.1"
    assert [mark[:2] for mark in marks(shop.catch_up())] == [("held", "finishedVideo")]
    assert set(shop.stale("mug")) == {"finishedVideo"}
    del shop.settings["TOPVIEW_CREDIT_LIMIT"]
    assert made(shop.catch_up()) == [("finishedVideo", "mug")]
    assert shop.stale("mug") == {}


@pytest.mark.slow
def test_an_account_that_is_refused_fails_no_product_and_is_said_once(shop: Shop) -> None:
    shop.add(*(f"p{number}" for number in range(6)))
    shop.control.set_credits(0.0)

    text = failure_of(shop.catch_up())

    assert "6 made.\nProducts not finished: 6 held." in text
    assert text.count("Credit not enough") == 1
    assert all(shop.failed(asset) == set() for asset in ASSETS)
    shop.control.set_credits(500.0)
    assert shop.catch_up().success


@pytest.mark.parametrize("last", [None, "mug"])
def test_every_materialization_has_its_check_and_a_bad_result_fails_no_run_of_several(
    shop: Shop, monkeypatch: Patch, last: str | None
) -> None:
    shop.settings["TOPVIEW_CHECKS"] = "true"
    silent = Verdict(Outcome.FAILED, "It is silent.", "Make it again.")
    monkeypatch.setattr(VIDEO, "check", lambda *_: silent, raising=False)
    shop.add("bag", "mug")
    for _ in range(2):  # what is reported again has the verdict of before
        result = shop.materialize("bag", last)
        assert result.success is (last is not None), "of one product it stops what is downstream"
        checks = result.get_asset_check_evaluations()
        found = {(one.asset_key.to_user_string(), one.partition): one.passed for one in checks}
        # Without its materialization Dagster's Checks tab counts the product as missing.
        for one in checks:
            newest = dg.AssetRecordsFilter(one.asset_key, asset_partitions=[str(one.partition)])
            (record,) = shop.instance.fetch_materializations(newest, 1).records
            assert one.target_materialization_data is not None
            assert one.target_materialization_data.storage_id == record.storage_id
        assert found == {pair: pair[0] != "finishedVideo" for pair in made(result)}
        monkeypatch.setattr(VIDEO, "check", lambda *_: pytest.fail("measured again"))


@pytest.mark.slow
def test_a_scene_that_topview_forgot_is_made_again_and_nothing_is_stale(shop: Shop) -> None:
    shop.add("mug")
    shop.materialize("mug")
    shop.control.advance_clock(2 * 3600.0)
    shop.rows["mug"]["script"] = "Other words."

    result = shop.materialize("mug")

    assert result.success
    assert made(result).count(("replacedImages", "mug")) == 2, "the kept one, and the new one"
    assert shop.stale("mug") == {}
    assert shop.accepted() == {"remove_background": 1, "image_replace": 2, "image2Video": 2}
    assert made(shop.catch_up()) == []


def test_each_event_of_a_run_is_a_line_for_a_log_collector(
    shop: Shop, capfd: pytest.CaptureFixture[str]
) -> None:
    """Product, task and run as fields: a person would search for them in prose."""
    shop.settings["TOPVIEW_LOG_FORMAT"] = "json"
    shop.add("mug")
    shop.add("bad", image="no-such.png")
    run = shop.catch_up()
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line[:1] == "{"]
    assert {line["run_id"] for line in lines} == {run.run_id}
    made = [line for line in lines if line["event"] == "made"]
    assert [line["product"] for line in made] == ["mug"] * 3
    assert all(line["task_id"] for line in made)
    assert "bad" in {line["product"] for line in lines if line["event"] == "failed"}
