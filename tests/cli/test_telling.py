"""Names and reasons that rich would read as markup, and that a terminal would obey."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from tests.cli.test_progress import FAILED, HELD, RUN, orders_of
from topview_pipeline.cli.outcome import tell_outcome
from topview_pipeline.cli.plan import tell_plan
from topview_pipeline.cli.progress import line_of
from topview_pipeline.cli.telling import tell, tell_rows
from topview_pipeline.forecast import forecast
from topview_pipeline.ledger import OrderProgress
from topview_pipeline.planning import PlannedOrder

NAMES = ["lamp[/]", "mug [red]", "[bold]x[/bold]", "[link=https://evil.example]y", ":smile:", "z\\"]
LONG = "winter-jacket-men-xl-navy-2026-long-sku-00123456789"


def told(say: Callable[[Console], None], *, is_terminal: bool, width: int = 300) -> str:
    file = io.StringIO()
    say(Console(file=file, width=width, force_terminal=is_terminal, color_system=None))
    return file.getvalue()


def planned(product_id: str, reason: str = "new") -> PlannedOrder:
    return PlannedOrder(product_id, "replacedImages", reason, 1.0, submits=True)


def tell_plan_of(*orders: PlannedOrder) -> Callable[[Console], None]:
    coming = forecast(orders, typical=lambda _: 60.0, slots=4)
    return lambda console: tell_plan(console, orders, coming, show_all=False)


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_the_end_of_a_run_names_products_as_they_are(name: str, is_terminal: bool) -> None:
    """`lamp[/]` was a traceback after everything was paid, and `mug [red]` was called `mug`."""
    order = replace(FAILED, product_id=name, detail=f"no face in {name}", mend=f"mend {name}")
    said = told(lambda console: tell_outcome(console, [order], RUN), is_terminal=is_terminal)
    assert said.count(name) == 3


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_many_of_one_trouble_are_named_as_they_are(name: str, is_terminal: bool) -> None:
    many = orders_of(*[replace(HELD, product_id=name)] * 9)
    said = told(lambda console: tell_outcome(console, many, RUN), is_terminal=is_terminal)
    assert name in said


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_a_plan_names_products_and_reasons_as_they_are(name: str, is_terminal: bool) -> None:
    said = told(tell_plan_of(planned(name, f"why {name}")), is_terminal=is_terminal)
    assert said.count(f"why {name}") == 2
    assert said.count(name) == 3


def test_a_long_product_id_of_a_plan_is_found_in_a_log() -> None:
    """It was folded over two lines of an 80 columns' table that nobody's terminal has."""
    said = told(tell_plan_of(planned(LONG, "a reason " * 12)), is_terminal=False, width=80)
    (line,) = [line for line in said.splitlines() if LONG in line]
    assert line == f"{LONG}  replacedImages  {('a reason ' * 12).strip()}  1"
    assert [line for line in said.splitlines() if line.startswith("1 new tasks")]


def test_a_plan_on_a_terminal_is_a_table_that_fits() -> None:
    said = told(tell_plan_of(planned(LONG)), is_terminal=True, width=80)
    assert max(map(len, said.splitlines())) <= 80
    assert "replacedImages" in said


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_topview_says_commands_no_terminal_and_forges_no_line(is_terminal: bool) -> None:
    detail = "bad \x1b[31mphoto\x1b[0m\nmug finishedVideo made in 1.0 s\r\x07 \x9b2J"
    bad: OrderProgress = replace(FAILED, detail=detail, mend=detail, product_id="mug\x9b2J")
    assert len(line_of(bad, RUN).splitlines()) == 1

    def say(console: Console) -> None:
        tell_outcome(console, [bad], RUN)
        tell_outcome(console, orders_of(*[bad] * 9), RUN)
        tell(console, line_of(bad, RUN))
        tell_rows(console, ["what"], [[detail]])
        tell_plan_of(planned("mug", detail))(console)

    said = told(say, is_terminal=is_terminal, width=300)
    assert not set("\x07\r\x9b") & set(said)
    assert "\x1b[31m" not in said
    assert not [line for line in said.splitlines() if line.startswith("mug finishedVideo made")]
