"""An error that a person can fix reads as a sentence."""

import pytest

from topview_pipeline.errors import PipelineError


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            PipelineError("the disk is full", "/data", "Free space."),
            "/data: the disk is full. Free space.",
        ),
        (PipelineError("no such stage.", fix="Use scene."), "no such stage. Use scene."),
        (PipelineError("gone", "https://host.test/a"), "https://host.test/a: gone"),
        (PipelineError("the ledger is locked"), "the ledger is locked"),
    ],
)
def test_the_message_says_where_what_and_how_to_fix_it(error: PipelineError, sentence: str) -> None:
    assert str(error) == sentence
