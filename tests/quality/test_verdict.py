"""A verdict outlives the process that came to it, and the rules that it was made by."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline.quality import Outcome, Verdict, is_refused

verdicts = st.builds(
    Verdict,
    st.sampled_from(Outcome),
    st.text(),
    st.text(),
    st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)),
    st.lists(st.text()).map(tuple),
)


@given(verdicts)
def test_it_comes_back_as_it_was_kept(verdict: Verdict) -> None:
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


@given(verdicts)
def test_by_older_rules_it_is_measured_again(verdict: Verdict) -> None:
    assert Verdict.from_json(verdict.to_json() | {"version": 0}) is None


@given(verdicts)
def test_only_a_failure_is_not_exported(verdict: Verdict) -> None:
    assert is_refused(verdict.to_json()) is (verdict.outcome is Outcome.FAILED)


def test_what_nobody_measured_is_not_refused() -> None:
    assert not is_refused(None)
    assert Verdict.from_json(None) is None
