"""The manifest: a shop imports exactly what may be shown, and learns exactly what changed."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.portfolios import artifact, shown
from topview_pipeline.artifacts import Artifact
from topview_pipeline.manifest import (
    COLUMNS,
    OUTDATED,
    READY,
    Listing,
    Measured,
    changes_between,
    from_jsonl,
    listing,
    to_csv,
    to_jsonl,
)
from topview_pipeline.portfolio import ProductShown
from topview_pipeline.quality import Outcome, Verdict

ROWS = st.dictionaries(
    st.text(min_size=1), st.fixed_dictionaries({"video": st.text(), "credits": st.integers(0, 3)})
)


def listed(*portfolio: ProductShown, missing: Callable[[Artifact], bool] = lambda _: False) -> Any:
    return listing(
        portfolio,
        is_there=lambda one: not missing(one),
        address=lambda one: f"https://shop/{one.path}",
        measure=lambda _: Measured(12.5, 1080, 1920),
    )


def rows_of(found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"product_id": name, **values} for name, values in found.items()]


def test_a_finished_product_is_listed_with_all_that_a_shop_needs() -> None:
    found: Listing = listed(shown("mug"))
    (row,) = found.rows
    assert tuple(row) == COLUMNS
    video = artifact("video.mp4")
    assert dict(row) == {
        "product_id": "mug",
        "status": READY,
        "video": f"https://shop/{video.path}",
        "video_sha256": video.sha256,
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
    assert found.left_out == {}


@pytest.mark.parametrize(
    ("portfolio", "why"),
    [
        (shown("mug", outcomes=("done", "done", "failed"), what="no face"), "no face"),
        (shown("mug", outcomes=("done", "new", "new")), "no finished video"),
        (shown("mug", refused="the sound is silence"), "the sound is silence"),
    ],
)
def test_what_is_not_finished_or_failed_its_check_is_left_out_and_the_reason_is_told(
    portfolio: ProductShown, why: str
) -> None:
    found = listed(portfolio, shown("shoe"))
    assert [row["product_id"] for row in found.rows] == ["shoe"]
    assert why in found.left_out["mug"]


def test_a_video_that_is_gone_from_the_store_is_left_out() -> None:
    found = listed(shown("mug"), missing=lambda one: one.name == "video.mp4")
    assert found.left_out == {"mug": "its video is not in the store"}


def test_a_poster_that_is_gone_is_no_dead_link() -> None:
    (row,) = listed(shown("mug"), missing=lambda one: one.name == "cover.jpg").rows
    assert row["poster"] is None


def test_a_good_video_stays_listed_while_a_newer_one_is_on_its_way() -> None:
    one = shown("mug")
    waiting = replace(one.video, outcome="pending")
    (row,) = listed(replace(one, stages={**one.stages, "finishedVideo": waiting})).rows
    assert row["status"] == OUTDATED


def test_a_video_stays_listed_while_the_row_of_its_product_cannot_be_used() -> None:
    bad = replace(shown("mug"), product=None, row_problem="line 3, column mode: no such mode")
    found = listed(bad, shown("shoe"))
    assert [(row["product_id"], row["status"]) for row in found.rows] == [
        ("mug", OUTDATED),
        ("shoe", READY),
    ]
    assert found.in_bad_rows == {"mug": "line 3, column mode: no such mode"}
    assert found.left_out == {}


def test_a_product_without_a_video_is_left_out_with_what_is_wrong_in_its_row() -> None:
    new = shown("mug", outcomes=("done", "new", "new"))
    found = listed(replace(new, product=None, row_problem="line 3, column mode: no such mode"))
    assert "line 3, column mode: no such mode" in found.left_out["mug"]
    assert found.in_bad_rows == {}


def test_a_video_stays_out_for_what_it_was_made_from_whatever_is_newer() -> None:
    one = shown("mug")
    quality = Verdict(Outcome.FAILED, "no product in it").to_json()
    scene = replace(one.behind["replacedImages"], id=7, quality=quality)
    found = listed(replace(one, behind={**one.behind, "replacedImages": scene}))
    assert found.rows == ()
    assert "no product in it" in found.left_out["mug"]
    assert "newer" in found.left_out["mug"]


@given(ROWS, ROWS)
def test_who_applies_the_changes_has_the_new_list(
    before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]
) -> None:
    changes = changes_between(rows_of(before), rows_of(after))
    shop = {name: dict(values) for name, values in before.items()}
    for name in changes.removed:
        del shop[name]
    for name in changes.added:
        assert name not in shop
        shop[name] = dict(after[name])
    for name, columns in changes.changed.items():
        assert columns
        for column in columns:
            assert shop[name][column] != after[name][column]
            shop[name][column] = after[name][column]
    assert shop == after
    assert bool(changes) == (before != after)
    told = [line["product_id"] for line in changes.lines()]
    assert told == sorted({*changes.added, *changes.changed, *changes.removed})
    assert len(told) == len(set(told))


@given(ROWS)
def test_any_text_of_a_product_comes_back_from_the_file(found: dict[str, dict[str, Any]]) -> None:
    """Line separators and quotes of all alphabets are in names."""
    rows = rows_of(found)
    assert from_jsonl(to_jsonl(rows)) == rows


def test_a_column_that_is_new_counts_as_a_change() -> None:
    changes = changes_between([{"product_id": "a"}], [{"product_id": "a", "mode": "pro"}])
    assert changes.changed == {"a": ("mode",)}


def test_the_csv_has_a_line_for_each_product_whatever_is_in_their_names() -> None:
    names = ['he said "5"', "a,b", "two\nlines", "=1+1", "ß"]
    text = to_csv(listed(*map(shown, names)).rows).decode()
    assert [row["product_id"] for row in csv.DictReader(io.StringIO(text, newline=""))] == names


@pytest.mark.parametrize("text", [b"[]\n", b"{}\n", b"{\n"])
def test_a_damaged_file_is_not_taken_for_an_empty_list(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"manifest|Expecting"):
        from_jsonl(text)
