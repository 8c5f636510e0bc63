"""The gallery in a real browser: what people see of it, and how they review with it."""

from __future__ import annotations

import hashlib
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.media import write_media
from tests.export.reports import product_report, row
from topview_pipeline.cli.console import CannotStart
from topview_pipeline.cli.server import MEDIA, GalleryFolder, serving
from topview_pipeline.defs.decisions import Decisions
from topview_pipeline.export import SERVED_FILE, Gallery, ProductReport, Report, Wait
from topview_pipeline.export.report import Past
from topview_pipeline.ledger.history import TaskEvent
from topview_pipeline.media import Outcome, Verdict
from topview_pipeline.stages import VIDEO
from topview_pipeline.store import Artifact, Store

pytestmark = pytest.mark.slow

_PATIENCE_SECONDS: Final = 20.0
expect.set_options(timeout=_PATIENCE_SECONDS * 1000)
_WAIT: Final = Wait("The scene waits for a person", 0.5)


def warned(product_id: str) -> ProductReport:
    found = product_report(product_id, script="Warm wool.")
    quality = Verdict(Outcome.DOUBTFUL, "Nobody speaks in it.", "").to_json()
    return replace(found, behind={VIDEO.key: row(VIDEO.key, product_id, quality=quality)})


def chosen(product_id: str) -> ProductReport:
    found = product_report(product_id, script="Dry feet.")
    first, second = found.scenes
    return replace(found, scenes=(first, replace(second, is_chosen=True)))


PRODUCTS = [
    product_report("red mug", script="Hot coffee."),
    product_report("blue shoe", script="Run, run, run."),
    product_report("scarf", statuses=("done", "done", "new"), script="Soft."),
    product_report("glove", statuses=("done", "done", "new"), script="Warm."),
    product_report("hat", statuses=("done", "done", "failed"), what="no face was found"),
    product_report("belt", statuses=("done", "held", "held")),
    product_report("ring", statuses=("done", "new", "new")),
    warned("jumper"),
    chosen("boot"),
]
PAST = {
    "red mug": Past(
        (row(VIDEO.key, "red mug", stored_at=100.0),),
        (TaskEvent(150.0, "rejected", "ann", {"why": "the lid is gone"}),),
        credits=3.5,
        credits_today=1.0,
    )
}


def page_of(root: Path, products: list[ProductReport], **options: Any) -> Gallery:
    report = Report(tuple(products))
    write_media(root, report)
    waits = {
        one.product_id: _WAIT for one in products if one.product_id in ("scarf", "glove")
    } | options.pop("waiting", {})
    options = {"title": "Videos", "now": 1.7e9, "past": PAST, "waiting": waits, **options}
    return Gallery(report, store=Store(str(root)), **options)


def beside(root: Path, products: list[ProductReport] = PRODUCTS, **options: Any) -> str:
    """A page that is opened as a file, next to the store."""
    folder, store = root.parent / "gallery", Store(str(root))
    found = page_of(root, products, link=lambda file: store.address(file, beside=folder), **options)
    return found.write(folder).as_uri()


@contextmanager
def served(page: Page, root: Path, taken: list[str]) -> Iterator[str]:
    """The gallery of a server, which the page leaves before the server ends: pictures that still
    load then would count as errors of the page."""
    folder, store = root.parent / "gallery", Store(str(root))
    found = page_of(root, PRODUCTS, link=lambda file: store.address(file, base_url=MEDIA))

    def take(text: str) -> str:
        if "refuse me" in text:
            raise CannotStart("1 result changed since you looked")
        taken.append(text)
        return Decisions.listed(text.split("\n")).summary

    gallery = GalleryFolder(folder, lambda: found.write(folder, SERVED_FILE), take)
    with serving(root, gallery=gallery) as url:
        page.goto(f"{url}#token={gallery.token}")
        expect(page.locator(".card").first).to_be_visible()
        try:
            yield url
        finally:
            page.goto("about:blank")


def names(page: Page) -> list[str]:
    """The products on the sheet."""
    return page.locator(".card .name").all_text_contents()


