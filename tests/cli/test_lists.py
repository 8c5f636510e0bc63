"""`voices`, `captions`, `avatars`: the ids that a catalogue names, found by filters."""

from __future__ import annotations

import json

from tests.cli.conftest import Invoke
from topview_pipeline.sandbox.api.library import CAPTION_IDS, SAMPLE_AVATAR_ID

IDS: tuple[tuple[str, str, list[str]], ...] = (
    ("voices --language german", "name", ["Lena"]),
    ("voices --language Eng --gender MALE", "name", ["Noah", "Walter"]),
    ("voices --gender female --name mille", "name", ["Camille"]),
    ("voices --custom", "name", ["Our own"]),
    ("voices --language klingon", "name", []),
    ("captions", "caption_id", sorted(CAPTION_IDS)),
    ("avatars --category beauty", "avatar_id", [SAMPLE_AVATAR_ID]),
    ("avatars --gender male --ethnicity east", "avatar_id", []),
)


def test_the_ids_are_listed_and_filtered(invoke: Invoke) -> None:
    for line, key, expected in IDS:
        ran = invoke(*line.split(), "--json")
        assert ran.exit_code == 0, ran.output
        found = [one[key] for one in json.loads(ran.stdout)]
        assert sorted(found) == expected, line
        first, *rows = invoke(*line.split()).stdout.splitlines()
        if expected:
            column = first.split("\t").index(key)
            assert [row.split("\t")[column] for row in rows] == found
        else:
            assert first.startswith("No ")
    said = invoke("voices", "--language", "x").stdout
    assert "language: English, French, German, Spanish" in said, "what there is"
