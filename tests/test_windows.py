"""docs/windows.md: its tests exist, and no write, no move and no window is missing."""

import ast
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios import test_windows_of_a_process
from tests.scenarios.windows import WINDOWS
from topview_pipeline.ledger.task_row import MOVES

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "windows.md"
LEDGER = ROOT / "topview_pipeline" / "ledger"
HEADER = "| window | what the ledger says | what happens next | test |"
_NODE = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_MOVE = re.compile(r"`(\w+) → (\w+)`")
_WRITE = re.compile(r"`([a-z_]+\.[a-z_]+)`")
_WINDOW = re.compile(r"`([a-z_0-9]+)`")


def rows() -> list[list[str]]:
    """The cells of the tables' rows."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    assert HEADER in lines, TABLE
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith("|") and line != HEADER and not line.startswith("| ---")
    ]


def nodes() -> list[tuple[str, str]]:
    """(file, test) of every test named."""
    return sorted({node for row in rows() for node in _NODE.findall(row[3])})


def writes() -> Iterator[str]:
    """`module.method` of every public method of the ledger that begins a transaction to write."""
    for path in sorted(LEDGER.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        methods = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        writing = {method.name for method in methods if _begins_a_write(method)}
        found = 0
        while found < len(writing):
            found = len(writing)
            writing |= {method.name for method in methods if _calls(method) & writing}
        yield from (f"{path.stem}.{name}" for name in sorted(writing) if not name.startswith("_"))


def _begins_a_write(method: ast.FunctionDef) -> bool:
    return any(
        isinstance(node, ast.With) and any(_is_write(item.context_expr) for item in node.items)
        for node in ast.walk(method)
    )


def _is_write(called: ast.expr) -> bool:
    return (
        isinstance(called, ast.Call)
        and isinstance(called.func, ast.Attribute)
        and called.func.attr == "write"
    )


def _calls(method: ast.FunctionDef) -> set[str]:
    return {
        node.func.attr
        for node in ast.walk(method)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "self"
    }


def named(pattern: re.Pattern[str], *cells: int) -> set[str]:
    """The names in these cells of all rows."""
    found = [match for row in rows() for cell in cells for match in pattern.findall(row[cell])]
    return {match if isinstance(match, str) else " → ".join(match) for match in found}


def test_each_row_has_its_four_cells_and_a_test() -> None:
    for row in rows():
        assert len(row) == 4, row
        assert all(row), row
        assert _NODE.search(row[3]), row


@pytest.mark.parametrize(("file", "test"), nodes(), ids=lambda part: part)
def test_each_named_test_exists(file: str, test: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assigned = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert test in defined | assigned


def test_each_write_to_the_ledger_has_a_row() -> None:
    """A new write is a new point where a process can die: name it, and a test that kills there."""
    assert set(writes()) == named(_WRITE, 0, 1)


def test_each_move_of_a_row_has_a_window() -> None:
    moves = {f"{before.value} → {after.value}" for before in MOVES for after in MOVES[before]}
    assert moves <= named(_MOVE, 0)


def test_each_window_in_which_a_process_ends_has_a_row() -> None:
    assert set(WINDOWS) == named(_WINDOW, 0)


def windows_tried(by: signal.Signals) -> Iterator[str]:
    """The windows in which a process ends by this signal, from the parameters of the tests."""
    for name, test in vars(test_windows_of_a_process).items():
        marks = [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
        cases = {mark.args[0]: mark.args[1] for mark in marks}
        if "by" in cases or by is (signal.SIGTERM if "sigterm" in name else signal.SIGKILL):
            yield from cases.get("window", ())
            yield from (one.values[0] for one in cases.get(("window", "stage"), ()))
            yield from (window for window, _ in cases.get(("window", "fault"), ()))


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM], ids=lambda by: by.name)
def test_a_real_process_ends_in_each_window(by: signal.Signals) -> None:
    assert set(windows_tried(by)) == set(WINDOWS)
