"""All rows at a glance say what the rows say one by one."""

from __future__ import annotations

from tests.ledger.conftest import order, pend, reserve, store
from topview_pipeline.ledger import Ledger, Task, TaskGlance, TaskState

STAGE = "replacedImages"
PRODUCTS = ("a", "b", "c", "d", "e")


def glance(task: Task, *, is_result_wanted: bool = True, inputs: bool = True) -> TaskGlance:
    return TaskGlance(
        task.fingerprint,
        task.state,
        task.retryable,
        task.result if is_result_wanted else None,
        task.inputs if inputs else {},
    )


def ledger_of_all_kinds(ledger: Ledger) -> None:
    """a: two works, the later one counts; b: superseded and made anew by c, that shares its work;
    c's own; d: superseded for good; e: pending."""
    for work in ("first", "second"):
        made = order(ledger, "a")
        task = store(ledger, reserve(ledger, made, work=work))
        ledger.orders.done(made.id, task.id)
    dead = order(ledger, "b")
    row = store(ledger, reserve(ledger, dead, work="shared"))
    ledger.orders.done(dead.id, row.id)
    ledger.orders.supersede(row.id, why="its image is gone", who="me")
    anew = order(ledger, "c")
    ledger.orders.done(anew.id, store(ledger, reserve(ledger, anew, work="shared")).id)
    lost = order(ledger, "d")
    row = store(ledger, reserve(ledger, lost))
    ledger.orders.done(lost.id, row.id)
    ledger.orders.supersede(row.id, why="its image is gone", who="me")
    pend(ledger, reserve(ledger, order(ledger, "e")))


def test_every_row_is_there_with_just_the_results_that_were_asked_for(ledger: Ledger) -> None:
    ledger_of_all_kinds(ledger)
    for results_of in ([STAGE], ["finishedVideo"], []):
        expected: dict[str, list[TaskGlance]] = {}
        for task in ledger.tasks.all():
            seen = glance(task, is_result_wanted=STAGE in results_of, inputs=False)
            expected.setdefault(task.fingerprint, []).append(seen)
        assert ledger.overview.rows(results_of=results_of) == expected


def test_what_all_last_stored_is_what_each_last_stored(ledger: Ledger) -> None:
    ledger_of_all_kinds(ledger)
    expected = {
        (product, STAGE): glance(task)
        for product in PRODUCTS
        if (task := ledger.tasks.last_stored(product, STAGE)) is not None
    }
    assert {product: one.state for (product, _), one in expected.items()} == {
        "a": TaskState.STORED,
        "b": TaskState.STORED,
        "c": TaskState.STORED,
        "d": TaskState.SUPERSEDED,
    }
    assert ledger.overview.last_stored(results_of=[STAGE]) == expected


def test_the_rows_of_another_account_are_not_seen(ledger: Ledger, ledger_url: str) -> None:
    ledger_of_all_kinds(ledger)
    other = Ledger(ledger_url, base_url="https://elsewhere", uid="other")
    try:
        assert other.overview.rows(results_of=[STAGE]) == {}
        assert other.overview.last_stored(results_of=[STAGE]) == {}
    finally:
        other.close()
