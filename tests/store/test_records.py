"""Records and the ledger's artifacts: damage is one sentence that names the field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.store.conftest import PNG, record_of
from topview_pipeline.store import Artifact, ResultRecord

ARTIFACT = Artifact("cutout.png", "acc/mug/bgRemovedImage/0/cutout.png", "0" * 64, 6, PNG)


def _data() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(record_of(ARTIFACT).model_dump()))
    return found


def test_a_record_comes_back_and_fields_of_a_newer_version_are_ignored() -> None:
    data = _data()
    data["later"] = data["times"]["later"] = data["artifacts"][0]["later"] = 1
    assert ResultRecord.from_json(data) == record_of(ARTIFACT)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("topview_task_id", ..., "topview_task_id: Field required"),
        ("attempt", "first", "attempt: Input should be a valid integer"),
        ("times", {}, "times.reserved_at: "),
        ("artifacts", [{"name": "x"}], "artifacts.0.path: "),
    ],
)
def test_a_damaged_record_is_one_sentence_that_names_the_field(
    field: str, value: Any, sentence: str
) -> None:
    data = _data()
    if value is ...:
        del data[field]
    else:
        data[field] = value
    with pytest.raises(ValueError) as caught:
        ResultRecord.from_json(data)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_an_artifact_comes_back_from_the_ledger() -> None:
    stored = json.loads(json.dumps(ARTIFACT.to_json()))
    assert Artifact.from_json({**stored, "later": 1}) == ARTIFACT
