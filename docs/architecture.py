"""Draw the rooms of the package, and who imports whom, into architecture.md.

`make pictures` runs it; tests/test_architecture.py fails when the page shows other imports than
the code has.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "topview_pipeline"
PAGE = HERE / "architecture.md"
EVERYWHERE = {
    "__init__",
    "__main__",
    "errors",
    "prices",
    "setting_types",
    "settings",
    "stop",
    "testing",
    "text",
}
"""Small modules that any room may use, and doors: drawn, they would hide the rest."""


def drawn() -> str:
    """The page's picture, as Mermaid."""
    imports: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room not in EVERYWHERE:
            imports.setdefault(room, set()).update(_rooms_imported(path) - EVERYWHERE - {room})
    arrows = [
        f"    {room} --> {other}"
        for room in sorted(imports)
        for other in sorted(imports[room])
        if not _another_way(imports, room, other)
    ]
    return "\n".join(["```mermaid", "flowchart TD", *arrows, "```"])


def replaced(page: str) -> str:
    """The page with today's picture."""
    return re.sub(r"```mermaid\n.*?\n```", lambda _: drawn(), page, count=1, flags=re.S)


def _another_way(imports: dict[str, set[str]], room: str, other: str) -> bool:
    """A longer way leads there too: the arrow would add a line and no news."""
    seen, left = {room}, list(imports[room] - {other})
    while left:
        here = left.pop()
        if here == other:
            return True
        if here not in seen:
            seen.add(here)
            left += imports.get(here, set())
    return False


def _rooms_imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == PACKAGE.name:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith(f"{PACKAGE.name}.")}
    return found & {one.stem for one in PACKAGE.iterdir()}


if __name__ == "__main__":
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
