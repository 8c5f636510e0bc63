"""Keeping Dagster's SQLite event log open while a run tells thousands of events."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import dagster as dg

from topview_pipeline.defs.dagster_internals import event_log_files


@contextmanager
def event_log_kept_open(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """While this lasts, SQLite need not tidy up after each event of the run.

    Dagster opens and closes its files anew for each statement. Whoever closes one as the last
    writes all of the write-ahead log into it and deletes the log, some 25 times a product; while
    another connection is there, and this one does nothing else, SQLite does so every 1,000 pages
    (https://sqlite.org/wal.html#ckpt). Other storages, and files that cannot be opened, are let be.
    """
    with ExitStack() as connections:
        for path in event_log_files(instance, run_id):
            with contextlib.suppress(sqlite3.Error):
                connection = sqlite3.connect(
                    f"{path.as_uri()}?mode=rw", uri=True, timeout=0, check_same_thread=False
                )
                connections.enter_context(closing(connection))
                # SQLite opens a file when it first reads. To the end: a statement that stands
                # half read would keep the log from ever being written back.
                connection.execute("SELECT name FROM sqlite_master").fetchall()
        yield
