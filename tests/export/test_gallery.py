"""The page: nothing of a product's texts becomes markup, every link leads somewhere, it is fast."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import shlex
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.export.reports import ALL_FILES, product_report
from tests.export.shop import REFUSED, Shop
from topview_pipeline.export import ProductReport, Report, write_gallery
from topview_pipeline.export.gallery import card_of, render
from topview_pipeline.stages import SCENE
from topview_pipeline.store import Artifact, Store

NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></script><!-- {{ 7 * 7 }} {% raw %}",
    "javascript:alert(1)",
]
FAILED: Any = {"statuses": ("done", "done", "failed")}


class Page(HTMLParser):
    """A page as a browser sees it: its elements, its scripts, and the text outside of them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text, self.script, self._inside = "", "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.script += data
        else:
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def links(self) -> set[str]:
        named = [
            found.get(name) for _, found in self.tags for name in ("href", "src", "data-poster")
        ]
        return {found for found in named if found and found != "data:,"}


_FOLDER: Final = TemporaryDirectory()
"""Where small copies of photos go, for pages that no test looks at in a folder of its own."""


def link(file: Artifact) -> str:
    return f"media/{file.path}"


def page_of(*products: ProductReport) -> Page:
    cards = [card_of(one, Path(_FOLDER.name), "topview-pipeline") for one in products]
    return Page(render(cards, link, title="Videos", now=0.0))


def written(folder: Path, **product: Any) -> str:
    report = Report((product_report(**product),))
    return write_gallery(report, folder, link, title="Videos", now=0.0).read_text(encoding="utf-8")


@pytest.mark.parametrize("text", NASTY)
def test_a_products_name_script_and_trouble_are_text_and_nothing_else(text: str) -> None:
    nasty = page_of(product_report(text, script=text, what=text, fix=text, **FAILED))
    good = page_of(product_report("mug", script="x", what="x", fix="y", **FAILED))
    assert [tag for tag, _ in nasty.tags] == [tag for tag, _ in good.tags]
    assert nasty.script == good.script
    assert not [name for _, found in nasty.tags for name in found if name.startswith("on")]
    assert text in nasty.text
    assert all(found.startswith("media/") for found in nasty.links)


@given(st.text(min_size=1, max_size=30))
def test_no_text_at_all_changes_what_the_page_is_made_of(text: str) -> None:
    text = text.replace("\x00", "")
    page, plain = page_of(product_report(f"a{text}", script=f"a{text}")), page_of(product_report())
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]


def test_only_the_pages_own_script_may_run_and_nothing_comes_from_a_network() -> None:
    page = page_of(product_report())
    digest = base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
    (policy,) = [found["content"] for found in page.all("meta") if "http-equiv" in found]
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert all("src" not in found for found in page.all("script"))
    assert all(found.startswith("media/") for found in page.links)


@pytest.mark.parametrize("product_id", ["mug", "it's a mug", "-f", "--why", "-", "a b; rm -rf /"])
def test_the_command_of_each_scene_can_be_pasted_into_a_shell(product_id: str) -> None:
    page = page_of(product_report(product_id))
    dashes = ["--"] if product_id.startswith("-") else []
    assert [shlex.split(found["data-copy"]) for found in page.all("button")] == [
        ["topview-pipeline", "choose", *dashes, product_id, number] for number in ("1", "2")
    ]


@pytest.mark.parametrize(
    ("one", "status"),
    [
        (product_report(), "done"),
        (product_report(**FAILED), "failed"),
        (product_report(statuses=("done", "held", "new")), "held"),
        (product_report(statuses=("done", "done", "pending")), "pending"),
        (product_report(statuses=("done", "new", "new")), "new"),
        (product_report(refused="silence"), "failed"),
        (replace(product_report(), row_problem="line 3: bad"), "failed"),
    ],
)
def test_the_filters_know_the_status_of_a_product(one: ProductReport, status: str) -> None:
    (card,) = page_of(one).all("article")
    assert card["data-status"] == status


def test_a_trouble_is_shown_with_its_fix_and_found_by_the_text_filter() -> None:
    held = product_report(statuses=("done", "done", "held"), what="an answer was lost", fix="ask")
    page = page_of(replace(held, row_problem="line 3: no such mode"))
    for words in ("Video held.", "An answer was lost", "ask", "Row cannot be used."):
        assert words in page.text
    assert "no such mode" in page.all("article")[0]["data-search"].casefold()


