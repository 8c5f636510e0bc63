"""The catalogue: files as people, spreadsheets and exports really write them."""

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline.catalogue import (
    Catalogue,
    CatalogueError,
    Product,
    parse_catalogue,
    read_catalogue,
)
from topview_pipeline.settings import DEFAULT_IMAGE_EDIT_PROMPT, CatalogueDefaults

QUAD = "[[0.3,0.6],[0.7,0.6],[0.7,0.9],[0.3,0.9]]"
GOOD: dict[str, object] = {
    "product_id": "mug",
    "image": "mug.png",
    "avatar_id": "a1",
    "script": "A mug.",
    "voice_id": "v1",
}
NO_DEFAULTS = CatalogueDefaults()


def _jsonl(*rows: object, defaults: CatalogueDefaults = NO_DEFAULTS) -> Catalogue:
    text = "\n".join(json.dumps(row) for row in rows)
    return parse_catalogue(text.encode(), "/data/products.jsonl", defaults)


def _csv(text: str | bytes, defaults: CatalogueDefaults = NO_DEFAULTS) -> Catalogue:
    data = text.encode() if isinstance(text, str) else text
    return parse_catalogue(data, "/data/products.csv", defaults)


def _only(catalogue: Catalogue) -> Product:
    assert [str(problem) for problem in catalogue.problems] == []
    (product,) = catalogue.products.values()
    return product


def _said(catalogue: Catalogue) -> list[tuple[int, str | None]]:
    return [(problem.line, problem.column) for problem in catalogue.problems]


def _row(**changes: object) -> dict[str, object]:
    return {**GOOD, **changes}


def test_a_csv_becomes_products(tmp_path: Path) -> None:
    file = tmp_path / "products.csv"
    file.write_text(
        "product_id,image,template_image,location,user_face_image,script,voice_id,caption_id,mode,"
        "chosen_image\n"
        f'mug,img/mug.png,https://host/t.png,"{QUAD}",face.png,"Hello, you",v1,c1,lite,2\n'
    )
    catalogue = read_catalogue(str(file), NO_DEFAULTS)
    assert _only(catalogue) == Product(
        product_id="mug",
        image=str(tmp_path / "img" / "mug.png"),
        product_image_file_id=None,
        template_image="https://host/t.png",
        template_image_file_id=None,
        avatar_id=None,
        location=((0.3, 0.6), (0.7, 0.6), (0.7, 0.9), (0.3, 0.9)),
        image_edit_prompt=None,
        user_face_image=str(tmp_path / "face.png"),
        user_face_image_file_id=None,
        script="Hello, you",
        audio=None,
        audio_file_id=None,
        voice_id="v1",
        caption_id="c1",
        mode="lite",
        chosen_image=2,
    )
    assert catalogue.source == str(file)
    assert catalogue.warnings == ()


def test_json_lines_may_hold_real_numbers_and_lists() -> None:
    product = _only(_jsonl(_row(product_id=1234, location=json.loads(QUAD), chosen_image=1)))
    assert product.product_id == "1234"
    assert product.location is not None
    assert product.chosen_image == 1


def test_what_excel_writes_is_read() -> None:
    text = (
        "\ufeffProduct_ID ;image;avatar_id;script;voice_id;chosen_image\r\n"
        "mug;mug.png;a1;Ein Becher, groß;v1;1.0\r\n;;;;;\r\n\r\n"
    )
    product = _only(_csv(text))
    assert (product.script, product.chosen_image) == ("Ein Becher, groß", 1)


def test_a_link_without_a_suffix_is_told_by_its_content() -> None:
    row = json.dumps(GOOD).encode()
    assert _only(parse_catalogue(row, "https://host/export?as=rows", NO_DEFAULTS)).script
    text = b"product_id,image,avatar_id,script,voice_id\nmug,m.png,a1,Hi,v1\n"
    product = _only(parse_catalogue(text, "https://host/export?key=s3cret", NO_DEFAULTS))
    assert product.image == "https://host/m.png"


