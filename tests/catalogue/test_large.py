"""Catalogues of thousands: one bad row among 20,000, a line without an end, tomorrow's 50,000."""

from __future__ import annotations

import json
import time
from pathlib import Path

from topview_pipeline.catalogue import parse_catalogue, read_catalogue
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