def test_a_video_that_is_kept_back_for_its_older_scene_says_so_once(shop: Shop) -> None:
    mug = shop.product()
    shop.run([mug])
    shop.refuse(shop.row(mug, SCENE))
    assert page_of(shop.look(mug)).text.count(REFUSED.why) == 1
    shop.again(mug, SCENE)  # which is good
    page = page_of(shop.look(mug))
    assert page.text.count(REFUSED.why) == 1
    assert "Video not exported." in page.text
    assert "There is a newer one: make finishedVideo again." in page.text


def test_the_image_in_the_video_is_marked_and_a_choice_is_announced(shop: Shop) -> None:
    mug = shop.product()
    shop.run([mug])
    shop.choose(mug, 2)
    page = page_of(shop.look(mug))
    classes = [found.get("class", "") for found in page.all("figure")]
    assert [one for one in classes if "scene" in one] == ["scene used", "scene chosen"]
    assert "Image 2 was chosen since." in page.text
    shop.run([mug])
    assert "was chosen since" not in page_of(shop.look(mug)).text


def test_every_link_of_a_page_beside_a_local_store_leads_to_a_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store of ours #1"))
    photo = tmp_path / "photo.jpg"
    Image.new("RGB", (3000, 2000), "teal").save(photo)
    names = ["mug", "ünïcode & co", "50% off"]
    for product_id in names:
        folder = Path(store.location, "account", product_id)
        folder.mkdir(parents=True)
        for name in ALL_FILES:
            (folder / name).touch()
    report = Report(tuple(product_report(name, image=str(photo)) for name in names))
    folder = tmp_path / "pages" / "today"

    def beside(file: Artifact) -> str:
        return store.address(file, beside=folder)

    page = write_gallery(report, folder, beside, title="Videos", now=0.0)

    links = Page(page.read_text(encoding="utf-8")).links
    assert len(links) == 1 + 3 * 5
    assert [found for found in links if not (folder / unquote(found)).is_file()] == []
    with Image.open(folder / next(found for found in links if "photos/" in found)) as small:
        assert max(small.size) <= 480
    assert [path.name for path in folder.rglob("*.part")] == []


@pytest.mark.parametrize(
    ("image", "is_shown"),
    [
        ("https://shop.example/mug.jpg", True),
        ("https://shop.example/mug.jpg?signature=secret", False),
        ("https://user:password@shop.example/mug.jpg", False),
        ("s3://bucket/mug.jpg", False),
        ("/nowhere/mug.jpg", False),
    ],
)
def test_a_photo_elsewhere_is_shown_only_when_its_address_may_be_passed_on(
    tmp_path: Path, image: str, is_shown: bool
) -> None:
    text = written(tmp_path, image=image)
    assert (image in text) == is_shown
    assert "secret" not in text
    assert "password" not in text


def bomb(path: Path) -> None:
    """Pillow refuses it by an error that is no OSError."""
    Image.new("1", (20000, 10000)).save(path, "PNG")


def bad_chunk(path: Path) -> None:
    """A PNG at which Pillow raises SyntaxError."""
    file = io.BytesIO()
    Image.effect_noise((60, 60), 60).save(file, "PNG")
    path.write_bytes(file.getvalue().replace(b"IDAT", b"\x00\x01\x02\x03", 1))


@pytest.mark.parametrize("make", [bomb, bad_chunk, lambda path: path.write_bytes(b"no picture")])
def test_a_photo_that_cannot_be_read_leaves_the_page_whole(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "photo.png")
    text = written(tmp_path / "out", image=str(tmp_path / "photo.png"))
    assert "no picture here" in text


def test_a_photo_that_cannot_be_copied_is_no_fault_of_the_photo(tmp_path: Path) -> None:
    """A full disk says so; the page would lack every photo, and nobody would know why."""
    Image.new("RGB", (30, 20), "teal").save(tmp_path / "photo.png")
    (tmp_path / "photos").write_text("a file in the way", encoding="utf-8")
    with pytest.raises(OSError, match="photos"):
        written(tmp_path, image=str(tmp_path / "photo.png"))


def test_a_thousand_products_are_rendered_in_under_a_second() -> None:
    products = [product_report(f"product-{number}") for number in range(1000)]
    render([], link, title="Videos", now=0.0)  # the template is compiled once
    began = time.process_time()
    cards = [card_of(one, Path(_FOLDER.name), "topview-pipeline") for one in products]
    text = render(cards, link, title="Videos", now=0.0)
    assert time.process_time() - began < 1.0
    assert text.count("<article") == 1000
    assert not re.search(r"<video|autoplay|preload", text.split("<script>")[0])
    assert "content-visibility: auto" in text
    assert all('loading="lazy"' in image for image in re.findall(r"<img [^>]*>", text))
