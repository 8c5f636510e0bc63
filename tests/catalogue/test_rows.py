"""Files as people, spreadsheets and exports really write them."""

import csv
import io
import json
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.catalogue.samples import (
    GOOD,
    HEADER,
    NO_DEFAULTS,
    QUAD,
    csv_text,
    only,
    places,
)
from topview_pipeline.catalogue import Catalogue, CatalogueError, parse_catalogue
from topview_pipeline.settings import CatalogueDefaults

WITH_VOICE = CatalogueDefaults(voice_id="v1", avatar_id="a1")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_a_spreadsheet_writes_is_read(delimiter: str) -> None:
    text = (
        "\ufeffProduct_ID ;image;avatar_id;script;voice_id;chosen_image\r\n"
        'mug;mug.png;a1;"Ein Becher, groß;\t";v1;1.0\r\n;;;;;\r\n\r\n'
    )
    head, cell, rest = text.partition('"Ein Becher, groß;\t"')
    product = only(csv_text(head.replace(";", delimiter) + cell + rest.replace(";", delimiter)))
    assert (product.script, product.chosen_image) == ("Ein Becher, groß;", 1)


def test_a_link_without_a_suffix_is_recognised_by_its_content() -> None:
    data = json.dumps(GOOD).encode()
    assert only(parse_catalogue(data, "https://host/export?as=rows", NO_DEFAULTS)).script
    text = f"{HEADER}mug,m.png,a1,Hi,v1\n".encode()
    product = only(parse_catalogue(text, "https://host/export?key=s3cret", NO_DEFAULTS))
    assert product.image == "https://host/m.png"


def test_lines_are_those_of_the_file_whatever_rows_lie_between() -> None:
    catalogue = csv_text(
        f'{HEADER}one,1.png,a1,"first\nsecond\nthird",v1\n'
        "two,,a1,Hi,v1\n"
        "\n"
        "three,3.png,,Hi,\n"
        "four,4.png,a1,Hi,v1\n"
    )
    assert list(catalogue.products) == ["one", "four"]
    assert places(catalogue) == [(5, "image"), (7, "template_image"), (7, "voice_id")]
    assert str(catalogue.problems[0]) == (
        "line 5, column image (product 'two'): missing; give image or product_image_file_id"
    )


def test_broken_quotes_cost_their_own_rows_only() -> None:
    catalogue = csv_text(
        f'{HEADER}one,1.png,a1,"He said "hi"",v1\n'
        "two,2.png,a1,Hi,v1\n"
        'three,3.png,a1,"never closed,v1\n'
        "four,4.png,a1,Hi,v1\n"
    )
    assert list(catalogue.products) == ["two"]
    assert places(catalogue) == [(2, None), (4, None)]
    assert "lines 4 to 5" in catalogue.problems[1].reason


def test_a_row_with_too_many_cells_is_not_shifted_into_the_wrong_columns() -> None:
    catalogue = csv_text("product_id,script,image\nmug,Big, blue,mug.png\n")
    assert places(catalogue) == [(2, None)]
    assert "4 cells under 3 columns" in catalogue.problems[0].reason


@pytest.mark.parametrize(
    ("cut", "product_id"),
    [
        ("shoe,2.png,a1,It is water", "shoe"),
        ("shoe,2.p", "shoe"),
        ("sho", None),
        ('"sho', None),
    ],
)
def test_a_file_that_breaks_off_in_a_row_pays_for_no_half_of_it(
    cut: str, product_id: str | None
) -> None:
    catalogue = csv_text(f"{HEADER}mug,1.png,a1,Hi,v1\n{cut}", WITH_VOICE)
    assert list(catalogue.products) == ["mug"]
    (problem,) = catalogue.problems
    assert (problem.line, problem.product_id) == (3, product_id)
    assert catalogue.names_all_products is (product_id is not None), "it may be anybody's row"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", ",\n", ",v1", "\nbag,2.png,a1,Hi,v1"])
def test_a_short_row_with_an_end_is_filled_up(end: str) -> None:
    assert "mug" in csv_text(f"{HEADER}mug,1.png,a1,Hi{end}", WITH_VOICE).products


def test_a_row_in_another_encoding_is_named_and_the_others_go_on() -> None:
    catalogue = csv_text(
        HEADER.encode() + b"one,1.png,a1,gr\xfc\xdfe,v1\n" + b"two,2.png,a1,Hi,v1\n"
    )
    assert list(catalogue.products) == ["two"]
    assert places(catalogue) == [(2, "script")]
    assert "UTF-8" in catalogue.problems[0].reason


