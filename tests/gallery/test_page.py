"""The page: nothing of a product's texts becomes markup, every link leads somewhere, it is fast."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import shlex
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.portfolios import shown
from topview_pipeline.artifacts import ArtifactStore
from topview_pipeline.artifacts.addresses import at, beside, public
from topview_pipeline.cli.choose import choose
from topview_pipeline.gallery import card_of, render, write_gallery
from topview_pipeline.portfolio import ProductShown

NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></script><!-- {{ 7 * 7 }} {% raw %}",
    "javascript:alert(1)",
]


class Page(HTMLParser):
    """What a browser makes of the page: its elements, and the text outside of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.said: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        (self.scripts if self._inside == "script" else self.said).append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def links(self) -> set[str]:
        names = ("href", "src", "data-poster")
        return {
            found[name]
            for tag, found in self.tags
            for name in names
            if tag != "link" and found.get(name)
        }


def page_of(*portfolio: ProductShown) -> Page:
    cards = [card_of(one, at("media"), None) for one in portfolio]
    return Page(render(cards, title="Videos", now=0.0))


def plain(page: Page) -> list[str]:
    """The elements of a page, without what hangs on the texts."""
    return [tag for tag, _ in page.tags]


@pytest.mark.parametrize("text", NASTY)
def test_a_products_name_script_and_trouble_are_text_and_nothing_else(text: str) -> None:
    nasty = page_of(
        shown(text, script=text, outcomes=("done", "done", "failed"), what=text, mend=text)
    )
    good = page_of(
        shown("mug", script="x", outcomes=("done", "done", "failed"), what="x", mend="y")
    )
    assert plain(nasty) == plain(good)
    assert nasty.scripts == good.scripts
    for _, attributes in nasty.tags:
        assert not [name for name in attributes if name.startswith("on")]
    assert text in "".join(nasty.said)
    assert not [link for link in nasty.links if link.startswith("javascript:")]


@given(st.text(min_size=1, max_size=30))
def test_no_text_at_all_changes_what_the_page_is_made_of(text: str) -> None:
    text = text.replace("\x00", "")
    assert plain(page_of(shown(f"a{text}", script=f"a{text}"))) == plain(
        page_of(shown("mug", script="x"))
    )


def test_only_the_pages_own_script_may_run() -> None:
    text = render([], title="Videos", now=0.0)
    (script,) = Page(text).scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [
        found["content"]
        for found in Page(text).all("meta")
        if found.get("http-equiv") == "Content-Security-Policy"
    ]
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_the_page_needs_nothing_from_a_network() -> None:
    page = page_of(shown("mug"))
    assert [found["href"] for found in page.all("link")] == ["data:,"]
    assert all("src" not in found for found in page.all("script"))
    assert all(link.startswith("media/") for link in page.links)


@pytest.mark.parametrize("product_id", ["mug", "it's a mug", "-f", "--why", "-", "a b; rm -rf /"])
def test_the_command_of_each_scene_can_be_pasted_into_a_shell(product_id: str) -> None:
    page = page_of(shown(product_id))
    commands = [shlex.split(found["data-copy"]) for found in page.all("button")]
    assert [one[:2] for one in commands] == [["topview-pipeline", "choose"]] * 2
    read = [choose.make_context("choose", one[2:]).params for one in commands]
    assert read == [{"product": product_id, "image": n, "why": ""} for n in (1, 2)]


def test_the_image_that_is_in_the_video_is_marked() -> None:
    classes = [found.get("class", "") for found in page_of(shown("mug")).all("figure")]
    assert [one for one in classes if "scene" in one] == ["scene used", "scene"]


@pytest.mark.parametrize(
    ("one", "outcome"),
    [
        (shown("a"), "done"),
        (shown("a", outcomes=("done", "done", "failed")), "failed"),
        (shown("a", outcomes=("done", "held", "held")), "held"),
        (shown("a", outcomes=("done", "done", "pending")), "pending"),
        (shown("a", outcomes=("done", "new", "new")), "new"),
        (shown("a", refused="silence"), "failed"),
    ],
)
def test_the_filters_know_how_a_product_stands(one: ProductShown, outcome: str) -> None:
    (card,) = page_of(one).all("article")
    assert card["data-outcome"] == outcome


