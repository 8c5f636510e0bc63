"""The gallery in a real browser: videos play and seek, filters work, and a thousand are fast."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser.media import write_media
from tests.export.reports import product_report
from topview_pipeline.cli.server import MEDIA, serving
from topview_pipeline.export import SERVED_FILE, ProductReport, Report, write_gallery
from topview_pipeline.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("gallery")]

_PATIENCE_SECONDS: Final = 20.0
PRODUCTS = [
    product_report("red mug", script="Hot coffee."),
    product_report("blue shoe", script="Run, run, run."),
    product_report("hat", statuses=("done", "done", "failed"), what="no face was found"),
    product_report("scarf", statuses=("done", "held", "held")),
    product_report("glove", statuses=("done", "new", "new")),
]


def gallery_beside(root: Path, products: list[ProductReport]) -> str:
    """A page that is opened as a file, next to the store."""
    report, folder, store = Report(tuple(products)), root.parent / "gallery", Store(str(root))
    write_media(root, report)
    page = write_gallery(
        report, folder, lambda file: store.address(file, beside=folder), title="Videos", now=0.0
    )
    return page.as_uri()


@contextmanager
def opened(page: Page, root: Path) -> Iterator[None]:
    """The gallery of a server, which the page leaves before the server ends: pictures that still
    load then would count as errors of the page."""
    report, folder, store = Report(tuple(PRODUCTS)), root.parent / "gallery", Store(str(root))
    write_media(root, report)
    write_gallery(
        report,
        folder,
        lambda file: store.address(file, base_url=MEDIA),
        title="Videos",
        now=0.0,
        name=SERVED_FILE,
    )
    with serving(root, gallery=folder) as url:
        page.goto(url)
        try:
            yield
        finally:
            page.goto("about:blank")


def names(page: Page) -> list[str]:
    """The products that can be seen."""
    return page.locator(".card:visible h2").all_text_contents()


def until(page: Page, condition: str) -> None:
    """Wait for a condition; Playwright's own waiting evaluates strings, which the page forbids."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(50)


def play_first(page: Page) -> None:
    """Press the first product's picture, until the video's time moves."""
    page.locator("a.play").first.click()
    until(page, "document.querySelector('video').currentTime > 0.3")


def test_a_video_plays_from_a_file(page: Page, tmp_path: Path) -> None:
    page.goto(gallery_beside(tmp_path / "store", PRODUCTS))
    assert page.locator("video").count() == 0
    play_first(page)
    page.locator("a.play").first.click()
    until(page, "document.querySelectorAll('video')[1].currentTime > 0.1")
    assert page.evaluate("document.querySelector('video').paused"), "two at once"


def test_a_video_plays_and_seeks_from_the_server(page: Page, tmp_path: Path) -> None:
    """A server without ranges would begin again at 0."""
    with opened(page, tmp_path / "store"):
        play_first(page)
        page.evaluate("document.querySelector('video').currentTime = 2.5")
        until(page, "document.querySelector('video').currentTime > 2.5")


def test_every_picture_that_comes_into_view_is_there(page: Page, tmp_path: Path) -> None:
    page.goto(gallery_beside(tmp_path / "store", PRODUCTS))
    for card in page.locator(".card").all():
        card.scroll_into_view_if_needed()
        page.wait_for_timeout(50)
    until(page, "[...document.images].every((one) => one.complete)")
    broken = page.evaluate("[...document.images].filter((one) => !one.naturalWidth).length")
    assert page.evaluate("document.images.length") > 10
    assert broken == 0


def test_the_filters_leave_what_fits(page: Page, tmp_path: Path) -> None:
    page.goto(gallery_beside(tmp_path / "store", PRODUCTS))
    assert len(names(page)) == 5

    page.fill("#text", "RUN blue")
    assert names(page) == ["blue shoe"]
    expect(page.locator("#shown")).to_have_text("1 of 5")

    page.fill("#text", "no such thing")
    assert names(page) == []
    expect(page.locator("#empty")).to_be_visible()

    page.fill("#text", "")
    page.select_option("#status", "failed")
    assert names(page) == ["hat"]
    page.select_option("#status", "done")
    assert names(page) == ["red mug", "blue shoe"]
    page.select_option("#stage", "bgRemovedImage")
    assert len(names(page)) == 5
    page.select_option("#stage", "replacedImages")
    assert names(page) == ["red mug", "blue shoe", "hat"]
    page.select_option("#status", "held")
    assert names(page) == ["scarf"]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("STRASSE", "Straße"),
        ("straße", "Straße"),
        ("STRAẞE", "Straße"),
        ("λογος", "ΛΟΓΟΣ"),
        ("λόγος", "Λόγος"),
        ("ﬁne", "FINE"),
        ("cafe\u0301", "café"),
    ],
)
def test_a_word_is_found_in_any_case(page: Page, tmp_path: Path, typed: str, found: str) -> None:
    """Python folded ß to ss and the page did not: what has one was never found."""
    page.goto(
        gallery_beside(
            tmp_path / "store", [product_report("mug"), product_report("cap", script=found)]
        )
    )
    page.fill("#text", typed)
    assert names(page) == ["cap"]


def test_the_command_of_a_scene_is_copied(page: Page, tmp_path: Path) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    with opened(page, tmp_path / "store"):
        page.locator("button.copy").nth(1).click()
        expect(page.locator("button.copy span").nth(1)).to_have_text("copied")
        copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "topview-pipeline choose 'red mug' 2"


@pytest.mark.parametrize("width", [360, 500, 1400])
def test_nothing_is_wider_than_the_window(page: Page, tmp_path: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    long = product_report(
        "a-product-" + "with-a-long-name-" * 8, script="Donaudampfschifffahrt" * 8
    )
    page.goto(gallery_beside(tmp_path / "store", [long, *PRODUCTS]))
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_thousand_products_show_their_first_content_within_three_seconds(
    page: Page, tmp_path: Path
) -> None:
    products = [
        product_report(f"product-{number}", script="Buy it. " * 12) for number in range(1000)
    ]
    page.goto(gallery_beside(tmp_path / "store", products))
    until(page, "performance.getEntriesByName('first-contentful-paint').length > 0")
    painted, ready = page.evaluate(
        """[performance.getEntriesByName('first-contentful-paint')[0].startTime,
            performance.getEntriesByType('navigation')[0].loadEventEnd]"""
    )
    assert painted < 3000, painted
    assert ready < 10_000, ready
    asked = page.evaluate("performance.getEntriesByType('resource').length")
    assert asked < 200, "pictures out of sight are loaded"
    page.fill("#text", "product-999")
    assert names(page) == ["product-999"]
