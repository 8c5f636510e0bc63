"""The manifest: a shop imports exactly what may be shown."""

import csv
import io
import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.export.conftest import Shop, catalogue_of
from tests.export.reports import ALL_FILES, artifact, product_report
from topview_pipeline.export import ProductReport, build_report, manifest, publish_manifest
from topview_pipeline.export.manifest import (
    COLUMNS,
    CSV,
    JSONL,
    OUTDATED,
    READY,
    list_videos,
    to_csv,
    to_jsonl,
)
from topview_pipeline.media.probe import MediaDamagedError, MediaInfo
from topview_pipeline.stages import VIDEO
from topview_pipeline.store import Artifact, Store, StoreError


def listed(*products: ProductReport, missing: str = "") -> tuple[list[Any], dict[str, str]]:
    """The rows, and why the rest is left out; the files of this name are gone."""
    names = set(ALL_FILES) - {missing}
    return list_videos(
        products,
        present=frozenset(artifact(name, one.product_id) for one in products for name in names),
        address=lambda one: f"https://shop/{one.path}",
        measure=lambda _: MediaInfo(1080, 1920, 12.5),
    )


def test_a_finished_product_is_listed_with_all_that_a_shop_needs() -> None:
    ((row,), left_out) = listed(product_report())
    assert tuple(row) == COLUMNS
    assert row == {
        "product_id": "mug",
        "status": READY,
        "video": "https://shop/account/mug/video.mp4",
        "video_sha256": artifact("video.mp4").sha256,
        "video_bytes": 1000,
        "duration_seconds": 12.5,
        "width": 1080,
        "height": 1920,
        "poster": "https://shop/account/mug/cover.jpg",
        "scene": "https://shop/account/mug/scene_1.png",
        "cutout": "https://shop/account/mug/cutout.png",
        "mode": "avatar2",
        "credits": 3.0,
        "made_at": "1970-01-01T00:03:20+00:00",
    }
    assert left_out == {}


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (product_report(statuses=("done", "done", "failed"), what="no face"), "no face"),
        (product_report(statuses=("done", "new", "new")), "no finished video"),
        (product_report(refused="the sound is silence"), "the sound is silence"),
        (replace(product_report(statuses=("new",) * 3), row_problem="line 3: bad"), "line 3: bad"),
    ],
)
def test_what_is_not_finished_or_failed_its_check_is_left_out_with_the_reason(
    one: ProductReport, why: str
) -> None:
    rows, left_out = listed(one, product_report("shoe"))
    assert [row["product_id"] for row in rows] == ["shoe"]
    assert why in left_out["mug"]


def test_a_video_that_is_gone_is_left_out_and_a_poster_that_is_gone_is_no_dead_link() -> None:
    _, left_out = listed(product_report(), missing="video.mp4")
    assert left_out == {"mug": "its video is not in the store"}
    ((row,), _) = listed(product_report(), missing="cover.jpg")
    assert row["poster"] is None


@pytest.mark.parametrize("status", ["pending", "held", "failed", "done"])
def test_a_good_video_stays_listed_while_a_newer_one_or_its_row_is_not_there(status: Any) -> None:
    one = product_report()
    stages = {**one.stages, VIDEO.key: replace(one.video, status=status)}
    bad_row = "line 3: no such mode" if status == "done" else None
    ((row,), _) = listed(replace(one, stages=stages, row_problem=bad_row))
    assert row["status"] == OUTDATED


def test_any_name_of_a_product_comes_back_from_both_files() -> None:
    """Line separators and quotes of all alphabets are in names."""
    names = ['he said "5"', "a,b", "two\nlines", "=1+1", "ß", "sep\u2028arator", "\x85"]
    rows, _ = listed(*map(product_report, names))
    text = io.StringIO(to_csv(rows).decode(), newline="")
    assert [row["product_id"] for row in csv.DictReader(text)] == names
    lines = to_jsonl(rows).decode().split("\n")[:-1]
    assert [json.loads(line)["product_id"] for line in lines] == names


# Publishing.


