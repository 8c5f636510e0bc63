"""Who works on a row: identity of a producer's process, and whether it still lives.

On its own host a dead owner is known at once (pid and start time); elsewhere, or in another pid
namespace, its lease decides.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

LEASE_SECONDS: Final = 60.0
RENEW_SECONDS: Final = 20.0
NOT_TOLD: Final = 0.0
"""Start time of a process whose system does not tell it."""


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return "unknown"


def process_started(pid: int) -> float | None:
    """Start time of a process in clock ticks since boot, or None when there is no such process.

    Where /proc is missing, or hides the processes of others, a living one answers `NOT_TOLD`.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return _started_without_proc(pid)
    state, *rest = stat.rpartition(")")[2].split()
    return None if state in ("Z", "X") else float(rest[18])


def _started_without_proc(pid: int) -> float | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return NOT_TOLD
    return NOT_TOLD


@dataclass(frozen=True)
class Owner:
    """A producer of this process. `id` is random: two producers of one process are two owners."""

    id: str = field(default_factory=lambda: secrets.token_hex(16))
    host: str = field(default_factory=socket.gethostname)
    boot_id: str = field(default_factory=_boot_id)
    pid_namespace: str = field(default_factory=_pid_namespace)
    pid: int = field(default_factory=os.getpid)
    process_started: float = field(default_factory=lambda: process_started(os.getpid()) or NOT_TOLD)

    def sees(self, other: Mapping[str, Any]) -> bool:
        """Whether this process can look at the other's process itself."""
        return bool(
            other["host"] == self.host
            and other["boot_id"] == self.boot_id
            and other["pid_namespace"] == self.pid_namespace
        )

    def is_alive(self, other: Mapping[str, Any], *, now: float) -> bool:
        """Whether the producer of this `producer` row still works.

        A system that does not tell start times cannot tell a reused pid: there a living pid
        counts until its lease has run out. So does a producer of another boot of a host of this
        name: containers and cloned machines may share a name and yet not be one host.
        """
        if other["ended_at"] is not None:
            return False
        if self.sees(other):
            started = process_started(int(other["pid"]))
            if started is None:
                return False
            if started != NOT_TOLD:
                return started == float(other["process_started"])
        return bool(other["lease_until"] > now)
