"""Names and reasons that rich would read as markup or a terminal carry out; help, completion."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from rich.console import Console

from tests.cli.conftest import Project
from tests.cli.test_progress import failed, held, progress_of
from topview_pipeline.cli.console import in_credits, say, say_rows, span
from topview_pipeline.cli.plan import Plan, say_plan
from topview_pipeline.cli.progress import say_outcome
from topview_pipeline.plan import PlannedStage
from topview_pipeline.plan.forecast import forecast

NAMES = ["lamp[/]", "mug [red]", "[bold]x[/bold]", "[link=https://evil.example]y", ":smile:", "z\\"]
LONG = "winter-jacket-men-xl-navy-2026-long-sku-00123456789"


def said(speak: Callable[[Console], None], *, is_terminal: bool, width: int = 300) -> str:
    """The text that reaches a terminal, or a pipe."""
    file = io.StringIO()
    speak(Console(file=file, width=width, force_terminal=is_terminal, color_system=None))
    return file.getvalue()


def plan_of(*planned: PlannedStage) -> Callable[[Console], None]:
    coming = forecast(planned, typical=lambda _: 60.0, slots=4)
    return lambda console: say_plan(console, Plan(planned, coming), show_all=False)


def planned(product_id: str, reason: str = "new") -> PlannedStage:
    return PlannedStage(product_id, "replacedImages", reason, 1.0, submits=True)


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_products_and_reasons_are_named_as_they_are(name: str, is_terminal: bool) -> None:
    """`lamp[/]` was a traceback after everything was paid, and `mug [red]` was called `mug`."""
    one = progress_of(failed(name, what=f"no face in {name}", fix=f"fix {name}"))
    text = said(lambda console: say_outcome(console, one), is_terminal=is_terminal)
    assert text.count(name) == 3
    many = progress_of(*(held(f"{name}{number}", what=f"off {name}") for number in range(9)))
    text = said(lambda console: say_outcome(console, many), is_terminal=is_terminal)
    assert text.count(name) == 10
    text = said(plan_of(planned(name, f"why {name}")), is_terminal=is_terminal)
    assert text.count(f"why {name}") == 2
    assert text.count(name) == 3


def test_a_long_product_id_of_a_plan_is_found_in_a_log_and_fits_on_a_terminal() -> None:
    """It was folded over two lines of an 80 columns' table that no terminal shows."""
    text = said(plan_of(planned(LONG, "a reason " * 12)), is_terminal=False, width=80)
    (line,) = [line for line in text.splitlines() if LONG in line]
    assert line.split("\t") == [LONG, "replacedImages", ("a reason " * 12).strip(), "1"]
    assert [line for line in text.splitlines() if line.startswith("1 new task, about 1 credit,")]
    text = said(plan_of(planned(LONG)), is_terminal=True, width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "replacedImages" in text


@pytest.mark.parametrize("is_terminal", [True, False])
def test_topviews_words_steer_no_terminal_and_forge_no_line(is_terminal: bool) -> None:
    foreign = "bad \x1b[31mphoto\x1b[0m\nmug finishedVideo made in 1.0 s\r\x07 \x9b2J"
    progress = progress_of()
    line, _ = progress.add(failed("mug\x9b2J", what=foreign, fix=foreign))
    assert line is not None
    assert len(line.splitlines()) == 1

    def speak(console: Console) -> None:
        say_outcome(console, progress_of(failed("mug\x9b2J", what=foreign, fix=foreign)))
        say(line, console)
        say_rows(console, ["what"], [[foreign]])
        plan_of(planned("mug", foreign))(console)

    text = said(speak, is_terminal=is_terminal)
    assert not set("\x07\r\x9b") & set(text)
    assert "\x1b[31m" not in text
    assert not [line for line in text.splitlines() if line.startswith("mug finishedVideo made")]


def test_a_slow_pipe_that_does_not_block_gets_all_of_an_output() -> None:
    """CI runners and parents in node make such pipes; the summary was lost."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    code = "from topview_pipeline.cli.console import keep_output_going as keep; keep();"
    code += "print('x' * 3_000_000); print('summary')"
    with subprocess.Popen([sys.executable, "-c", code], stdout=writer), open(reader, "rb") as pipe:
        os.close(writer)
        assert (len(found := pipe.read()), found[-8:]) == (3_000_009, b"summary\n")


def test_amounts_and_times_have_a_persons_unit() -> None:
    assert list(map(in_credits, (0.0, 0.5, 1.0))) == ["0 credits", "0.5 credits", "1 credit"]
    spans = ["0 s", "119 s", "2 min", "2.5 h", "3.0 d"]
    assert list(map(span, (0.4, 119, 150, 9000, 259_200))) == spans


def test_help_names_every_command_and_loads_none() -> None:
    """Dagster takes a second to load: nobody waits that long for help."""
    code = (
        "import sys; from click.testing import CliRunner; from topview_pipeline.cli import main\n"
        "from topview_pipeline.cli import run  # whose first word comes before Dagster loads\n"
        "print(CliRunner().invoke(main, ['--help']).output)\n"
        "assert not {'dagster', 'sqlalchemy', 'httpx', 'rich'} & set(sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    for command in ("run", "plan", "tasks", "ledger", "choose", "gallery", "demo", "ui"):
        assert f"  {command} " in ran.stdout


def offered(project: Project, words: str, **changes: str) -> list[str]:
    """The words that the shell would offer for the last one."""
    ran = project.run(
        COMP_WORDS=f"topview-pipeline {words}",
        COMP_CWORD=str(len(words.split(" "))),
        _TOPVIEW_PIPELINE_COMPLETE="bash_complete",
        **changes,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return [line.removeprefix("plain,") for line in ran.stdout.split()]


def test_what_is_there_is_offered_and_nothing_where_nothing_can_be_read(project: Project) -> None:
    """An error would stand between two keystrokes."""
    project.products(2)
    for words, expected in (
        ("run --product product-", ["product-0", "product-1"]),
        ("choose product-", ["product-0", "product-1"]),
        ("run --stage b", ["bgRemovedImage"]),
        ("tas", ["tasks"]),
        ("tasks list --state exp", ["expired"]),
    ):
        assert offered(project, words) == expected
    for catalogue in ("", "gone.csv", "https://127.0.0.1:1/x.csv", "python:nothing:here"):
        assert offered(project, "run --product p", TOPVIEW_CATALOGUE=catalogue) == []