def test_paths_are_seen_from_the_catalogue(tmp_path: Path) -> None:
    data = json.dumps(_row(image="img/mug.png")).encode()
    for source, expected in (
        (str(tmp_path / "a" / "c.jsonl"), str(tmp_path / "a" / "img" / "mug.png")),
        ("https://host/a/c.jsonl?X-Signature=s", "https://host/a/img/mug.png"),
        ("s3://bucket/a/c.jsonl", "s3://bucket/a/img/mug.png"),
    ):
        assert _only(parse_catalogue(data, source, NO_DEFAULTS)).image == expected


def test_one_bad_row_does_not_stop_the_others_and_lines_are_those_of_the_file() -> None:
    catalogue = _csv(
        "product_id,image,avatar_id,script,voice_id\n"
        'one,1.png,a1,"first\nsecond\nthird",v1\n'
        "two,,a1,Hi,v1\n"
        "\n"
        "three,3.png,,Hi,\n"
        "four,4.png,a1,Hi,v1\n"
    )
    assert list(catalogue.products) == ["one", "four"]
    assert _said(catalogue) == [(5, "image"), (7, "template_image"), (7, "voice_id")]
    assert str(catalogue.problems[0]) == (
        "line 5, column image (product 'two'): missing; give image or product_image_file_id"
    )


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"image": ""}, "image"),
        ({"product_image_file_id": "f1"}, "product_image_file_id"),
        ({"image": ["mug.png"]}, "image"),
        ({"image": "http://[host/mug.png"}, "image"),
        ({"avatar_id": None}, "template_image"),
        ({"template_image": "t.png", "template_image_file_id": "t1"}, "template_image_file_id"),
        ({"user_face_image": "f.png", "user_face_image_file_id": "f"}, "user_face_image_file_id"),
        ({"location": QUAD, "image_edit_prompt": "Hold it."}, "location"),
        ({"script": ""}, "script"),
        ({"audio": "a.mp3"}, "audio"),
        ({"script": None, "audio": "a.mp3", "audio_file_id": "f"}, "audio_file_id"),
        ({"voice_id": ""}, "voice_id"),
        ({"mode": "avatar3"}, "mode"),
        ({"mode": "PRO"}, "mode"),
        ({"chosen_image": 0}, "chosen_image"),
        ({"chosen_image": "-1"}, "chosen_image"),
        ({"chosen_image": "1.5"}, "chosen_image"),
        ({"chosen_image": "9" * 5000}, "chosen_image"),
        ({"chosen_image": True}, "chosen_image"),
        ({"product_id": " "}, "product_id"),
        ({"product_id": {"id": 1}}, "product_id"),
        ({"product_id": "x" * 256}, "product_id"),
        ({"product_id": "a...b"}, "product_id"),
        ({"product_id": "a\tb"}, "product_id"),
        ({"product_id": "a\nb"}, "product_id"),
        ({"product_id": "a\0b"}, "product_id"),
        ({"product_id": "a\ud800"}, "product_id"),
        ({"script": "Hi\0"}, "script"),
    ],
)
def test_a_row_that_could_not_succeed_is_refused_before_it_costs(
    changes: dict[str, object], column: str
) -> None:
    catalogue = _jsonl(_row(**changes))
    assert not catalogue.products
    assert _said(catalogue) == [(1, column)]
    assert "\n" not in str(catalogue.problems[0])