def test_every_link_of_a_page_beside_a_local_store_leads_to_a_file(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "artefacts of ours #1"))
    names = ["mug", "ünïcode & co", "50% off"]
    photo = tmp_path / "photo.jpg"
    Image.new("RGB", (3000, 2000), "teal").save(photo)
    portfolio = [shown(name, image=str(photo), product_image_file_id=None) for name in names]
    for one in portfolio:
        for name in ("cutout.png", "scene_1.png", "scene_2.png", "video.mp4", "cover.jpg"):
            path = Path(store.root, "account", one.product_id, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    folder = tmp_path / "pages" / "today"

    page = write_gallery(portfolio, folder, beside(store, folder), title="Videos", now=0.0)

    links = Page(page.read_text(encoding="utf-8")).links
    assert len(links) == 1 + 3 * 5
    assert [link for link in links if not (folder / unquote(link)).is_file()] == []
    with Image.open(folder / next(link for link in links if "photos/" in link)) as small:
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
    one = shown("mug", image=image, product_image_file_id=None)
    page = write_gallery([one], tmp_path, at("media"), title="Videos", now=0.0)
    text = page.read_text(encoding="utf-8")
    assert (image in text) == is_shown
    assert "secret" not in text
    assert "password" not in text


def test_a_photo_that_is_no_picture_leaves_the_page_whole(tmp_path: Path) -> None:
    broken = tmp_path / "photo.jpg"
    broken.write_bytes(b"no picture")
    one = shown("mug", image=str(broken), product_image_file_id=None)
    page = write_gallery([one], tmp_path / "out", at("media"), title="Videos", now=0.0)
    assert "no picture here" in page.read_text(encoding="utf-8")


def test_a_photo_with_more_pixels_than_any_photo_leaves_the_page_whole(tmp_path: Path) -> None:
    """Pillow refuses it as a bomb, by an error that is no OSError."""
    bomb = tmp_path / "photo.png"
    Image.new("1", (20000, 10000)).save(bomb)
    broken = tmp_path / "broken.png"
    broken.write_bytes(_with_a_bad_chunk())
    portfolio = [
        shown(path.stem, image=str(path), product_image_file_id=None) for path in (bomb, broken)
    ]
    page = write_gallery(portfolio, tmp_path / "out", at("media"), title="Videos", now=0.0)
    assert page.read_text(encoding="utf-8").count("no picture here") == 2


def _with_a_bad_chunk() -> bytes:
    """A PNG at which Pillow raises SyntaxError."""
    file = io.BytesIO()
    Image.effect_noise((60, 60), 60).save(file, "PNG")
    return file.getvalue().replace(b"IDAT", b"\x00\x01\x02\x03", 1)


def test_a_photo_that_cannot_be_copied_is_no_fault_of_the_photo(tmp_path: Path) -> None:
    """A full disk says so; the page would lack every photo, and nobody would know why."""
    photo = tmp_path / "photo.png"
    Image.new("RGB", (30, 20), "teal").save(photo)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "photos").write_text("a file in the way", encoding="utf-8")
    one = shown("mug", image=str(photo), product_image_file_id=None)
    with pytest.raises(OSError, match="photos"):
        write_gallery([one], tmp_path / "out", at("media"), title="Videos", now=0.0)


def test_a_remote_store_is_shown_below_the_url_that_serves_it() -> None:
    store = ArtifactStore("memory://bucket")
    (file,) = [one for one in [shown("mug").scene] if one is not None]
    assert public(store, "https://cdn.example/videos")(file) == (
        "https://cdn.example/videos/account/mug/scene_1.png"
    )
    assert public(store, None)(file) == store.uri(file)


def test_a_thousand_products_are_rendered_in_under_a_second() -> None:
    portfolio = [shown(f"product-{number}") for number in range(1000)]
    render([], title="Videos", now=0.0)  # the template is compiled once
    began = time.process_time()
    text = render([card_of(one, at("media"), None) for one in portfolio], title="V", now=0.0)
    assert time.process_time() - began < 1.0
    assert text.count("<article") == 1000
    assert not re.search(r"<video|autoplay|preload", text.split("<script>")[0])
    assert "content-visibility: auto" in text
    images = re.findall(r"<img [^>]*>", text)
    assert images
    assert all('loading="lazy"' in image for image in images)
