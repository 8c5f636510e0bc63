"""Rows that could not succeed are refused before they cost anything; the others are products."""

import json
import re
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from tests.catalogue.samples import QUAD, csv_text, jsonl, only, places, row
from topview_pipeline.catalogue import Product, parse_catalogue
from topview_pipeline.settings import DEFAULT_IMAGE_EDIT_PROMPT, CatalogueDefaults


def test_a_row_with_everything_becomes_a_product_that_survives_json() -> None:
    product = only(
        csv_text(
            "product_id,image,template_image,location,user_face_image,script,voice_id,caption_id,"
            "mode,chosen_image,gate\n"
            f'mug,img/mug.png,https://host/t.png,"{QUAD}",face.png,"Hello, you",v1,c1,lite,2,'
            "approve\n"
        )
    )
    assert product == Product(
        product_id="mug",
        image="/data/img/mug.png",
        product_image_file_id=None,
        template_image="https://host/t.png",
        template_image_file_id=None,
        avatar_id=None,
        location=((0.3, 0.6), (0.7, 0.6), (0.7, 0.9), (0.3, 0.9)),
        image_edit_prompt=None,
        user_face_image="/data/face.png",
        user_face_image_file_id=None,
        script="Hello, you",
        audio=None,
        audio_file_id=None,
        voice_id="v1",
        caption_id="c1",
        mode="lite",
        chosen_image=2,
        gate="approve",
    )
    assert product.files == ("/data/img/mug.png", "https://host/t.png", "/data/face.png")
    kept = TypeAdapter(Product)
    assert kept.validate_json(kept.dump_json(product)) == product, "a plan is kept as JSON"
    numbers = only(jsonl(row(product_id=1234, location=json.loads(QUAD), chosen_image=1)))
    assert (numbers.product_id, numbers.location) == ("1234", product.location)
    assert numbers.chosen_image == 1


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"image": ""}, "image"),
        ({"product_image_file_id": "f1"}, "product_image_file_id"),
        ({"image": ["mug.png"]}, "image"),
        ({"image": "http://[host/mug.png"}, "image"),
        ({"avatar_id": None}, "template_image"),
        ({"template_image": "/t.png"}, "avatar_id"),
        ({"template_image_file_id": "t1"}, "avatar_id"),
        ({"template_image": "t.png", "template_image_file_id": "t1"}, "template_image_file_id"),
        ({"user_face_image": "f.png", "user_face_image_file_id": "f"}, "user_face_image_file_id"),
        ({"script": ""}, "script"),
        ({"audio": "a.mp3"}, "audio"),
        ({"script": None, "audio": "a.mp3", "audio_file_id": "f"}, "audio_file_id"),
        ({"voice_id": ""}, "voice_id"),
        ({"mode": "avatar3"}, "mode"),
        ({"mode": "PRO"}, "mode"),
        ({"mode": "avatar2", "script": "a" * 404}, "script"),
        ({"mode": "avatar2", "script": 'Hi. <break time="27s"/>'}, "script"),
        ({"mode": "avatar4", "script": "字" * 577}, "script"),
        ({"mode": "avatar4Fast", "script": "many words " * 2000}, "script"),
        ({"chosen_image": 2}, "chosen_image"),
        ({"chosen_image": 2, "image_edit_prompt": "Hold it."}, "chosen_image"),
        ({"chosen_image": 3, "location": QUAD}, "chosen_image"),
        ({"gate": "quick"}, "gate"),
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
        ({"location": [[0, 0], [1, 0], [1, 1], [0, 10**400]]}, "location"),
    ],
)
def test_a_row_that_could_not_succeed_is_refused_before_it_costs(
    changes: dict[str, object], column: str
) -> None:
    catalogue = jsonl(row(**changes))
    assert not catalogue.products
    assert places(catalogue) == [(1, column)]
    assert "\n" not in str(catalogue.problems[0])


@pytest.mark.parametrize(
    "product_id", ["../../etc", "Größe 42", "靴", "x" * 255, ".", "a/b", "null", "a..b", "'; --"]
)
def test_any_other_id_is_data(product_id: str) -> None:
    assert only(jsonl(row(product_id=product_id))).product_id == product_id


NO_POINTS = [
    *("[[0,0],[1,0],[1,1]]", "[[0,0],[1,0],[1,1],[0,1],[0,0]]", "[[0,0],[1,0],[1,1],[0]]"),
    *("0.1,0.2", "[" * 100_000, '{"x": 1}', "[[10.5,20],[30,20],[30,40],[10.5,40]]"),
    *(f"[[0,0],[1,0],[1,1],[0,{one}]]" for one in ("1.01", "-0.01", "NaN", "Infinity", '"1"')),
    *(f"[[0,0],[1,0],[1,1],[0,{one}]]" for one in ("true", f"1{'0' * 400}")),
]
NO_QUADS = [
    *("[[0,0],[0.5,0.5],[1,1],[0.2,0.2]]", "[[0.5,0.5],[0.5,0.5],[0.5,0.5],[0.5,0.5]]"),
    *("[[0,0],[0,1],[1,1],[1,0]]", "[[0,0],[1,0],[0,1],[0.9,0.5]]"),
    "[[0,0],[1,0],[0.2,0.2],[0,1]]",
]
TURNED = [
    "[[0.7,0.9],[0.3,0.9],[0.3,0.6],[0.7,0.6]]",  # on its head
    "[[0.7,0.6],[0.7,0.9],[0.3,0.9],[0.3,0.6]]",  # on its right side
    "[[0.3,0.9],[0.3,0.6],[0.7,0.6],[0.7,0.9]]",  # on its left side
    "[[0.9,0.6],[0.6,0.9],[0.3,0.6],[0.6,0.3]]",
]


