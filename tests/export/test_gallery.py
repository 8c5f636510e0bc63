"""The page: products' texts stay data, links lead somewhere, and it says what is the case."""

import base64
import gzip
import hashlib
import io
import json
import os
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from PIL import Image

from tests.export.conftest import REFUSED, Shop
from tests.export.reports import ALL_FILES, product_report, row
from topview_pipeline.export import Gallery, ProductReport, Report, Wait, read_past
from topview_pipeline.export.report import Past
from topview_pipeline.export.thumbs import THUMBS
from topview_pipeline.media import Outcome, Verdict
from topview_pipeline.stages import CUT_OUT, SCENE, VIDEO, data_version
from topview_pipeline.store import Artifact, Store

NASTY = [
    "<script>alert(1)</script>",
    "' onmouseover='alert(1)",
    "</style></script><!-- {{ 7 * 7 }} {% raw %}",
    "javascript:alert(1)",
]
FAILED: Any = {"statuses": ("done", "done", "failed")}


class Page(HTMLParser):
    """A page as a browser sees it: its elements, and the text in each of its scripts and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, str] = {}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append((tag, found))
        self._inside = found.get("id", tag)

    def handle_data(self, data: str) -> None:
        self.texts[self._inside] = self.texts.get(self._inside, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(self.texts["data"])))
        return found

    @property
    def policy(self) -> str:
        return next(found["content"] for _, found in self.tags if "http-equiv" in found)


def link(file: Artifact) -> str:
    return f"media/{file.path}"


def gallery(*products: ProductReport, **options: Any) -> Gallery:
    return Gallery(Report(products), link, title="Videos", now=0.0, **options)


def record(one: ProductReport, **options: Any) -> dict[str, Any]:
    """The page's fields of one product."""
    (found,) = gallery(one, **options).data(frozenset())["products"]
    return dict(found)


def pictures(found: Any) -> list[str]:
    """Every address in a part of the page's data."""
    if isinstance(found, str):
        return [found] if re.match(r"(media|thumbs|\.\.|https?:)", found) else []
    values = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    return [address for part in values for address in pictures(part)]


@pytest.mark.parametrize("text", NASTY)
def test_a_products_texts_are_data_and_nothing_else(text: str) -> None:
    nasty = Page(gallery(product_report(text, script=text, what=text, fix=text, **FAILED)).html())
    good = Page(gallery(product_report("mug", script="x", what="x", fix="y", **FAILED)).html())
    assert [tag for tag, _ in nasty.tags] == [tag for tag, _ in good.tags]
    assert nasty.texts["script"] == good.texts["script"]
    (said,) = nasty.data["products"]
    assert (said["id"], said["script"]) == (text, text)
    assert text.casefold() in said["notes"][0][2].casefold()


