"""Imports point one way. Read from the sources, function bodies included."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "topview_pipeline"

MAY_IMPORT: dict[str, set[str]] = {
    # Leaves.
    "redaction": set(),
    "environment": set(),
    "grouping": set(),
    "prices": set(),
    "printable": set(),
    "probes": set(),
    "ledger": set(),
    "sandbox": set(),
    # Leaves that stand on a leaf.
    "sources": {"redaction"},
    "topview": {"printable", "redaction"},
    "settings": {"environment", "prices", "sources"},
    "inputs": {"sources"},
    "previews": {"probes"},
    "quality": {"probes"},
    "artifacts": {"sources"},
    "catalogue": {"settings", "sources"},
    # What a stage is, then the engine, then what is said of both.
    "stages": {"topview", "catalogue", "artifacts", "prices", "redaction"},
    "producer": {
        "artifacts",
        "catalogue",
        "inputs",
        "ledger",
        "prices",
        "redaction",
        "stages",
        "topview",
    },
    "planning": {"catalogue", "inputs", "ledger", "producer", "stages"},
    "forecast": {"planning", "stages"},
    "recipes": {"inputs", "ledger", "planning", "settings", "stages"},
    "reconciliation": {"ledger", "producer", "settings", "topview"},
    "results": {"artifacts", "ledger", "stages"},
    "pairing": {"artifacts", "ledger"},
    "recovery": {"artifacts", "ledger", "producer"},
    "inspection": {"artifacts", "ledger", "probes", "producer", "quality", "stages"},
    "syncing": {"catalogue", "ledger"},
    "choosing": {"ledger", "stages", "topview"},
    "ways_out": {"ledger"},
    "concerns": {"ledger", "ways_out"},
    "portfolio": {
        "artifacts",
        "catalogue",
        "ledger",
        "producer",
        "quality",
        "stages",
        "syncing",
        "topview",
    },
    "manifest": {"artifacts", "portfolio"},
    "publishing": {"artifacts", "manifest", "portfolio", "probes"},
    "gallery": {"artifacts", "ledger", "portfolio", "probes", "sources", "stages", "ways_out"},
    "mistakes": {"artifacts", "catalogue", "ledger", "settings", "stages", "topview"},
    # Dagster.
    "defs": {
        "artifacts",
        "catalogue",
        "choosing",
        "concerns",
        "forecast",
        "grouping",
        "inputs",
        "inspection",
        "ledger",
        "mistakes",
        "pairing",
        "portfolio",
        "publishing",
        "planning",
        "previews",
        "probes",
        "producer",
        "quality",
        "recipes",
        "reconciliation",
        "results",
        "settings",
        "stages",
        "syncing",
        "topview",
        "ways_out",
    },
    "definitions": {"defs"},
}
"""What each room may import; `cli` may import all."""
DAGSTER_ROOMS = {"defs", "definitions", "cli"}


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / PACKAGE).parts[0].removesuffix(".py")


def sources() -> list[Path]:
    return sorted(
        path for path in (ROOT / PACKAGE).rglob("*.py") if path != ROOT / PACKAGE / "__init__.py"
    )


def imported(path: Path) -> Iterator[str]:
    """Dotted names of all modules that a file imports, relative ones resolved."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            if module == PACKAGE:
                yield from (f"{PACKAGE}.{alias.name}" for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    parts = (name.split(".") for name in imported(path))
    return {names[1] for names in parts if names[0] == PACKAGE and len(names) > 1}


@pytest.mark.parametrize("room", [*MAY_IMPORT, "cli"])
def test_every_room_is_there(room: str) -> None:
    assert [path for path in sources() if room_of(path) == room]


def test_no_room_is_without_a_rule() -> None:
    assert {room_of(path) for path in sources()} == {*MAY_IMPORT, "cli"}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_point_one_way(room: str) -> None:
    allowed = {room, *MAY_IMPORT[room]}
    wrong = {
        str(path.relative_to(ROOT)): sorted(rooms_imported(path) - allowed)
        for path in sources()
        if room_of(path) == room and rooms_imported(path) - allowed
    }
    assert wrong == {}


def test_only_defs_and_the_command_line_know_dagster() -> None:
    knowing = {
        room_of(path)
        for path in sources()
        if any(name.split(".")[0].startswith("dagster") for name in imported(path))
    }
    assert knowing <= DAGSTER_ROOMS


def test_only_the_command_line_starts_the_sandbox() -> None:
    users = {room_of(path) for path in sources() if "sandbox" in rooms_imported(path)}
    assert users <= {"sandbox", "cli"}


def test_the_client_knows_httpx_and_nobody_reads_the_api_past_it() -> None:
    """`sources` and `inputs` fetch a catalogue's own files; the sandbox answers, and notifies."""
    users = {
        room_of(path)
        for path in sources()
        if any(name.split(".")[0] == "httpx" for name in imported(path))
    }
    assert users <= {"topview", "sources", "inputs", "artifacts", "sandbox", "cli"}


def test_only_the_ledger_and_its_settings_know_the_database() -> None:
    users = {
        room_of(path)
        for path in sources()
        if any(name.split(".")[0] == "sqlalchemy" for name in imported(path))
    }
    assert users <= {"ledger", "settings"}


def test_nothing_prints_in_the_package() -> None:
    printing = [
        str(path.relative_to(ROOT))
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert printing == []


def test_no_module_reads_a_setting_or_starts_anything_when_imported() -> None:
    """Imported with the environment trapped, no thread and no socket may be left behind."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sources()
        if path.name not in ("__init__.py", "__main__.py")
    ]
    code = f"""
import importlib, os, socket, threading
class Trap(type(os.environ)):
    def __getitem__(self, name):
        assert not name.startswith("TOPVIEW_"), name
        return super().__getitem__(name)
os.environ.__class__ = Trap
def no_socket(*args, **options):
    raise AssertionError("a socket at import")
before = threading.active_count()
socket.socket.connect = no_socket
socket.socket.bind = no_socket
for name in {modules!r}:
    importlib.import_module(name)
assert threading.active_count() == before, threading.enumerate()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