@pytest.mark.parametrize(
    ("location", "words"),
    [(one, "0 to 1; write [[") for one in NO_POINTS]
    + [(one, "in the order") for one in NO_QUADS]
    + [(one, "on its head: begin with the point at its top left") for one in TURNED],
)
def test_a_location_that_topview_would_misread_is_refused(location: str, words: str) -> None:
    catalogue = jsonl(row(location=location))
    assert places(catalogue) == [(1, "location")]
    assert words in catalogue.problems[0].reason
    assert len(catalogue.problems[0].reason) < 200


def test_a_rotated_quad_is_a_location() -> None:
    product = only(jsonl(row(location="[[0.5,0],[1,0.5],[0.5,1],[0,0.5]]")))
    assert product.location == ((0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mode": "Lite"}, "there is no mode 'Lite'; is lite meant. The modes are lite, "),
        ({"mode": "avatar 4 fast"}, "there is no mode 'avatar 4 fast'; is avatar4Fast meant"),
        ({"mode": "avatar3"}, "'avatar3'; write lite, pro, avatar2, avatar4, avatar4Fast$"),
        (
            {"script": "Eighty words of it. " * 20},
            "the script takes about 32 s to speak, and a video in mode avatar2 lasts at "
            "most 28 s; shorten it, or use mode avatar4",
        ),
        ({"template_image": "/t.png"}, "template_image and avatar_id are both given; use one$"),
        ({"chosen_image": 2}, "2, and a prompt makes one scene; leave it empty, or give a loc"),
        ({"chosen_image": 3, "location": QUAD}, "3, and a location makes two scenes; use 1 or 2$"),
        ({"voice_id": None}, "a script needs a voice; give voice_id$"),
        ({"image": "https://u:p@[h/a?sig=s"}, r"'https://\[h/a' is not a path or URL$"),
        ({"image": "https://u:p@h/a?sig=s\udce9"}, "'https://h/a' is not UTF-8 text; save the"),
        ({"image": ["a.png", "b.png"]}, r"\['a.png', 'b.png'\] is not text; give one text$"),
    ],
)
def test_a_slip_is_one_sentence_with_what_where_and_the_fix(
    changes: dict[str, object], says: str
) -> None:
    (problem,) = jsonl(row(**changes)).problems
    assert re.match(rf"line 1, column \w+ \(product 'mug'\): .*{says}", str(problem))


def test_a_script_whose_end_a_mode_of_fixed_length_cuts_off_is_a_warning() -> None:
    """Such a video is made and paid, without the end of the speech."""
    catalogue = jsonl(row(mode="lite", script="a" * 100), row(product_id="b", script="a" * 100))
    assert list(catalogue.products) == ["mug", "b"]
    assert catalogue.warnings == (
        "line 1, column script (product 'mug'): the script takes about 7 s to speak, and a video "
        "in mode lite lasts 5 s: the end will be cut off; shorten it, or use mode avatar4 (at most "
        "120 s)",
    )
    many = jsonl(*(row(product_id=n, mode="lite", script="a" * 100) for n in range(50))).warnings
    assert (len(many), many[-1]) == (21, "30 more like these")


def test_paths_are_seen_from_the_catalogue(tmp_path: Path) -> None:
    data = json.dumps(row(image="img/mug.png")).encode()
    for source, expected in (
        (str(tmp_path / "a" / "c.jsonl"), str(tmp_path / "a" / "img" / "mug.png")),
        ("https://host/a/c.jsonl?X-Signature=s", "https://host/a/img/mug.png"),
        ("s3://bucket/a/c.jsonl", "s3://bucket/a/img/mug.png"),
    ):
        assert only(parse_catalogue(data, source, CatalogueDefaults())).image == expected


def test_a_prompt_of_the_rows_own_goes_beside_its_location_and_the_default_never() -> None:
    """Topview takes both; a default prompt moves what was placed by hand."""
    both = only(jsonl(row(location=QUAD, image_edit_prompt="Hold it.")))
    assert (both.location is None, both.image_edit_prompt) == (False, "Hold it.")
    assert only(jsonl(row(location=QUAD))).image_edit_prompt is None


def test_empty_cells_take_the_defaults() -> None:
    defaults = CatalogueDefaults(
        template_image="/t.png",
        user_face_image="/f.png",
        voice_id="v9",
        caption_id="c9",
        mode="pro",
    )
    product = only(jsonl(row(avatar_id="", voice_id=""), defaults=defaults))
    assert (product.template_image, product.user_face_image) == ("/t.png", "/f.png")
    assert (product.voice_id, product.caption_id, product.mode) == ("v9", "c9", "pro")
    assert product.image_edit_prompt == DEFAULT_IMAGE_EDIT_PROMPT


def test_a_rows_own_value_is_never_mixed_with_a_default_of_the_same_group() -> None:
    defaults = CatalogueDefaults(template_image="/t.png", user_face_image="/f.png")
    product = only(jsonl(row(user_face_image_file_id="f1", location=QUAD), defaults=defaults))
    assert (product.avatar_id, product.template_image) == ("a1", None)
    assert (product.user_face_image, product.user_face_image_file_id) == (None, "f1")
    assert product.image_edit_prompt is None


def test_a_recording_takes_no_default_voice() -> None:
    recorded = row(script=None, voice_id=None, audio_file_id="f1")
    assert only(jsonl(recorded, defaults=CatalogueDefaults(voice_id="v9"))).voice_id is None