def opened(page: Page, address: str) -> None:
    """Load a page and wait for its products."""
    page.goto("about:blank")  # another address of the same page would not load it again
    page.goto(address)
    until(page, "document.querySelectorAll('.cell').length > 0 || !byId('empty').hidden")


def until(page: Page, condition: str) -> None:
    """Wait for a condition; Playwright's own waiting evaluates strings, which the page forbids."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(50)


def kept(page: Page) -> list[str]:
    """The list of decisions as the clipboard gets it."""
    found: str = page.evaluate("listed()")
    return [line.rpartition("\t")[0] for line in found.splitlines() if line]


# Seeing.


def test_the_sheet_shows_states_counts_and_sums_and_filters_by_chips(
    page: Page, tmp_path: Path
) -> None:
    opened(page, beside(tmp_path / "store"))
    assert len(names(page)) == 9
    expect(page.locator("#sums")).to_have_text("9 products · 3.50 credits in all · 1 credit today")
    chips = dict(text.rsplit(" ", 1) for text in page.locator(".chip").all_inner_texts())
    assert chips == {
        "all": "9",
        "waiting": "2",
        "failed": "1",
        "on hold": "1",
        "not made yet": "1",
        "finished": "4",
        "warnings": "1",
        "chosen, not in the video yet": "1",
    }
    for words, found in (("waiting", ["scarf", "glove"]), ("chosen, not", ["boot"])):
        page.get_by_role("button", name=words).first.click()
        assert names(page) == found
    page.go_back()
    assert names(page) == ["scarf", "glove"], "a filter has an address"
    page.get_by_role("button", name="all 9").click()
    page.select_option("#sort", "need")
    assert names(page)[:3] == ["scarf", "glove", "hat"]
    # The reason stands where a picture would; nothing is an empty box.
    expect(page.locator(".card", has_text="hat").locator(".reason")).to_contain_text("No face was")


def test_a_product_has_an_address_and_shows_its_past(page: Page, tmp_path: Path) -> None:
    address = beside(tmp_path / "store", dagster="http://127.0.0.1:1/assets/v?partition=")
    opened(page, f"{address}#product=red+mug&show=done")
    view = page.locator("#view")
    expect(view.locator("h2")).to_have_text("red mug")
    expect(view).to_contain_text("1 of 4")
    expect(view.locator(".scene")).to_have_count(2)
    expect(view).to_contain_text("With remakes3.50 credits")
    view.get_by_text("History").click()
    expect(view.locator(".history")).to_contain_text("Rejected by ann: the lid is gone")
    expect(view.get_by_text("The video before, of 1970-01-01 00:01 UTC")).to_be_visible()
    download = view.get_by_text("Download the video")
    assert download.get_attribute("download") == "red mug.mp4"
    to_dagster = view.get_by_text("Open in Dagster").get_attribute("href")
    assert to_dagster == "http://127.0.0.1:1/assets/v?partition=red%20mug"
    page.keyboard.press("ArrowRight")
    expect(view.locator("h2")).to_have_text("blue shoe")
    page.wait_for_url("**product=blue+shoe**")
    page.keyboard.press("Escape")
    expect(view).to_be_hidden()
    until(page, "document.activeElement.innerText.startsWith('blue shoe')")


def test_a_video_plays_large_and_on_hover_from_a_file(page: Page, tmp_path: Path) -> None:
    opened(page, beside(tmp_path / "store"))
    page.locator(".card").first.hover()
    until(page, "document.querySelector('.card video')?.currentTime > 0.1")
    page.mouse.move(0, 0)
    expect(page.locator(".card video")).to_have_count(0)
    page.locator(".card").first.click()
    page.evaluate("document.querySelector('#view video').play()")
    until(page, "document.querySelector('#view video').currentTime > 0.3")


def test_a_video_seeks_from_the_server(page: Page, tmp_path: Path) -> None:
    """A server without ranges would begin again at 0."""
    with served(page, tmp_path / "store", []):
        page.locator(".card").first.click()
        until(page, "document.querySelector('#view video').readyState > 0")
        page.evaluate("document.querySelector('#view video').currentTime = 2.5")
        until(page, "document.querySelector('#view video').currentTime >= 2.5")
        until(page, "!document.querySelector('#view video').seeking")


def test_every_picture_is_there_and_cards_load_thumbnails(page: Page, tmp_path: Path) -> None:
    opened(page, beside(tmp_path / "store"))
    assert page.locator("#sheet img").count() >= 9
    until(page, "[...document.images].every((one) => one.complete && one.naturalWidth)")
    sources = page.evaluate("[...document.images].map((one) => one.getAttribute('src'))")
    assert all(source.startswith("thumbs/") for source in sources)
    page.locator(".card").first.click()
    until(page, "[...document.images].every((one) => one.complete && one.naturalWidth)")


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("STRASSE", "Straße"),
        ("STRAẞE", "Straße"),
        ("λογος", "ΛΟΓΟΣ"),
        ("λόγος", "Λόγος"),
        ("ﬁne", "FINE"),
        ("cafe\u0301", "café"),
    ],
)
def test_a_word_is_found_in_any_case(page: Page, tmp_path: Path, typed: str, found: str) -> None:
    """Python folded ß to ss and the page did not: what has one was never found."""
    two = [product_report("mug"), product_report("cap", script=found)]
    opened(page, beside(tmp_path / "store", two))
    page.fill("#find", typed)
    assert names(page) == ["cap"]
    page.fill("#find", "no such thing")
    page.get_by_role("button", name="Clear filters").click()
    assert names(page) == ["mug", "cap"]


def test_the_command_of_a_product_can_be_pasted_into_a_shell(page: Page, tmp_path: Path) -> None:
    opened(page, beside(tmp_path / "store"))
    for name in ("mug", "it's a mug", "-f", "--why", "-", "a b; rm -rf /", "größe", "a\nb"):
        words = shlex.split(page.evaluate("name => remakeCommand(name)", name))
        assert words == ["topview-pipeline", "run", "--force", f"--product={name}"]


@pytest.mark.parametrize(
    ("width", "scheme"), [(390, "light"), (768, "dark"), (1280, "light"), (1280, "dark")]
)
def test_a_phone_a_tablet_and_a_screen_can_be_used_by_everybody(
    page: Page, tmp_path: Path, width: int, scheme: Any
) -> None:
    """No violation that axe-core finds, and nothing is wider than the window."""
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    long = product_report("a-product-" + "with-a-long-name-" * 8, script="Donaudampf" * 16)
    opened(page, beside(tmp_path / "store", [*PRODUCTS, long]))
    page.locator(".card").nth(2).focus()
    page.keyboard.press("a")
    for product in ("", "red mug", "scarf", "hat", long.product_id, "help"):
        page.evaluate("product => product === 'help' ? showHelp() : visit({ product })", product)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


# Reviewing.


def test_decisions_by_keyboard_are_kept_undone_and_handed_over(page: Page, tmp_path: Path) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    address = beside(tmp_path / "store")
    opened(page, f"{address}#show=waiting&product=scarf")
    page.keyboard.press("2")
    expect(page.locator("#view h2")).to_have_text("glove")
    page.keyboard.press("r")
    page.keyboard.type("too dark")
    page.keyboard.press("Enter")
    assert kept(page) == ["choose\tscarf\t2", "reject\tglove\ttoo dark"]
    page.keyboard.press("u")
    assert kept(page) == ["choose\tscarf\t2"]
    page.keyboard.press("m")
    expect(page.locator("#ask")).to_contain_text("for about 1.50 credits. Nothing is spent now.")
    page.keyboard.press("Escape")
    assert kept(page) == ["choose\tscarf\t2"], "a remake is asked for first"
    page.keyboard.press("a")

    opened(page, address)
    expect(page.locator("#tray")).to_contain_text("1 chosen, 1 approved. The next run then spends")
    expect(page.locator("#tray")).to_contain_text("about 1 credit.")
    page.get_by_role("button", name="Copy list").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert [line.split("\t")[:2] for line in copied.splitlines()] == [
        ["choose", "scarf"],
        ["approve", "glove"],
    ]
    found = Decisions.listed(copied.split("\n"))
    assert (found.choose, found.approve) == ({"scarf": 2}, ["glove"])
    assert set(found.versions) == {"scarf", "glove"}


def test_a_new_scene_needs_a_new_decision(page: Page, tmp_path: Path) -> None:
    root = tmp_path / "store"
    opened(page, f"{beside(root)}#product=scarf")
    for _ in range(3):  # held down
        page.keyboard.down("a")
    page.keyboard.up("a")
    assert kept(page) == ["approve\tscarf\t"]
    before = page.evaluate("listed()")
    page.evaluate("gallery.by.get('scarf').version = 'other'; decisions.clear(); recall()")
    assert before.startswith("approve\tscarf")
    assert kept(page) == []


def test_the_served_page_saves_with_its_token_only(page: Page, tmp_path: Path) -> None:
    taken: list[str] = []
    with served(page, tmp_path / "store", taken) as url:
        assert "token" not in page.url, "it is not left in the address, nor in the history"
        page.locator(".card", has_text="scarf").click()
        page.get_by_role("button", name="Use scene 2").click()
        page.keyboard.press("a")
        page.keyboard.press("Escape")
        expect(page.locator("#tray")).to_contain_text("spends about 1 credit")
        assert taken == []
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#tray")).to_contain_text("Saved: 1 approved, 1 chosen")
        assert len(taken) == 1
        assert kept(page) == []

        page.evaluate("decide(gallery.by.get('glove'), 'reject', 'refuse me')")
        errors = page.evaluate("save().then(() => byId('tray').innerText)")
        assert "Not saved: 1 result changed since you looked" in errors
        assert len(kept(page)) == 1, "nothing is lost"
        page.evaluate("storage().clear()")
        opened(page, url)
        assert page.get_by_role("button", name="Save").count() == 0


# A large catalogue.


def as_long_as_real(file: Artifact) -> str:
    """An address of the same picture or video, with as many letters as one with a fingerprint."""
    of_stage = file.path.replace("cover", "video")[:-7]
    name = "video.mp4" if file.name == "video.mp4" else "picture.png"
    return f"../store/{name}?{hashlib.sha256(of_stage.encode()).hexdigest()}"


@pytest.mark.timeout(300)
def test_ten_thousand_products_of_which_a_thousand_wait(page: Page, tmp_path: Path) -> None:
    """The page is small and draws what is seen only; each key decides about one product."""
    products = [
        product_report(
            f"product-{number}",
            statuses=("done", "done", "new" if number < 1000 else "done"),
            script=f"Buy number {number}. " + "It is good for every day of the year. " * 3,
        )
        for number in range(10_000)
    ]
    waiting = {one.product_id: _WAIT for one in products[:1000]}
    gallery = Gallery(
        Report(tuple(products)),
        as_long_as_real,
        "Videos",
        0.0,
        waiting=waiting,
    )
    write_media(tmp_path / "store", Report(()))
    address = gallery.write(tmp_path / "gallery")
    assert address.stat().st_size < 3_000_000
    opened(page, address.as_uri())
    assert page.locator(".cell").count() < 100, "only what is seen is in the document"

    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(page.locator(".cell").last).to_contain_text("product-9999")
    assert page.locator(".cell").count() < 100
    page.fill("#find", "product-9999")
    assert names(page) == ["product-9999"]

    page.set_viewport_size({"width": 480, "height": 480})  # to paint less
    opened(page, f"{address.as_uri()}#show=waiting&product=product-0")
    for number in range(300):
        if number % 10 == 9:
            page.keyboard.press("r")
            if number == 9:
                page.keyboard.type("too dark")
            page.keyboard.press("Enter")  # the reason before is proposed
        else:
            page.keyboard.press("2" if number % 10 == 5 else "a")
    found = Decisions.listed(page.evaluate("listed()").split("\n"))
    assert found.summary == "240 approved, 30 rejected, 30 chosen"
    opened(page, address.as_uri())
    expect(page.locator("#tray")).to_contain_text("240 approved")
