"""docs/windows.md: every row's tests exist, and no write to the ledger and no move has no row."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from topview_pipeline.ledger.states import MOVES

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "windows.md"
LEDGER = ROOT / "topview_pipeline" / "ledger"
HEADER = "| window | what the ledger says | what happens next | test |"
_NODE = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_MOVE = re.compile(r"`(\w+) → (\w+)`")
_WRITE = re.compile(r"`([a-z_]+\.[a-z_]+)`")


def rows() -> list[list[str]]:
    """The cells of the table's rows."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith("|") and line != HEADER and not line.startswith("| ---")
    ]
    assert HEADER in lines, TABLE
    return cells


def nodes() -> list[tuple[str, str]]:
    """(file, test) of every test named."""
    return sorted({node for row in rows() for node in _NODE.findall(row[3])})


def writes() -> Iterator[str]:
    """`module.method` of every public method of the ledger that begins a transaction to write."""
    for path in sorted(LEDGER.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        methods = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        writing = {method.name for method in methods if _begins_a_write(method)}
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


def test_each_row_has_its_four_cells_and_a_test() -> None:
    for row in rows():
        assert len(row) == 4, row
        assert all(row), row
        assert _NODE.search(row[3]), row


@pytest.mark.parametrize(("file", "test"), nodes(), ids=lambda part: part)
def test_each_named_test_exists(file: str, test: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    defined = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assigned = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert test in defined | assigned


@pytest.mark.parametrize("write", list(writes()))
def test_each_write_to_the_ledger_has_a_row(write: str) -> None:
    """A new write is a new point where a process can die: name it, and a test that kills there."""
    named = {name for row in rows() for cell in row[:2] for name in _WRITE.findall(cell)}
    assert write in named


def test_only_writes_that_exist_are_named() -> None:
    named = {name for row in rows() for cell in row[:2] for name in _WRITE.findall(cell)}
    assert named - set(writes()) == set()


@pytest.mark.parametrize(
    "move",
    sorted(f"{before.value} → {after.value}" for before in MOVES for after in MOVES[before]),
)
def test_each_move_of_a_row_has_a_window(move: str) -> None:
    named = {" → ".join(pair) for row in rows() for pair in _MOVE.findall(row[0])}
    assert move in named
