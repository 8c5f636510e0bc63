"""Only what shapes a stage changes the data version of its inputs, and its fingerprint."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stages.fakes import PLAIN, QUAD, hash_of, item_of, product, scene
from topview_pipeline.catalogue import Product
from topview_pipeline.stages import CUT_OUT, SCENE, STAGES, VIDEO, Stage, fingerprint_of, work_of
from topview_pipeline.stages.fingerprint import digest


def _changed(one: Product) -> set[str]:
    return {
        stage.source
        for stage in STAGES
        if stage.inputs(one, hash_of).version != stage.inputs(PLAIN, hash_of).version
    }


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({"product_id": "other"}, set()),
        ({"image": "photo:renamed"}, set()),
        ({"template_image": "template:moved"}, set()),
        ({"image": "photo2"}, {"productImage"}),
        ({"image": None, "product_image_file_id": "f"}, {"productImage"}),
        ({"image": None, "product_image_file_id": hash_of("photo")}, {"productImage"}),
        ({"template_image": "other"}, {"productScene"}),
        ({"template_image": None, "avatar_id": "v"}, {"productScene"}),
        ({"user_face_image": "face"}, {"productScene"}),
        ({"image_edit_prompt": "elsewhere"}, {"productScene"}),
        ({"image_edit_prompt": None, "location": QUAD}, {"productScene"}),
        ({"script": "Bye."}, {"productScript"}),
        ({"script": None, "audio": "audio"}, {"productScript"}),
        ({"voice_id": "v"}, {"productScript"}),
        ({"caption_id": None}, {"productScript"}),
        ({"mode": "pro"}, {"productScript"}),
        ({"chosen_image": 2}, {"productScript"}),
    ],
)
def test_a_change_is_seen_where_it_matters_and_nowhere_else(
    changes: dict[str, Any], changed: set[str]
) -> None:
    assert _changed(product(**changes)) == changed


def test_work_belongs_to_an_account_a_stage_and_its_inputs() -> None:
    inputs = SCENE.inputs(PLAIN, hash_of)

    def work(account: str = "account", stage: Stage = SCENE, upstream: str | None = "up") -> str:
        return work_of(account, stage, inputs, upstream)

    others = {work(account="other"), work(stage=CUT_OUT), work(upstream="up2"), work(upstream=None)}
    assert work() == work()
    assert len(others | {work()}) == 5


def test_two_products_with_the_same_photo_are_the_same_work() -> None:
    works = {item_of(CUT_OUT, product(product_id=name), None).work for name in "ab"}
    assert len(works) == 1


def test_every_generation_is_another_fingerprint() -> None:
    work = item_of(VIDEO, PLAIN, scene(True)).work
    assert len({fingerprint_of(work, generation) for generation in range(5)}) == 5


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@settings(max_examples=30)
@given(st.dictionaries(st.text(max_size=3), _json, max_size=5))
def test_the_order_of_keys_does_not_matter(values: dict[str, Any]) -> None:
    assert digest(values) == digest(dict(reversed(values.items())))


@settings(max_examples=30)
@given(_json, _json)
def test_different_values_have_different_digests(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest(one) == digest(other)) is same
