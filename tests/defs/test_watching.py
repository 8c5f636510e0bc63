"""What the catalogue_sensor remembers between ticks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline.defs.watching import LOOK_AGAIN_SECONDS, Memory


@given(st.text(max_size=40))
def test_no_cursor_at_all_breaks_the_sensor(cursor: str) -> None:
    memory = Memory.from_cursor(cursor)
    assert memory is None or isinstance(memory.at, float)


@given(
    st.builds(
        Memory,
        st.none() | st.text(max_size=5),
        st.floats(0, 1e9),
        st.booleans(),
        st.integers(0, 1000),
        st.none() | st.text(max_size=5),
    )
)
def test_a_memory_comes_back_from_the_cursor(memory: Memory) -> None:
    version, at = memory.version, memory.at
    assert Memory.from_cursor(memory.to_cursor()) == memory
    assert memory.is_enough(version, now=at) is not memory.is_more
    assert not memory.is_enough(f"{version}+", now=at)
    assert not memory.is_enough(version, now=at + LOOK_AGAIN_SECONDS + 1)
    assert not memory.is_enough(version, now=at - 1 - at * 1e-9), "the clock was set back"
    assert memory.place_in(version) == (memory.place if memory.is_more else 0)
    assert memory.place_in(f"{version}+") == 0


def test_a_cursor_of_an_earlier_program_is_understood() -> None:
    cursor = '{"version": "1", "at": 7.0, "is_more": true}'
    assert Memory.from_cursor(cursor) == Memory("1", 7.0, is_more=True)


def test_a_look_that_failed_is_made_up_for_though_the_version_is_the_known_one() -> None:
    memory = Memory("1", 7.0, is_more=False, place=3).interrupted("no answer")
    assert not memory.is_enough("1", now=8.0)
    assert (memory.place_in("1"), memory.trouble) == (0, "no answer")
    assert Memory("1", 7.0, is_more=True, place=3).interrupted("no answer").place_in("1") == 3
