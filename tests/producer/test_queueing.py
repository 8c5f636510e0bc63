"""Who gets the next slot: later stages first, and in the tail of a run the longest chains."""

from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline.producer.queueing import WaitingLine

CUT, SCENE, VIDEO = "cut", "scene", "video"
WHOLE = (CUT, SCENE, VIDEO)
SECONDS = {CUT: 3.0, SCENE: 20.0, VIDEO: 45.0}
CHAINS = (WHOLE, (SCENE, VIDEO), (VIDEO,))


def _line(expected: int) -> WaitingLine[str]:
    line: WaitingLine[str] = WaitingLine(SECONDS.__getitem__)
    for _ in range(expected):
        line.expect(WHOLE)
    return line


def test_finished_videos_come_early_while_there_is_plenty_of_work() -> None:
    line = _line(expected=100)
    for chain, item in zip(CHAINS, ("new", "cut", "scene"), strict=True):
        line.join(chain, item)
    assert line.first(4) == ((VIDEO,), "scene")


def test_the_tail_begins_with_the_longest_chain() -> None:
    line = _line(expected=4)
    for chain, item in zip(CHAINS, ("new", "cut", "scene"), strict=True):
        line.join(chain, item)
    assert line.first(4) == (WHOLE, "new")


def test_among_equals_it_is_first_come_first_served() -> None:
    line = _line(expected=50)
    for item in "abc":
        line.join(WHOLE, item)
    served = []
    while (first := line.first(4)) is not None:
        served.append(first[1])
        line.leave(*first)
    assert served == ["a", "b", "c"]


def test_work_that_ended_no_longer_counts_as_left() -> None:
    line = _line(expected=100)
    for _ in range(96):
        for stage in WHOLE:
            line.finished(stage)
    line.join(WHOLE, "new")
    line.join((VIDEO,), "scene")
    assert line.first(4) == (WHOLE, "new")


@given(
    st.lists(st.tuples(st.sampled_from(CHAINS), st.integers(0, 9), st.booleans()), max_size=40),
    st.integers(1, 20),
    st.integers(0, 60),
)
def test_everybody_who_joined_and_did_not_leave_is_served_once(
    moves: list[tuple[tuple[str, ...], int, bool]], slots: int, expected: int
) -> None:
    line: WaitingLine[int] = WaitingLine(SECONDS.__getitem__)
    for _ in range(expected):
        line.expect(WHOLE)
    waiting: list[tuple[tuple[str, ...], int]] = []
    for chain, item, joins in moves:
        if joins and (chain, item) not in waiting:
            line.join(chain, item)
            waiting.append((chain, item))
        elif not joins:
            line.leave(chain, item)
            waiting = [pair for pair in waiting if pair != (chain, item)]
    assert len(line) == len(waiting)
    served = []
    while (first := line.first(slots)) is not None:
        served.append(first)
        line.leave(*first)
    assert sorted(served) == sorted(waiting)