@pytest.mark.parametrize(
    "product_id", ["../../etc", "Größe 42", "靴", "x" * 255, ".", "a/b", "null", "a..b", "'; --"]
)
def test_any_other_id_is_data(product_id: str) -> None:
    assert _only(_jsonl(_row(product_id=product_id))).product_id == product_id


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("[[0,0],[1,0],[1,1]]", "four points"),
        ("[[0,0],[1,0],[1,1],[0,1],[0,0]]", "four points"),
        ("0.1,0.2", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"x": 1}', "four points"),
        ("[[0,0],[1,0],[1,1],[0]]", "point 4"),
        ("[[0,0],[1,0],[1,1],[0,1.01]]", "0 to 1"),
        ("[[0,0],[1,0],[1,1],[0,-0.01]]", "0 to 1"),
        ("[[10.5,20],[30,20],[30,40],[10.5,40]]", "0 to 1"),
        ("[[0,0],[1,0],[1,1],[0,NaN]]", "0 to 1"),
        ("[[0,0],[1,0],[1,1],[0,Infinity]]", "0 to 1"),
        ('[[0,0],[1,0],[1,1],[0,"1"]]', "0 to 1"),
        ("[[0,0],[1,0],[1,1],[0,true]]", "0 to 1"),
        (f"[[0,0],[1,0],[1,1],[0,1{'0' * 400}]]", "0 to 1"),
        ("[[0,0],[0.5,0.5],[1,1],[0.2,0.2]]", "no area"),
        ("[[0.5,0.5],[0.5,0.5],[0.5,0.5],[0.5,0.5]]", "no area"),
        ("[[0,0],[0,1],[1,1],[1,0]]", "in the order"),
        ("[[0,0],[1,0],[0,1],[0.9,0.5]]", "in the order"),
        ("[[0,0],[1,0],[0.2,0.2],[0,1]]", "in the order"),
    ],
)
def test_a_location_that_topview_would_misread_is_refused(location: str, words: str) -> None:
    catalogue = _jsonl(_row(location=location))
    assert _said(catalogue) == [(1, "location")]
    assert words in catalogue.problems[0].reason
    assert len(catalogue.problems[0].reason) < 200


def test_a_rotated_quad_is_a_location() -> None:
    product = _only(_jsonl(_row(location="[[0.5,0],[1,0.5],[0.5,1],[0,0.5]]")))
    assert product.location == ((0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5))


def test_empty_cells_take_the_defaults() -> None:
    defaults = CatalogueDefaults(
        template_image="/t.png",
        user_face_image="/f.png",
        voice_id="v9",
        caption_id="c9",
        mode="pro",
    )
    product = _only(_jsonl(_row(avatar_id="", voice_id=""), defaults=defaults))
    assert (product.template_image, product.user_face_image) == ("/t.png", "/f.png")
    assert (product.voice_id, product.caption_id, product.mode) == ("v9", "c9", "pro")
    assert product.image_edit_prompt == DEFAULT_IMAGE_EDIT_PROMPT


def test_a_rows_own_value_is_never_mixed_with_a_default_of_the_same_group() -> None:
    defaults = CatalogueDefaults(template_image="/t.png", user_face_image="/f.png")
    product = _only(_jsonl(_row(user_face_image_file_id="f1", location=QUAD), defaults=defaults))
    assert (product.avatar_id, product.template_image) == ("a1", None)
    assert (product.user_face_image, product.user_face_image_file_id) == (None, "f1")
    assert product.image_edit_prompt is None


def test_a_recording_takes_no_default_voice() -> None:
    row = _row(script=None, voice_id=None, audio_file_id="f1")
    product = _only(_jsonl(row, defaults=CatalogueDefaults(voice_id="v9")))
    assert product.voice_id is None


def test_an_id_given_twice_alike_is_one_product_and_a_note() -> None:
    catalogue = _jsonl(GOOD, GOOD)
    assert _only(catalogue).product_id == "mug"
    assert catalogue.warnings == ("line 2 repeats line 1 and is ignored",)


@pytest.mark.parametrize("other", [{"script": "Another."}, {"image": ""}])
def test_of_rows_that_contradict_each_other_none_is_paid(other: dict[str, object]) -> None:
    catalogue = _jsonl(GOOD, _row(**other), _row(product_id="box"))
    assert list(catalogue.products) == ["box"]
    refused = [problem for problem in catalogue.problems if problem.column == "product_id"]
    assert [problem.line for problem in refused] == [1, 2]
    assert refused[0].reason.startswith("line 2 has the same id")
    assert refused[1].reason.startswith("line 1 has the same id")


