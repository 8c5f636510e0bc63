"""Only what shapes a stage changes the data version of its inputs, and its fingerprint."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stages.fakes import PLAIN, QUAD, hash_of, product
from topview_pipeline.catalogue import Product
from topview_pipeline.stages import CUT_OUT, SCENE, STAGES, Stage, work_of


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
