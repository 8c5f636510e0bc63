"""Measurements in a process of their own: starting one, and what it says when it is done."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parent.parent
_STARTED = time.monotonic()


@dataclass(frozen=True)
class Spent:
    """What a process took until a moment.

    Attributes:
        cpu_seconds: user and system time, from the interpreter's start.
        peak_mib: the most memory that it had at once (resident set).
        wall_seconds: from this module's import.
    """

    cpu_seconds: float
    peak_mib: float
    wall_seconds: float


@dataclass(frozen=True)
class Measured(Spent):
    """What a process came to; `result` is what the measurement itself found."""

    result: Mapping[str, Any]


class ChildFailedError(RuntimeError):
    """A measurement's process ended with an error; the message has the end of its log."""


def run(
    module: str, spec: Mapping[str, Any], *, environ: Mapping[str, str] | None = None
) -> Measured:
    """Run `python -m module` with the spec as its argument until it reports.

    Raises:
        ChildFailedError: it did not.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, json.dumps(dict(spec))],
        cwd=_ROOT,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ChildFailedError(f"{module}: exit {done.returncode}\n{done.stderr[-3000:]}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def spec() -> Any:
    """In the child: what it was asked to measure."""
    return json.loads(sys.argv[1])


def spent() -> Spent:
    """In the child: what it took so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return Spent(cpu_seconds, _peak_mib(), time.monotonic() - _STARTED)


def report(**result: Any) -> None:
    """In the child, at its very end: tell what came of it."""
    print(json.dumps({**asdict(spent()), "result": result}))


def _peak_mib() -> float:
    """Linux counts what the parent had before exec into ru_maxrss; VmHWM is this program's own."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 1024)
