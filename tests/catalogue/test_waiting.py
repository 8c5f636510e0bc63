"""A source that hangs: the caller goes on with a sentence, and looks do not pile up."""

from __future__ import annotations

import threading

import pytest

from topview_pipeline.catalogue import CatalogueError, within


def test_what_answers_in_time_is_handed_on() -> None:
    assert within(30.0, "quick", lambda: 7) == 7
    with pytest.raises(ValueError, match="invalid literal"):
        within(30.0, "quick", lambda: int("x"))


def test_what_hangs_is_left_and_not_asked_again_until_it_ended() -> None:
    asked: list[str] = []
    released = threading.Event()
    ended = threading.Event()

    def hang() -> None:
        asked.append("hang")
        released.wait(60)
        ended.set()

    with pytest.raises(CatalogueError, match=r"did not answer within 0\.01 s"):
        within(0.01, "slow", hang)
    with pytest.raises(CatalogueError, match="earlier look at it still hangs"):
        within(30.0, "slow", hang)
    assert within(30.0, "another", lambda: 7) == 7
    assert asked == ["hang"]

    released.set()
    assert ended.wait(30)
    for thread in threading.enumerate():
        if thread.name == "topview-catalogue":
            thread.join(30)
    assert within(30.0, "slow", lambda: 7) == 7
