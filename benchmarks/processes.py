"""Measurements in processes of their own: starting one, what it took, and what a session took."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent
_PROC: Final = Path("/proc")
_TIMED: Final = (
    "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"
)
_STARTED: Final = time.monotonic()
_ROLES: Final = {
    "dagster_webserver": "web server",
    "dagster._daemon": "daemon",
    "grpc": "code server",
    "code-server": "code server",
    "dagster dev": "dagster dev",
}
"""The long-lived processes of `dagster dev`, by what is in their command line."""


@dataclass(frozen=True)
class Spent:
    """The resources that a process took until a moment.

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
    """The resources of a whole process; `result` is what the measurement itself found."""

    result: Mapping[str, Any]


class ProgramFailedError(RuntimeError):
    """A measured program ended with an error; the message has the end of its log."""


def run(
    module: str, spec: Mapping[str, Any], *, environ: Mapping[str, str] | None = None
) -> Measured:
    """Run `python -m module` with the spec as its argument until it reports.

    Raises:
        ProgramFailedError: it did not.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, json.dumps(dict(spec))],
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ProgramFailedError(f"{module}: exit {done.returncode}\n{done.stderr[-3000:]}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def spec() -> Any:
    """In the program: its argument."""
    return json.loads(sys.argv[1])


def spent() -> Spent:
    """In the program: the resources it took so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return Spent(cpu_seconds, _peak_mib(), time.monotonic() - _STARTED)


def report(**result: Any) -> None:
    """In the program, at its very end: hand over the result."""
    print(json.dumps({**asdict(spent()), "result": result}))


def resident_mib() -> float:
    """The memory that this process has now; its peak where the system has no /proc."""
    return _status_mib("VmRSS") or _peak_mib()


def _peak_mib() -> float:
    """Linux counts what the parent had before exec into ru_maxrss; VmHWM is this program's own."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _status_mib("VmHWM") or peak / (2**20 if sys.platform == "darwin" else 1024)


def _status_mib(field: str) -> float | None:
    status = _PROC / "self" / "status"
    if not status.exists():
        return None
    (line,) = (line for line in status.read_text().splitlines() if line.startswith(f"{field}:"))
    return float(line.split()[1]) / 1024


def session_cpu_seconds(session: int) -> dict[str, float]:
    """User and system time so far of all processes of a session, by role. Linux only.

    Nothing is sampled: a process that ended is in the times of the parent that waited for it, here
    "run workers", and until then it is a zombie whose times can still be read.

    Args:
        session: the process id of its leader, started with `start_new_session=True`.

    Raises:
        RuntimeError: this system has no /proc to read it from.
    """
    if not (_PROC / "self" / "stat").exists():
        raise RuntimeError("the CPU time of all of Dagster's processes is counted on Linux only")
    seconds: defaultdict[str, float] = defaultdict(float)
    for folder in _PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            # From the third field of proc(5)'s `stat` on; the second, a name in parentheses, may
            # itself have blanks and parentheses.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended in between
        if int(fields[3]) == session:
            role = next((role for part, role in _ROLES.items() if part in command), "run workers")
            seconds[role] += _seconds(*fields[11:13])
            seconds["run workers"] += _seconds(*fields[13:15])
    return dict(seconds)


def _seconds(*clock_ticks: str) -> float:
    return sum(map(int, clock_ticks)) / os.sysconf("SC_CLK_TCK")


def import_seconds(*modules: str, runs: int = 7) -> list[float]:
    """Median seconds that each module takes to import, in turn, in fresh interpreters.

    One more run fills the file caches.
    """
    taken = [[_import_seconds(module) for module in modules] for _ in range(runs + 1)]
    return [median(seconds) for seconds in zip(*taken[1:], strict=True)]


def _import_seconds(module: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _TIMED.format(module)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)
