"""Progress that misleads: an order counted twice or not at all, a time that no run could take."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from topview_pipeline.cli.phases import RunProgress, progress_of
from topview_pipeline.cli.progress import LogLines, line_of, span, summary_of, table_of
from topview_pipeline.cli.telling import in_credits
from topview_pipeline.ledger import HeldReason, OrderProgress, OrderState, TaskState

RUN = "this run"
SECONDS = {"bgRemovedImage": 5.0, "replacedImages": 60.0, "finishedVideo": 120.0}
WAITING = OrderProgress(
    order_id=0,
    product_id="mug",
    stage="bgRemovedImage",
    state=OrderState.OPEN,
    held=None,
    detail=None,
    mend=None,
    task_id=None,
    task_state=None,
    task_run_id=None,
    credits=None,
    seconds=None,
    running_since=None,
)
DONE = replace(
    WAITING,
    state=OrderState.DONE,
    task_id=1,
    task_state=TaskState.STORED,
    task_run_id=RUN,
    credits=2.0,
    seconds=3.0,
    running_since=10.0,
)
RUNNING = replace(
    WAITING, task_id=2, task_state=TaskState.PENDING, task_run_id=RUN, running_since=100.0
)
HELD = replace(WAITING, held=HeldReason.BUDGET, detail="the limit of the day")
FAILED = replace(WAITING, state=OrderState.FAILED, detail="no face was found")


def orders_of(*orders: OrderProgress) -> list[OrderProgress]:
    return [replace(order, order_id=number) for number, order in enumerate(orders)]


def progress(*orders: OrderProgress, slots: int = 4, now: float = 100.0) -> RunProgress:
    return progress_of(orders_of(*orders), RUN, now=now, typical=SECONDS.__getitem__, slots=slots)


def at(stage: str, order: OrderProgress = WAITING, product: str = "mug") -> OrderProgress:
    return replace(order, stage=stage, product_id=product)


def drawn(shown: RunProgress, width: int = 80) -> list[str]:
    """The lines of the live table on a terminal of this width."""
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, no_color=True)
    console.print(table_of(shown, 75.0))
    return [line.rstrip() for line in _without_escapes(file.getvalue()).splitlines()]


def _without_escapes(text: str) -> str:
    plain = io.StringIO()
    Console(file=plain, width=200).print(_ansi(text))
    return plain.getvalue()


def _ansi(text: str) -> object:
    from rich.text import Text

    return Text.from_ansi(text)


def test_an_order_waits_for_a_slot_only_when_the_stage_before_it_is_there() -> None:
    shown = progress(
        at("bgRemovedImage", DONE), at("replacedImages"), at("finishedVideo"), at("replacedImages")
    )
    assert [dict(stage.phases) for stage in shown.stages] == [
        {"done": 1},
        {"queued": 2},
        {"later": 1},
    ]


def test_what_is_held_or_failed_before_it_is_not_waited_for() -> None:
    shown = progress(at("replacedImages", HELD), at("finishedVideo", HELD, "shoe"))
    assert dict(shown.phases) == {"held": 2}
    assert shown.seconds_left is None


def test_what_topview_finished_is_still_running_until_dagster_has_it() -> None:
    """The last seconds of a run were shown as waiting."""
    finished = replace(RUNNING, task_state=TaskState.STORED)
    assert dict(progress(finished).phases) == {"running": 1}
    assert progress(finished).seconds_left == 0.0


def test_the_time_left_is_of_the_longest_chain_or_of_the_slots() -> None:
    chain = [at(stage) for stage in SECONDS]
    assert progress(*chain, slots=4).seconds_left == 185.0
    many = [at(stage, product=str(number)) for number in range(40) for stage in SECONDS]
    assert progress(*many, slots=4).seconds_left == 1850.0
    assert progress(at("finishedVideo", RUNNING), now=130.0).seconds_left == 90.0
    assert progress(at("finishedVideo", RUNNING), now=999.0).seconds_left == 0.0


@pytest.mark.parametrize(
    ("amount", "said"), [(0.0, "0 credits"), (0.5, "0.5 credits"), (1.0, "1 credit")]
)
def test_one_credit_is_one(amount: float, said: str) -> None:
    assert in_credits(amount) == said


def test_credits_are_of_this_run_and_shared_tasks_count_once() -> None:
    other = replace(DONE, task_id=9, task_run_id="another run", credits=50.0)
    assert progress(DONE, replace(DONE, product_id="cup"), other, RUNNING).credits == 2.0


ANY = st.builds(
    at,
    st.sampled_from(list(SECONDS)),
    st.sampled_from([WAITING, DONE, RUNNING, HELD, FAILED]),
    st.sampled_from("abc"),
)


@given(st.lists(ANY, max_size=30), st.integers(1, 12))
def test_every_order_is_in_one_phase_and_the_time_is_one_that_a_run_could_take(
    orders: list[OrderProgress], slots: int
) -> None:
    shown = progress(*orders, slots=slots)
    assert shown.orders == len(orders) == sum(shown.phases.values())
    open_ones = [o for o in orders if o.state is OrderState.OPEN and o.held is None]
    assert (shown.seconds_left is None) == (not open_ones)
    if shown.seconds_left is not None:
        alone = sum(SECONDS[order.stage] for order in open_ones)
        assert alone / slots - 1e-9 <= shown.seconds_left <= alone + 1e-9


def test_the_table_of_ten_thousand_products_is_whole_in_80_columns() -> None:
    orders = [
        at(stage, order, str(number))
        for stage in SECONDS
        for order in (DONE, RUNNING, HELD, FAILED)
        for number in range(2500)
    ]
    lines = drawn(progress(*orders))
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == [
        "stage", "done", "running", "queued", "later", "held", "failed",
    ]  # fmt: skip
    assert lines[1].split()[2:] == ["2500/10000", "2500", "-", "-", "2500", "2500"]
    assert "left, 75 s so far" in " ".join(lines)
    assert "…" not in "".join(lines)


def test_a_log_tells_each_order_once_and_the_run_now_and_then() -> None:
    orders = orders_of(DONE, at("replacedImages", RUNNING), at("finishedVideo"), at("x", FAILED))
    orders[3] = replace(orders[3], stage="finishedVideo", product_id="shoe")
    shown = progress_of(orders, RUN, now=110.0, typical=SECONDS.__getitem__, slots=4)
    lines = LogLines(RUN, now=0.0)
    assert list(lines.of(orders, shown, now=1.0)) == [
        "mug bgRemovedImage made in 3.0 s, 2 credits",
        "shoe finishedVideo failed: no face was found",
    ]
    assert list(lines.of(orders, shown, now=59.0)) == []
    assert list(lines.of(orders, shown, now=60.0)) == [
        "4 ordered: 1 done, 1 running, 1 waiting for the stage before, 1 failed; "
        "2 credits, about 3 min left"
    ]
    assert list(lines.of(orders, shown, now=61.0)) == []


def test_a_log_of_a_quick_run_is_told_how_far_it_is_after_25_orders() -> None:
    orders = orders_of(*[replace(DONE, product_id=str(number)) for number in range(25)], WAITING)
    lines = list(LogLines(RUN, now=0.0).of(orders, progress(*orders), now=1.0))
    assert lines[-1] == "26 ordered: 25 done, 1 waiting for a slot; 2 credits, about 5 s left"


def test_a_log_ends_without_a_summary_of_what_the_outcome_says() -> None:
    orders = orders_of(*[DONE] * 30)
    assert len(list(LogLines(RUN, now=0.0).of(orders, progress(*orders), now=99.0))) == 30


def test_what_came_from_the_store_is_said_to() -> None:
    assert line_of(replace(DONE, task_run_id="before"), RUN) == (
        "mug bgRemovedImage taken from the store"
    )


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (119, "119 s"), (150, "2 min"), (9000, "2.5 h")]
)
def test_a_span_has_a_persons_unit(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_a_run_that_ended_says_no_time() -> None:
    assert summary_of(progress(DONE)) == "1 ordered: 1 done; 2 credits"
