"""The real Dagster UI on a real backfill, as a person sees it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.demo_ui import BAD, GOOD, DemoUi, demo_ui
from tests.defs.shop import ASSETS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SOURCES: Final = ("productImage", "productScene", "productScript")
_LOCATION: Final = "/locations/__repository__@topview_pipeline"
_PATIENCE: Final = 30_000.0
"""Milliseconds: the UI asks its server in many small questions, and the machine may be busy."""


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoUi]:
    with demo_ui(tmp_path_factory.mktemp("demo")) as ui:
        yield ui


@pytest.fixture
def page(browser: Browser, ui: DemoUi) -> Iterator[Page]:
    """A page whose addresses are the UI's. Its console is Dagster's own affair."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, base_url=ui.url)
    context.set_default_timeout(_PATIENCE)
    expect.set_options(timeout=_PATIENCE)
    yield context.new_page()
    context.close()


def metadata(page: Page, asset: str, product: str) -> None:
    """Open a product's page of an asset, until its metadata are there."""
    page.goto(f"/assets/{asset}?view=partitions&partition={product}")
    expect(page.get_by_text("topview/caption", exact=True)).to_be_visible()


def test_the_lineage_graph_shows_three_sources_three_stages_and_the_manifest(page: Page) -> None:
    groups = {"catalogue": SOURCES, "videos": ASSETS, "published": ("videoManifest",)}
    for group, assets in groups.items():
        page.goto(f"{_LOCATION}/asset-groups/{group}/lineage")
        for asset in assets:
            expect(page.get_by_text(asset, exact=True).first).to_be_visible()


@pytest.mark.parametrize("asset", ASSETS)
def test_a_partitions_page_shows_a_picture_of_what_was_made(page: Page, asset: str) -> None:
    """A longer value would be a link that says [Show Markdown]."""
    metadata(page, asset, GOOD[0])
    picture = page.locator('img[src^="data:image/webp"]').first
    expect(picture).to_be_visible()
    width, height = picture.evaluate("(image) => [image.naturalWidth, image.naturalHeight]")
    assert max(width, height) >= 96, (width, height)
    expect(page.get_by_text("topview/credits", exact=True)).to_be_visible()
    if asset == "finishedVideo":
        expect(page.get_by_text(re.compile(r"^topview/scene_\d_in_the_video$"))).to_be_visible()
    expect(page.get_by_text("at Topview").first).to_be_visible()


def test_the_links_open_the_picture_and_play_the_video(page: Page) -> None:
    metadata(page, "finishedVideo", GOOD[0])
    address = page.locator('a[href$="/video.mp4"]').first.get_attribute("href")
    assert address is not None
    part = httpx.get(address, headers={"Range": "bytes=100-199"}, trust_env=False)
    assert (part.status_code, len(part.content)) == (206, 100), "it cannot be sought in"
    whole = httpx.get(address, trust_env=False)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "video/mp4")

    metadata(page, "bgRemovedImage", GOOD[0])
    page.goto(page.locator('a[href$="/cutout.png"]').first.get_attribute("href") or "")
    assert page.evaluate("document.images[0].naturalWidth") > 96


def test_the_checks_tab_knows_every_products_verdict_and_why_one_has_no_result(
    page: Page,
) -> None:
    """Without their materializations it would say: Missing, all of them."""
    page.goto("/assets/replacedImages?view=checks")
    expect(page.get_by_role("button", name="Execute all")).to_be_visible()
    page.get_by_role("tab", name="Partitions").last.click()
    for status, count in (("Missing", 0), ("Failed", 1), ("Passed", len(GOOD))):
        counted = page.locator("label").filter(has_text=re.compile(rf"^{status}\s*\({count}\)"))
        expect(counted.first).to_be_visible()
    page.get_by_text(BAD, exact=True).filter(visible=True).last.click()
    why = page.get_by_text(re.compile(f"{BAD} failed: .* What to do: change in the catalogue"))
    expect(why.first).to_be_visible()


def test_an_assets_page_teaches_what_it_is_and_what_to_do(page: Page) -> None:
    page.goto("/assets/replacedImages?view=overview")
    expect(page.get_by_text("The product in a scene with a person").first).to_be_visible()
    expect(page.get_by_text("If it fails").first).to_be_visible()


def test_the_run_says_which_product_failed_why_and_what_to_do(page: Page, ui: DemoUi) -> None:
    page.goto(f"/runs/{ui.run_id}")
    expect(page.get_by_text("Failure").first).to_be_visible()
    expect(page.get_by_text("Products not finished: 1 failed.").first).to_be_visible()
    expect(page.get_by_text(f"{BAD} replacedImages failed").first).to_be_visible()
    expect(
        page.get_by_text("What to do: change in the catalogue what Topview refused").first
    ).to_be_visible()
    expect(page.get_by_text("topview/troubles").first).to_be_visible()
    expect(page.get_by_role("cell", name="what happened").first).to_be_attached()


@pytest.mark.parametrize("asset", ["replacedImages", "finishedVideo"])
def test_a_failed_products_page_leads_to_why_and_what_to_do(page: Page, asset: str) -> None:
    """Of a run of two hundred the run's page is about all of them."""
    page.goto(f"/assets/{asset}?view=partitions&partition={BAD}")
    expect(page.get_by_text("did not materialize this asset")).to_be_visible()
    page.get_by_role("button", name="View all historical events").click()
    history = page.get_by_role("dialog").filter(has_text=f"Historical events for {BAD}")
    history.get_by_role("cell", name=BAD).get_by_text(BAD).first.click()
    expect(history.get_by_text("topview/what_to_do").first).to_be_visible()
    expect(
        history.get_by_text("change in the catalogue what Topview refused").first
    ).to_be_visible()

    page.goto(f"/assets/{asset}?view=events")
    page.get_by_text(BAD).first.click()
    expect(page.get_by_text(re.compile("^Failed: ")).first).to_be_visible()
    expect(page.get_by_text("change in the catalogue what Topview refused").first).to_be_visible()


def test_the_backfill_counts_exactly_what_failed(page: Page, ui: DemoUi) -> None:
    page.goto(f"/runs/b/{ui.backfill_id}")
    for asset, succeeded, failed in (
        ("bgRemovedImage", 3, 0),
        ("replacedImages", 2, 1),
        ("finishedVideo", 2, 1),
    ):
        row = page.locator("[class*=VirtualizedTable_row]").filter(has_text=asset)
        counts = re.compile(rf"{asset}\s*100% completed\s*3\s*0\s*{succeeded}\s*{failed}\s*$")
        expect(row).to_have_text(counts)


def test_the_sensor_says_why_it_started_no_run(page: Page) -> None:
    page.goto(f"{_LOCATION}/sensors/pending_task_sensor")
    page.get_by_text("0 runs requested").first.hover()
    expect(page.get_by_text("nothing to finish").first).to_be_visible()
