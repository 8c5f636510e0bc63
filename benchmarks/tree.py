"""The CPU time of a whole tree of processes, those that have ended included. Linux only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")


def cpu_seconds(session: int) -> float:
    """User and system time of all processes of a session, so far.

    Nothing is sampled: a process that ended is in the times of the parent that waited for it, and
    until then it is a zombie whose times can still be read.

    Args:
        session: the process id of its leader, started with `start_new_session=True`.

    Raises:
        RuntimeError: this system has no /proc to read it from.
    """
    if not (_PROC / "self" / "stat").exists():
        raise RuntimeError("the CPU time of all of Dagster's processes is counted on Linux only")
    ticks = sum(
        sum(int(field) for field in fields[11:15])
        for fields in _all_processes()
        if int(fields[3]) == session
    )
    return ticks / os.sysconf("SC_CLK_TCK")


def _all_processes() -> Iterator[list[str]]:
    """Of every process the fields of proc(5)'s `stat` from the third, `state`, on."""
    for folder in _PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            text = (folder / "stat").read_text()
        except OSError:
            continue  # it ended in between
        # The second field, the name in parentheses, may itself have blanks and parentheses.
        yield text.rpartition(")")[2].split()
