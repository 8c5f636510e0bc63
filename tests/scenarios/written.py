"""Everything that processes wrote below a folder, opened as far as anybody could open it."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

_SQLITE = b"SQLite format 3\0"


def written_below(folder: Path) -> Iterator[tuple[str, bytes]]:
    """(place, content) of each file, and of each cell of each SQLite table in them.

    A cell can be cut in two by the pages of its file, and Dagster compresses snapshots: so
    neither the files nor the cells are enough.
    """
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        yield str(file.relative_to(folder)), content
        if content.startswith(_SQLITE):
            for cell, value in cells_of(file):
                yield f"{file.relative_to(folder)}: {cell}", value


def cells_of(file: Path) -> Iterator[tuple[str, bytes]]:
    """(table.column of a row, content) of a SQLite file; compressed ones uncompressed."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        connection.text_factory = bytes
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (name,) in tables.fetchall():
            table = name.decode()
            rows = connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - its own name
            columns = [column[0] for column in rows.description]
            for number, row in enumerate(rows):
                for column, value in zip(columns, row, strict=True):
                    if isinstance(value, bytes):
                        with suppress(zlib.error):
                            value = zlib.decompress(value)
                        yield f"{table}.{column} of row {number}", value
