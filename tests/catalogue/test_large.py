"""Catalogues of thousands: a bad row among 20,000, a line without an end, 50,000 more, half."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from topview_pipeline import syncing
from topview_pipeline.catalogue import Catalogue, CatalogueHeld, parse_catalogue, read_catalogue
from topview_pipeline.ledger import Ledger, Retired
from topview_pipeline.settings import CatalogueDefaults

NO_DEFAULTS = CatalogueDefaults()
HEADER = "product_id,image,avatar_id,script,voice_id"


def rows(count: int) -> list[str]:
    return [f"p{number},/{number}.png,a1,Hi {number},v1" for number in range(count)]


def test_one_row_of_wrong_types_among_20_000_is_named_and_the_others_go_on() -> None:
    lines = [
        json.dumps(dict(zip(HEADER.split(","), row.split(","), strict=True)))
        for row in rows(20_000)
    ]
    lines[12_344] = '{"product_id": "p12344", "image": ["/a.png"], "script": {"text": 1}}'

    started = time.perf_counter()
    catalogue = parse_catalogue("\n".join(lines).encode(), "c.jsonl", NO_DEFAULTS)

    assert len(catalogue.products) == 19_999
    assert {problem.line for problem in catalogue.problems} == {12_345}
    assert {problem.product_id for problem in catalogue.problems} == {"p12344"}
    assert time.perf_counter() - started < 30.0


def test_a_line_of_megabytes_is_named_in_a_short_sentence(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    huge = "x" * (8 * 2**20)
    path.write_text("\n".join([HEADER, f"big,/b.png,a1,{huge},v1", *rows(2)]), encoding="utf-8")
    catalogue = read_catalogue(str(path), NO_DEFAULTS)
    assert list(catalogue.products) == ["p0", "p1"]
    (problem,) = catalogue.problems
    assert problem.line == 2
    assert len(str(problem)) < 300


def test_a_byte_order_mark_and_new_columns_change_nothing(tmp_path: Path) -> None:
    plain, marked = tmp_path / "a.csv", tmp_path / "b.csv"
    plain.write_text("\n".join([HEADER, *rows(3)]), encoding="utf-8")
    wider = [f"{row},red" for row in rows(3)]
    marked.write_text("\n".join([f"{HEADER},colour", *wider]), encoding="utf-8-sig")
    before, after = (read_catalogue(str(path), NO_DEFAULTS) for path in (plain, marked))
    assert before.products == after.products
    assert after.warnings == ("column 'colour' is not known and ignored",)
    assert after.columns == before.columns
    assert after.unknown_columns == ("colour",)


def catalogue_of(lines: list[str]) -> Catalogue:
    return parse_catalogue("\n".join([HEADER, *lines, ""]).encode(), "/c.csv", NO_DEFAULTS)


@pytest.mark.slow
def test_50_000_more_than_yesterday_are_taken_in_and_half_of_them_gone_are_held(
    tmp_path: Path,
) -> None:
    lines = rows(70_000)
    yesterday, today = catalogue_of(lines[:20_000]), catalogue_of(lines)
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db", base_url="https://topview", uid="u")
    syncing.obey(ledger, yesterday)

    started = time.perf_counter()
    assert syncing.obey(ledger, today) == Retired((), 0)
    assert time.perf_counter() - started < 10.0
    assert len(ledger.catalogues.seen("/c.csv").products) == 70_000

    half = catalogue_of(lines[::2])
    with pytest.raises(CatalogueHeld, match="35000 of its 70000 products are gone"):
        syncing.obey(ledger, half)
    syncing.accept(ledger, half.sha256, who="ann")
    assert len(syncing.obey(ledger, half).products) == 35_000
    ledger.close()