def test_a_misspelt_column_is_noted() -> None:
    catalogue = _jsonl(_row(scirpt="Hi", colour_of_the_lid="red"))
    assert len(catalogue.products) == 1
    assert catalogue.warnings == (
        "column 'scirpt' is not known and ignored; is script meant?",
        "column 'colour_of_the_lid' is not known and ignored",
    )


def test_a_thousand_unknown_columns_do_not_flood_the_log() -> None:
    catalogue = _jsonl(_row(**{f"column {n}": 1 for n in range(1000)}))
    assert len(catalogue.warnings) == 21
    assert catalogue.warnings[-1].startswith("980 more")


def test_broken_quotes_cost_their_own_rows_only() -> None:
    catalogue = _csv(
        "product_id,image,avatar_id,script,voice_id\n"
        'one,1.png,a1,"He said "hi"",v1\n'
        "two,2.png,a1,Hi,v1\n"
        'three,3.png,a1,"never closed,v1\n'
        "four,4.png,a1,Hi,v1\n"
    )
    assert list(catalogue.products) == ["two"]
    assert _said(catalogue) == [(2, None), (4, None)]
    assert "lines 4 to 5" in catalogue.problems[1].reason


def test_a_row_with_too_many_cells_is_not_shifted_into_the_wrong_columns() -> None:
    catalogue = _csv("product_id,script,image\nmug,Big, blue,mug.png\n")
    assert _said(catalogue) == [(2, None)]
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
    whole = "product_id,image,avatar_id,script,voice_id\nmug,1.png,a1,Hi,v1\n"
    catalogue = _csv(whole + cut, CatalogueDefaults(voice_id="v1", avatar_id="a1"))
    assert list(catalogue.products) == ["mug"]
    (problem,) = catalogue.problems
    assert (problem.line, problem.product_id) == (3, product_id), "None: it may be anybody's row"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", ",\n", ",v1"])
def test_a_last_row_with_an_end_or_all_its_cells_is_whole(end: str) -> None:
    text = f"product_id,image,avatar_id,script,voice_id\nmug,1.png,a1,Hi{end}"
    catalogue = _csv(text, CatalogueDefaults(voice_id="v1"))
    assert list(catalogue.products) == ["mug"]


def test_short_rows_before_the_last_are_filled_up() -> None:
    text = "product_id,image,avatar_id,script,voice_id\nmug,1.png,a1,Hi\nbag,2.png,a1,Hi,v1"
    catalogue = _csv(text, CatalogueDefaults(voice_id="v1"))
    assert list(catalogue.products) == ["mug", "bag"]


def test_a_row_in_another_encoding_is_named_and_the_others_go_on() -> None:
    catalogue = _csv(
        b"product_id,image,avatar_id,script,voice_id\n"
        b"one,1.png,a1,gr\xfc\xdfe,v1\n"
        b"two,2.png,a1,Hi,v1\n"
    )
    assert list(catalogue.products) == ["two"]
    assert _said(catalogue) == [(2, "script")]
    assert "UTF-8" in catalogue.problems[0].reason


@pytest.mark.parametrize("line", ["{", "[1]", "7", "nul", '{"script": 1, "script": 2}', "{}}"])
def test_a_line_that_is_no_json_object_is_named_and_the_others_go_on(line: str) -> None:
    data = f"{line}\n\n{json.dumps(GOOD)}\n".encode()
    catalogue = parse_catalogue(data, "products.jsonl", NO_DEFAULTS)
    assert list(catalogue.products) == ["mug"]
    assert _said(catalogue) == [(1, None)]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \n", "empty"),
        (b"product_id,image\n", "no products"),
        (b"product_id,image\n,\n\n", "no products"),
        (b"mug,mug.png,a1\n", "no header"),
        (b"sku,image\nmug,mug.png\n", "product_id"),
        (b'"product_id,image\n', "no header"),
        (b"product_id,image,Image\nmug,a.png,b.png\n", "twice"),
        ("product_id,image\nmug,a.png\n".encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04\x14\x00\x06\x00\x08\x00", "no header"),
    ],
)
def test_a_file_that_is_no_catalogue_is_refused_as_a_whole(data: bytes, words: str) -> None:
    with pytest.raises(CatalogueError, match=words) as caught:
        _csv(data)
    assert caught.value.where == "/data/products.csv"
    assert caught.value.mend.endswith(".")


