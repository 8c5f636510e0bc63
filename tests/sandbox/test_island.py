"""The sandbox shares no code with what it tests: it imports nothing of the package but itself."""

import ast
from collections.abc import Iterator
from pathlib import Path

import topview_pipeline.sandbox

ROOT = Path(topview_pipeline.sandbox.__file__).parent


def imported(tree: ast.AST, depth: int) -> Iterator[str]:
    """Modules that a file imports, by full name; `depth` is how far below the sandbox it is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level <= depth + 1:
            inside = "topview_pipeline.sandbox." if node.level else ""
            yield inside + (node.module or "")
        elif isinstance(node, ast.ImportFrom):
            yield f"topview_pipeline.{node.module}"


def test_the_sandbox_imports_nothing_of_the_package() -> None:
    files = list(ROOT.rglob("*.py"))
    assert len(files) > 20
    for path in files:
        depth = len(path.relative_to(ROOT).parts) - 1
        for name in imported(ast.parse(path.read_text()), depth):
            ours = name.partition(".")[0] == "topview_pipeline"
            assert not ours or name.startswith("topview_pipeline.sandbox"), f"{path.name}: {name}"
