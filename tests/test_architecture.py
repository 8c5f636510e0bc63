"""Imports point one way. Read from the sources, function bodies included."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

from topview_pipeline.stages import Stage

ROOT = Path(__file__).parents[1]
PACKAGE = "topview_pipeline"

LAYERS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("definitions", "testing"),
    ("pipelines",),
    ("cli",),
    ("defs",),
    ("export", "plan"),
    ("engine",),
    ("stages",),
    ("ledger", "store"),
    ("media", "catalogue", "topview"),
    ("settings",),
    ("setting_types",),
    ("prices",),
    ("text",),
    ("errors",),
    ("stop",),
)
"""The rooms from top to bottom (design: rooms): each imports from the layers below it only."""
EXCEPTIONS = {
    # The command line runs the pipeline of the environment.
    "cli": {"definitions", "sandbox"},
    "testing": {"sandbox"},
}
ISLAND = "sandbox"
SHARED = {"check", "errors", "events", "plan", "run", "gallery", "ledger", "probe", "tasks"}
"""Events are the engine's and Dagster's; a command is named as what it shows."""

STAGES = f"{PACKAGE}.stages"
OWN = {f"{STAGES}.{module}" for module in ("cut_out", "scene", "video")}
STAGELESS = {"engine", "plan", "ledger", "defs"}
"""These rooms name no stage: they ask each by what the base class declares."""

_QUESTIONS = {"What", "Whether", "How", "Who", "Whoever", "Whose", "Which"}


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


def test_every_room_has_a_layer() -> None:
    layered = [room for layer in LAYERS for room in layer]
    assert {room_of(path) for path in sources()} == {*layered, ISLAND}
    assert len(layered) == len(set(layered))


@pytest.mark.parametrize("depth", range(len(LAYERS)), ids=["+".join(layer) for layer in LAYERS])
def test_imports_point_down(depth: int) -> None:
    below = {room for layer in LAYERS[depth + 1 :] for room in layer}
    for room in LAYERS[depth]:
        allowed = {room, *below, *EXCEPTIONS.get(room, set())}
        wrong = {
            str(path.relative_to(ROOT)): sorted(rooms_imported(path) - allowed)
            for path in sources()
            if room_of(path) == room and rooms_imported(path) - allowed
        }
        assert wrong == {}


def test_only_the_stages_know_what_is_one_stages_own() -> None:
    """Else a fourth stage would be an edit of the engine."""
    wrong = [
        f"{path.relative_to(ROOT)}: {alias.name}"
        for path in sources()
        if room_of(path) in STAGELESS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(STAGES)
        for alias in node.names
        if OWN & {node.module, _home(getattr(import_module(node.module or ""), alias.name))}
    ]
    assert wrong == []


def _home(value: Any) -> str:
    """The module of a stage, class or function, or of a module itself."""
    found = type(value) if isinstance(value, Stage) else value
    return str(getattr(found, "__module__", getattr(found, "__name__", "")))


def test_the_sandbox_is_an_island_and_its_media_know_nothing_of_its_api() -> None:
    """It shares no code with what it tests."""
    for path in sources():
        if room_of(path) == ISLAND:
            assert rooms_imported(path) <= {ISLAND}, path
        if path.parent.name == "media" and path.parents[1].name == ISLAND:
            assert not [name for name in imported(path) if f"{ISLAND}.api" in name], path


def test_the_page_on_architecture_shows_todays_imports() -> None:
    drawer = run_path(str(ROOT / "docs" / "architecture.py"))
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert drawer["replaced"](page) == page, "run `make pictures`"


def test_two_rooms_share_no_module_name_but_dagsters_and_the_commands() -> None:
    homes: dict[str, set[str]] = {}
    for path in sources():
        room = room_of(path)
        if path.parent != ROOT / PACKAGE and room != ISLAND and not path.name.startswith("__"):
            homes.setdefault(path.stem, set()).add(room)
    shared = {name: rooms for name, rooms in homes.items() if len(rooms) > 1 and name not in SHARED}
    assert shared == {}


def test_no_module_is_named_by_an_ing() -> None:
    """But `testing`, as pytest's users look for it."""
    wrong = [path for path in sources() if path.stem.endswith("ing") and path.stem != "testing"]
    assert wrong == []


@pytest.mark.parametrize(
    ("package", "rooms"),
    [
        ("dagster", {"defs", "definitions", "cli", "testing"}),
        # `catalogue` fetches the files that products name; the sandbox answers, and notifies.
        ("httpx", {"topview", "catalogue", "store", "sandbox", "cli"}),
        ("sqlalchemy", {"ledger", "setting_types"}),
    ],
)
def test_a_package_is_known_to_few_rooms(package: str, rooms: set[str]) -> None:
    users = {
        room_of(path)
        for path in sources()
        if any(name.split(".")[0].startswith(package) for name in imported(path))
    }
    assert users <= rooms


def test_only_the_command_line_the_location_and_the_settings_read_the_environment() -> None:
    """A setting that is read further down would be one more pipeline's, or nobody's."""
    readers = {
        room_of(path)
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    }
    assert readers <= {"cli", "definitions", "settings", "testing"}


def test_a_docstring_begins_with_a_noun_or_a_verb() -> None:
    """Design: words. Which question it answers is for its reader to find out."""
    folders = (ROOT / name for name in (PACKAGE, "tests", "benchmarks", "deploy"))
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value.value[:40]}"
        for path in sorted(path for folder in folders for path in folder.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        and node.value.value.split(" ")[0] in _QUESTIONS
    ]
    assert wrong == []


def test_no_module_reads_more_than_names_or_starts_anything_when_imported() -> None:
    """Imported with the environment trapped, no thread and no socket may be left behind."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sources()
        if path.name not in ("__init__.py", "__main__.py")
    ]
    code = f"""
import importlib, os, socket, threading
from topview_pipeline.defs.outline import FIELDS
names = [f"TOPVIEW_{{name.upper()}}" for name in FIELDS]
class Trap(type(os.environ)):
    def __getitem__(self, name):
        assert not name.startswith("TOPVIEW_") or name in names, name
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
