"""A verdict outlives the process that came to it, and the rules that it was made by."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline.media import Outcome, Verdict, is_refused
from topview_pipeline.media.verdict import Findings

verdicts = st.builds(
    Verdict,
    st.sampled_from(Outcome),
    st.text(),
    st.text(),
    st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)),
    st.lists(st.text()).map(tuple),
    st.lists(st.builds(Verdict, st.sampled_from(Outcome), st.text())).map(tuple),
)


@given(verdicts)
def test_a_verdict_comes_back_as_it_was_kept(verdict: Verdict) -> None:
    kept = json.loads(json.dumps(verdict.to_json()))
    assert Verdict.from_json(kept) == verdict
    assert is_refused(kept) is verdict.is_refused is (verdict.outcome is Outcome.FAILED)


@given(verdicts)
def test_a_verdict_by_older_rules_counts_as_none(verdict: Verdict) -> None:
    """Otherwise what failed by a rule that was wrong would never be exported."""
    assert Verdict.from_json(verdict.to_json() | {"version": 0}) is None


def test_what_nobody_measured_is_not_refused() -> None:
    assert not is_refused(None)
    assert Verdict.from_json(None) is None


def test_an_error_outweighs_a_warning_and_every_error_is_named() -> None:
    found = Findings(frames=1 / 3)
    found.warn("it is dark", "look")
    assert found.verdict("Good.") == Verdict(
        Outcome.DOUBTFUL, "It is dark.", "Look.", {"frames": 0.3333}
    )
    found.error("it is silent", "make it again")
    found.error("it is short", "make it again")
    found.not_measured("the size")
    assert found.verdict("Good.") == Verdict(
        Outcome.FAILED,
        "It is silent. It is short.",
        "Make it again.",
        {"frames": 0.3333},
        ("the size",),
    )
