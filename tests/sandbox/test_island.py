"""The sandbox shares no code with what it tests, and its media know nothing of its API."""

import ast
from collections.abc import Iterator
from pathlib import Path

import topview_pipeline.sandbox

ROOT = Path(topview_pipeline.sandbox.__file__).parent
NAME = "topview_pipeline.sandbox"


def imported(path: Path) -> Iterator[str]:
    """Full names of the modules of the package that a file imports."""
    room = [*NAME.split("."), *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            base = room[: len(room) - node.level + 1] if node.level else []
            names = [".".join([*base, node.module or ""])]
        yield from (name for name in names if name.startswith("topview_pipeline"))


def test_the_sandbox_imports_nothing_of_the_package() -> None:
    names = {name for path in ROOT.rglob("*.py") for name in imported(path)}
    assert len(names) > 20
    assert {name for name in names if not f"{name}.".startswith(f"{NAME}.")} == set()


def test_media_import_nothing_of_the_api() -> None:
    names = {name for path in (ROOT / "media").rglob("*.py") for name in imported(path)}
    assert names
    assert {name for name in names if name.startswith(f"{NAME}.api")} == set()