def test_only_the_pages_own_script_and_style_count_and_nothing_comes_from_a_network() -> None:
    page = Page(gallery(product_report()).html())
    for name in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(page.texts[name].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in page.policy
    assert "default-src 'none'" in page.policy
    assert "unsafe" not in page.policy
    assert not re.search(
        r"innerHTML|insertAdjacentHTML|document\.write|eval\(", page.texts["script"]
    )


WAIT = {"mug": Wait("the scene waits for a person", 0.5)}


@pytest.mark.parametrize(
    ("one", "waiting", "status"),
    [
        (product_report(), {}, "done"),
        (product_report(**FAILED), {}, "failed"),
        (product_report(statuses=("done", "held", "new")), {}, "held"),
        (product_report(statuses=("done", "done", "pending")), {}, "pending"),
        (product_report(statuses=("done", "new", "new")), {}, "new"),
        (product_report(statuses=("done", "done", "new")), WAIT, "waiting"),
        (product_report(refused="silence"), {}, "failed"),
        (replace(product_report(), row_problem="line 3: bad"), WAIT, "failed"),
    ],
)
def test_each_product_has_one_status(one: ProductReport, waiting: Any, status: str) -> None:
    assert record(one, waiting=waiting)["status"] == status


def test_one_cause_is_said_once_where_it_arose() -> None:
    """The cut-out failed; that scenes and video were not tried says nothing new."""
    failed = product_report(statuses=("failed", "failed", "failed"), what="follows")
    first = replace(failed.stages["bgRemovedImage"], what="no such file", fix="fix the path")
    one = replace(failed, stages={**failed.stages, "bgRemovedImage": first})
    assert record(one)["notes"] == [["failed", "Cut-out: failed", "No such file", "Fix the path"]]


def test_a_warning_of_a_check_is_seen() -> None:
    quality = Verdict(Outcome.DOUBTFUL, "It is silent.", "Listen to it.").to_json()
    one = product_report()
    one.behind[VIDEO.key] = row(VIDEO.key, "mug", quality=quality)  # type: ignore[index]
    found = record(one)
    assert (found["status"], found["warning"]) == ("done", "Video: It is silent.")


def test_a_decision_is_about_the_result_that_is_shown() -> None:
    one = product_report()
    scene = one.stages[SCENE.key].task
    assert scene is not None
    found = record(one, waiting=WAIT)
    assert (found["about"], found["version"]) == ("scene", data_version(scene.fingerprint)[:12])
    assert found["costs"] == [0.5, 1.5]
    cut_out = record(product_report(statuses=("done", "new", "new")))
    assert (cut_out["about"], cut_out["costs"]) == ("cut-out", [None, None])
    assert "version" not in record(product_report(statuses=("new", "new", "new")))


def test_a_video_that_is_kept_back_for_its_older_scene_says_so_once(shop: Shop) -> None:
    mug = shop.product()
    shop.run([mug])
    shop.refuse(shop.row(mug, SCENE))
    assert str(record(shop.look(mug))["notes"]).count(REFUSED.why) == 1
    shop.again(mug, SCENE)  # which is good
    notes = record(shop.look(mug))["notes"]
    assert str(notes).count(REFUSED.why) == 1
    assert notes[0][1] == "The video is not exported"


def test_a_person_has_the_last_word_on_what_is_exported(shop: Shop) -> None:
    """An approved scene was paid and never exported; a video of a rejected one went to the shop."""
    mug = shop.product()
    shop.run([mug])
    scene = shop.row(mug, SCENE)
    shop.refuse(shop.row(mug, CUT_OUT))
    shop.refuse(scene)
    shop.decide(mug, CUT_OUT, "approved")
    assert "failed its check" in str(shop.look(mug).refusal)
    shop.decide(mug, SCENE, "approved")
    found = shop.look(mug)
    assert (found.refusal, record(found)["status"]) == (None, "done")
    assert shop.publish(mug).videos == 1
    shop.decide(mug, SCENE, "rejected")
    found = shop.look(mug)
    assert "review --again mug" in str(found.refusal)
    assert record(found)["status"] == "failed"
    assert "rejected the scene" in shop.publish(mug).left_out["mug"]
    shop.again(mug, SCENE)
    assert "remake the video" in str(shop.look(mug).refusal)


def test_choices_remakes_and_decisions_are_in_the_past_with_all_they_cost(shop: Shop) -> None:
    mug = shop.product()
    shop.run([mug])
    first = shop.row(mug, VIDEO)
    shop.choose(mug, 2)
    found = record(shop.look(mug))
    assert (found["chosen"], found["used"], found["decision"]) == (2, 1, "approved")
    shop.run([mug])
    shop.again(mug, VIDEO)
    report = shop.report(mug)
    past = read_past(report, shop.ledger)
    found = record(report.products[0], past=past)
    assert (found["chosen"], found["used"]) == (2, 2)
    assert found["paid"] > found["credits"]
    (total,) = {round(one.credits, 2) for one in past.values()}
    assert total == found["paid"]
    assert past["mug"].credits_today == past["mug"].credits
    assert [address for _, address, _ in found["before"]][-1] == link(
        next(one for one in map(Artifact.from_json, first.artifacts or ()) if "mp4" in one.name)
    )
    said = [what for _, what in found["history"]]
    assert "Scene 2 chosen by ann" in said
    assert sum(what.startswith("Video made") for what in said) == 3


def test_every_link_of_a_page_beside_a_local_store_leads_to_a_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store of ours #1"))
    photo = tmp_path / "photo.jpg"
    Image.effect_noise((1080, 1920), 60).convert("RGB").save(photo)
    names = ["mug", "ünïcode & co", "50% off"]
    for product_id in names:
        folder = Path(store.location, "account", product_id)
        folder.mkdir(parents=True)
        for name in ALL_FILES:
            (folder / name).hardlink_to(photo)
    report = Report(tuple(product_report(name, image=str(photo)) for name in names))
    folder = tmp_path / "pages" / "today"

    def beside(file: Artifact) -> str:
        return store.address(file, beside=folder)

    page = Gallery(report, beside, "Videos", 0.0, store).write(folder)

    links = set(pictures(Page(page.read_text(encoding="utf-8")).data["products"]))
    assert [found for found in links if not (folder / unquote(found)).is_file()] == []
    thumbs = [found for found in links if found.startswith(THUMBS)]
    assert len(thumbs) == 1 + 3 * 3, "the photo is one for three"
    assert max((folder / found).stat().st_size for found in thumbs) < 50_000, "two are on a card"
    assert [path.name for path in folder.rglob("*.part")] == []


@pytest.mark.parametrize(
    ("image", "is_shown"),
    [
        ("https://shop.example/mug.jpg", True),
        ("https://shop.example/mug.jpg?signature=secret", False),
        ("https://user:password@shop.example/mug.jpg", False),
        ("https://:password@shop.example/mug.jpg", False),
        ("s3://bucket/mug.jpg", False),
        ("/nowhere/mug.jpg", False),
    ],
)
def test_a_photo_elsewhere_is_shown_only_when_its_address_may_be_passed_on(
    image: str, is_shown: bool
) -> None:
    assert record(product_report(image=image)).get("photo") == ([image] if is_shown else None)


def bomb(path: Path) -> None:
    """Pillow refuses it by an error that is no OSError."""
    Image.new("1", (20_000, 10_000)).save(path)


def bad_chunk(path: Path) -> None:
    """A PNG at which Pillow raises SyntaxError."""
    file = io.BytesIO()
    Image.effect_noise((60, 60), 60).save(file, "PNG")
    path.write_bytes(file.getvalue().replace(b"IDAT", b"\x00\x01\x02\x03", 1))


@pytest.mark.parametrize(
    "make", [bomb, bad_chunk, os.mkfifo, lambda path: path.write_bytes(b"no picture")]
)
def test_a_photo_that_cannot_be_read_leaves_the_page_whole(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "photo.png")
    page = gallery(product_report(image=str(tmp_path / "photo.png"))).write(tmp_path / "out")
    (found,) = Page(page.read_text(encoding="utf-8")).data["products"]
    assert "photo" not in found


def test_a_thumbnail_that_cannot_be_written_is_no_fault_of_the_photo(tmp_path: Path) -> None:
    """A full disk says so; the page would lack every photo, and nobody would know why."""
    (tmp_path / THUMBS).write_text("a file in the way", encoding="utf-8")
    with pytest.raises(OSError, match=THUMBS):
        gallery(product_report()).write(tmp_path)


def test_the_page_of_a_thousand_products_is_small_and_takes_a_moment() -> None:
    """Ten thousand are under 3 MB, then."""
    products = tuple(
        product_report(f"product-{number}", script=f"{number} cups of coffee, " * 6)
        for number in range(1000)
    )
    past = {one.product_id: Past(credits=2.5) for one in products}
    began = time.process_time()
    text = Gallery(Report(products), link, "Videos", 0.0, past=past).html()
    assert time.process_time() - began < 2.0
    assert len(text) < 300_000