@pytest.fixture(autouse=True)
def probed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were opened to be measured; those of these tests are no videos."""
    opened: list[Path] = []

    def probe(path: Path) -> MediaInfo:
        opened.append(path)
        if len(opened) == 1:
            raise MediaDamagedError("no video in it", str(path))
        return MediaInfo(1080, 1920, 12.5)

    monkeypatch.setattr(manifest, "probe_video", probe)
    return opened


def file_of(shop: Shop, name: str) -> Path:
    return Path(shop.store.location, shop.ledger.account, "manifest", name)


def rows_in(shop: Shop) -> list[dict[str, Any]]:
    lines = file_of(shop, JSONL).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_the_two_files_are_written_and_the_rest_is_named(shop: Shop) -> None:
    mug = shop.product()
    shop.run([mug])
    published = shop.publish(mug, shop.product("shoe"))
    assert (published.videos, published.left_out) == (1, {"shoe": "no finished video"})
    assert published.addresses == {name: file_of(shop, name).as_uri() for name in (CSV, JSONL)}
    (row,) = rows_in(shop)
    assert row["status"] == READY
    assert all(row[name] for name in ("video", "poster", "scene", "cutout", "made_at"))
    assert file_of(shop, CSV).read_text(encoding="utf-8").count("\n") == 2


def test_two_pipelines_of_an_account_publish_each_its_own_products(shop: Shop) -> None:
    """Both have a mug, and neither shop imports the other's video."""
    mug, other_mug, shoe = shop.product(), shop.product(photo="red"), shop.product("shoe")
    acme = shop.other("acme")
    shop.run([mug])
    assert shop.publish(mug).videos == 1
    ours = file_of(shop, JSONL).read_bytes()
    report = build_report(catalogue_of(other_mug, shoe), acme, shop.stages)
    assert {one.status for one in report.products} == {"new"}
    shop.run([other_mug], ledger=acme)
    report = build_report(catalogue_of(other_mug, shoe), acme, shop.stages)
    published = publish_manifest(report, shop.store, acme.account, pipeline="acme", media_url=None)
    assert (published.videos, published.left_out) == (1, {"shoe": "no finished video"})
    own = file_of(shop, JSONL).parent / "acme" / JSONL
    assert published.addresses[JSONL] == own.as_uri()
    assert file_of(shop, JSONL).read_bytes() == ours
    (row,) = [json.loads(line) for line in own.read_text(encoding="utf-8").splitlines()]
    assert row["video"] != rows_in(shop)[0]["video"]


def test_the_version_changes_with_the_content_and_only_then(shop: Shop) -> None:
    mug = shop.product()
    shop.run([mug])
    shop.publish(mug)
    versions = [shop.publish(mug).version]
    shop.later(86400.0)
    assert shop.publish(mug).version == versions[0]
    changed = replace(mug, script="Other words.")
    versions.append(shop.publish(changed).version)
    shop.run([changed])
    versions.append(shop.publish(changed).version)
    assert len(set(versions)) == 3
    assert rows_in(shop)[0]["status"] == READY


def test_a_video_is_measured_once_and_again_only_if_it_could_not_be(
    shop: Shop, probed: list[Path]
) -> None:
    """A remote one is downloaded for that."""
    mug, shoe = shop.product(), shop.product("shoe")
    shop.run([mug])
    shop.publish(mug)
    assert rows_in(shop)[0]["duration_seconds"] is None
    shop.run([shoe])
    for _ in range(3):
        shop.publish(mug, shoe)
    assert [row["duration_seconds"] for row in rows_in(shop)] == [12.5, 12.5]
    assert len(probed) == 3


@pytest.mark.parametrize("text", ["{", "[]\n", '{"width": 1}\n', '{"width":1,"height":1,"x":'])
def test_a_damaged_manifest_is_written_again(shop: Shop, text: str) -> None:
    shop.publish()
    file_of(shop, JSONL).write_text(text, encoding="utf-8")
    shop.publish()
    assert rows_in(shop) == []


def test_a_full_disk_leaves_whole_files_and_the_next_run_writes_both(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    mug = shop.product()
    shop.run([mug])
    write = Store.write_file

    def dying(store: Store, key: str, data: bytes, media_type: str) -> None:
        if key.endswith(JSONL):
            raise StoreError("the disk is full", key, "Free space.")
        write(store, key, data, media_type)

    shop.publish()
    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_file", dying)
        with pytest.raises(StoreError):
            shop.publish(mug)
    assert rows_in(shop) == []
    shop.publish(mug)
    assert len(rows_in(shop)) == 1


def test_a_store_that_goes_away_is_no_empty_shop(shop: Shop) -> None:
    """It was unmounted: its files are not gone."""
    mug = shop.product()
    shop.store.identity(create=True)
    shop.run([mug])
    mount = Path(shop.store.location)
    mount.rename(mount.with_name("the disk"))
    mount.mkdir()
    with pytest.raises(StoreError, match="no longer the store that was here before"):
        shop.publish(mug)
    assert list(mount.iterdir()) == []


def test_a_bucket_takes_a_manifest_with_links_to_where_it_is_served(shop: Shop) -> None:
    mug = shop.product()
    shop.store = Store(f"memory://bucket-{uuid.uuid4().hex}")
    shop.run([mug])
    published = shop.publish(mug, media_url="https://cdn.example/videos/")
    assert published.addresses[CSV].startswith("memory://bucket-")
    manifest_key = f"{shop.ledger.account}/manifest/{JSONL}"
    row = json.loads(shop.store.read_file(manifest_key) or b"")
    path = Artifact.from_json((shop.row(mug, VIDEO).artifacts or ())[0]).path
    assert row["video"] == f"https://cdn.example/videos/{path}"