@pytest.mark.parametrize("line", ["{", "[1]", "7", "nul", '{"script": 1, "script": 2}', "{}}"])
def test_a_line_that_is_no_json_object_is_named_and_the_others_go_on(line: str) -> None:
    data = f"{line}\n\n{json.dumps(GOOD)}\n".encode()
    catalogue = parse_catalogue(data, "products.jsonl", NO_DEFAULTS)
    assert list(catalogue.products) == ["mug"]
    assert places(catalogue) == [(1, None)]
    if line == "7":
        said = '\'7\' is not a JSON object like {"product_id": "mug"}'
        assert catalogue.problems[0].reason == said


@pytest.mark.parametrize("depth", [50, sys.getrecursionlimit() - 150, 200_000])
def test_a_deeply_nested_cell_is_a_problem_and_no_crash(depth: int) -> None:
    line = '{"product_id": "mug", "script": ' + "[" * depth + "]" * depth + "}"
    assert parse_catalogue(line.encode(), "c.jsonl", NO_DEFAULTS).problems


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \n", "empty"),
        (b"product_id,image\n", "no products"),
        (b"product_id,image\n,\n\n", "no products"),
        (b"mug,mug.png,a1\n", "not a header"),
        (b"sku,image\nmug,mug.png\n", "its first line is not a header with a product_id column"),
        (b'"product_id,image\n', "not a header"),
        (b"product_id,image,Image\nmug,a.png,b.png\n", "twice"),
        ("product_id,image\nmug,a.png\n".encode("utf-16"), "UTF-16"),
        (b"ProductId,image\nmug,mug.png\n", "Is 'productid' meant to be product_id"),
        (b"PK\x03\x04\x14\x00\x06\x00\x08\x00", "an Excel file, .* save it as CSV UTF-8"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel file"),
        (b"%PDF-1.7\n%\xe2", "a PDF"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a picture .* Name the table"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a picture"),
        (b"\x1f\x8b\x08\0", "compressed"),
        (b" <!DOCTYPE html>\n<html>", "a web page .* the address that downloads the CSV itself"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>', "a web page or XML"),
        (b'[{"product_id": "mug"}]', "one JSON list, .* one object in each line"),
        (b'[\n  {\n    "product_id": "mug"\n  }\n]', "one JSON list"),
        (b'{\n  "product_id": "mug",\n  "image": "m.png"\n}\n', "one JSON object in several lines"),
    ],
)
def test_a_file_that_is_no_catalogue_is_refused_as_a_whole(data: bytes, words: str) -> None:
    with pytest.raises(CatalogueError, match=words) as caught:
        csv_text(data)
    assert str(caught.value).startswith("catalogue /data/products.csv: it")
    assert caught.value.fix.endswith((".", ")."))
    if words.startswith(("an ", "a ", "one JSON l")):
        with pytest.raises(CatalogueError, match=words):  # whatever its name promises
            parse_catalogue(data, "/data/products.jsonl", NO_DEFAULTS)


def test_a_line_of_megabytes_is_named_in_a_short_sentence() -> None:
    catalogue = csv_text(f"{HEADER}big,/b.png,a1,{'x' * (8 * 2**20)},v1\nmug,/m.png,a1,Hi,v1\n")
    assert list(catalogue.products) == ["mug"]
    (problem,) = catalogue.problems
    assert str(problem) == (
        "line 2: a cell has more than 131,072 characters; shorten it, or close the quote that "
        "opens it"
    )


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace")))
def test_no_bytes_at_all_raise_anything_but_a_catalogue_error(data: bytes) -> None:
    for source in ("c.csv", "c.jsonl", "https://host/c"):
        for header in (b"", b"product_id,image,location\n"):
            try:
                catalogue = parse_catalogue(header + data, source, NO_DEFAULTS)
            except CatalogueError:
                continue
            assert catalogue.products or catalogue.problems


CELLS = st.sampled_from(["", "mug", "box", "a\nb", 'say "hi"', "x;y", "x,y", "é", "...", QUAD, "1"])


@given(st.lists(st.lists(CELLS, min_size=5, max_size=5), max_size=5), st.sampled_from(",;\t"))
def test_every_csv_row_is_a_product_or_has_a_problem(
    rows: Sequence[Sequence[str]], delimiter: str
) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter)
    writer.writerow(HEADER.strip().split(","))
    lines = set()
    for cells in rows:
        if any(cells):
            lines.add(buffer.getvalue().count("\n") + 1)
        writer.writerow(cells)
    try:
        catalogue = csv_text(buffer.getvalue())
    except CatalogueError:
        assert not lines
        return
    _check_complete(catalogue, lines)


def _check_complete(catalogue: Catalogue, lines: set[int]) -> None:
    reported = {problem.line for problem in catalogue.problems}
    repeated = {int(note.split()[1]) for note in catalogue.warnings if "repeats" in note}
    assert reported | repeated <= lines
    assert len(lines - reported - repeated) == len(catalogue.products)
    for problem in catalogue.problems:
        assert problem.line == 1 or str(problem).count("\n") == 0