def test_a_missing_catalogue_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="no such file") as caught:
        read_catalogue(str(tmp_path / "products.csv"), NO_DEFAULTS)
    assert caught.value.where == str(tmp_path / "products.csv")
    with pytest.raises(CatalogueError, match="folder"):
        read_catalogue(str(tmp_path), NO_DEFAULTS)


def test_the_hash_tells_whether_the_catalogue_changed() -> None:
    assert _jsonl(GOOD).sha256 == _jsonl(GOOD).sha256 != _jsonl(_row(mode="lite")).sha256


def _json_texts() -> st.SearchStrategy[str]:
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
        lambda inner: st.lists(inner, max_size=4),
        max_leaves=8,
    )
    columns = st.sampled_from([*GOOD, "location", "mode", "chosen_image", "other"])
    rows = st.dictionaries(columns, values, max_size=6).map(lambda row: _row(**row))
    return st.lists(rows | values, max_size=4).map(lambda rows: "\n".join(map(json.dumps, rows)))


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace")))
def test_no_bytes_at_all_raise_anything_but_a_catalogue_error(data: bytes) -> None:
    for source in ("c.csv", "c.jsonl", "https://host/c"):
        for header in (b"", b"product_id,image,location\n"):
            try:
                catalogue = parse_catalogue(header + data, source, NO_DEFAULTS)
            except CatalogueError:
                continue
            assert catalogue.products or catalogue.problems


@given(_json_texts())
def test_every_json_line_is_a_product_or_has_a_problem(text: str) -> None:
    lines = {number for number, line in enumerate(text.split("\n"), 1) if line}
    try:
        catalogue = parse_catalogue(text.encode("utf-8", "surrogatepass"), "c.jsonl", NO_DEFAULTS)
    except CatalogueError:
        assert not lines
        return
    _check_all_told(catalogue, lines)


CELLS = st.sampled_from(["", "mug", "box", "a\nb", 'say "hi"', "x;y", "x,y", "é", "...", QUAD, "1"])


@given(st.lists(st.lists(CELLS, min_size=5, max_size=5), max_size=5), st.sampled_from(",;"))
def test_every_csv_row_is_a_product_or_has_a_problem(
    rows: Sequence[Sequence[str]], delimiter: str
) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter)
    writer.writerow(["product_id", "image", "avatar_id", "script", "voice_id"])
    lines = set()
    for row in rows:
        if any(row):
            lines.add(buffer.getvalue().count("\n") + 1)
        writer.writerow(row)
    try:
        catalogue = _csv(buffer.getvalue())
    except CatalogueError:
        assert not lines
        return
    _check_all_told(catalogue, lines)


def _check_all_told(catalogue: Catalogue, lines: set[int]) -> None:
    told = {problem.line for problem in catalogue.problems}
    repeated = {int(note.split()[1]) for note in catalogue.warnings if "repeats" in note}
    assert told | repeated <= lines
    assert len(lines - told - repeated) == len(catalogue.products)
    for problem in catalogue.problems:
        assert problem.line == 1 or str(problem).count("\n") == 0


def test_a_deeply_nested_cell_is_a_problem_and_no_crash() -> None:
    for depth in (50, sys.getrecursionlimit() - 150, 200_000):
        line = '{"product_id": "mug", "script": ' + "[" * depth + "]" * depth + "}"
        catalogue = parse_catalogue(line.encode(), "c.jsonl", NO_DEFAULTS)
        assert catalogue.problems
