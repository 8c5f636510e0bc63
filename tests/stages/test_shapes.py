"""What shapes a stage, and nothing else, changes its version and its fingerprint."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stages.conftest import PLAIN, MakeProduct, hash_of
from topview_pipeline.catalogue import Product
from topview_pipeline.stages import (
    BG_REMOVED_IMAGE,
    FINISHED_VIDEO,
    REPLACED_IMAGES,
    STAGES,
    UnknownStageError,
    stages_named,
)
from topview_pipeline.stages.shapes import (
    digest,
    fingerprint_of,
    shape_of,
    video_shape,
    work_of,
)

QUAD = ((0.1, 0.1), (0.4, 0.1), (0.4, 0.5), (0.1, 0.5))


def _changed(product: Product) -> set[str]:
    return {
        stage.source
        for stage in STAGES
        if shape_of(stage, product, hash_of).version != shape_of(stage, PLAIN, hash_of).version
    }


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({"product_id": "other"}, set()),
        ({"image": "photo:renamed"}, set()),
        ({"template_image": "template:moved"}, set()),
        ({"image": "photo2"}, {"productImage"}),
        ({"image": None, "product_image_file_id": "f"}, {"productImage"}),
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
    make: MakeProduct, changes: dict[str, Any], changed: set[str]
) -> None:
    assert _changed(make(**changes)) == changed


def test_a_file_and_an_id_of_the_same_text_are_not_the_same(make: MakeProduct) -> None:
    by_id = make(image=None, product_image_file_id=hash_of("photo"))
    assert _changed(by_id) == {"productImage"}


def test_a_video_goes_by_the_image_and_mode_really_sent(make: MakeProduct) -> None:
    chosen = shape_of(FINISHED_VIDEO, make(chosen_image=1, mode="pro"), hash_of)
    found = shape_of(FINISHED_VIDEO, make(mode="pro"), hash_of)
    assert chosen != found
    assert video_shape(chosen, image=1, mode="pro") == video_shape(found, image=1, mode="pro")
    assert video_shape(found, image=2, mode="pro") != video_shape(found, image=1, mode="pro")
    assert video_shape(found, image=1, mode="avatar2") != video_shape(found, image=1, mode="pro")


def _work(
    account: str = "account", stage: Any = REPLACED_IMAGES, upstream: str | None = "up"
) -> str:
    return work_of(account, stage, shape_of(REPLACED_IMAGES, PLAIN, hash_of), upstream)


def test_work_belongs_to_an_account_a_stage_and_what_it_is_made_from() -> None:
    assert _work() == _work()
    others = {
        _work(account="other"),
        _work(stage=BG_REMOVED_IMAGE),
        _work(upstream="other"),
        _work(upstream=None),
    }
    assert len(others | {_work()}) == 5


def test_every_generation_is_another_piece_of_work() -> None:
    assert len({fingerprint_of(_work(), generation) for generation in range(5)}) == 5


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), _json, max_size=5))
def test_the_order_of_keys_does_not_matter(values: dict[str, Any]) -> None:
    assert digest(values) == digest(dict(reversed(values.items())))


@given(_json, _json)
def test_different_values_have_different_digests(one: Any, other: Any) -> None:
    import json

    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest(one) == digest(other)) is same


def test_stages_are_named_by_their_asset_keys() -> None:
    assert stages_named([]) == STAGES
    assert stages_named(["finishedVideo", "bgRemovedImage"]) == (BG_REMOVED_IMAGE, FINISHED_VIDEO)
    with pytest.raises(UnknownStageError, match=r"no stage 'video'.*replacedImages"):
        stages_named(["video"])
