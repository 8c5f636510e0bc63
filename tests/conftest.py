"""Settings and fixtures that tests of several rooms share."""

import asyncio
import functools
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import httpx
import pytest
import uvicorn.server
from alembic.script import ScriptDirectory

from tests.postgres import Postgres, running

# A shell's background job, or nohup, as some CI runners start theirs: commands that tests start
# would inherit what is ignored and end at no Ctrl-C, and Dagster would ignore SIGTERM, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Where it is set, as in containers, each command that a test starts compiles the package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# No power cut is tested, and a run waits for the disk hundreds of times: SQLite, for each commit.
MEMORY: Final = Path("/dev/shm")
_ROOM_BYTES: Final = 4 * 2**30
if MEMORY.is_dir() and "TMPDIR" not in os.environ:
    _disk = os.statvfs(MEMORY)
    if _disk.f_bavail * _disk.f_frsize > _ROOM_BYTES and not _disk.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


# Hundreds of tests start a sandbox, clients and a Dagster of their own, in this process. Each
# client read all certificates, each Dagster its 90 migrations, and each sandbox ended 0.2 s late.
def _impatient(seconds: float) -> Any:
    return asyncio.sleep(min(seconds, 0.01))


_ssl_context = functools.cache(httpx.create_ssl_context)
for _owner, _name, _quick in (
    (httpx, "create_ssl_context", _ssl_context),
    (httpx._transports.default, "create_ssl_context", _ssl_context),
    (ScriptDirectory, "from_config", functools.cache(ScriptDirectory.from_config)),
    (uvicorn.server, "asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": _impatient})),
):
    setattr(_owner, _name, _quick)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules with the longest time limits first: at the end no worker is alone with one."""
    longest: dict[Path, float] = {}
    for item in items:
        longest[item.path] = max(longest.get(item.path, 0.0), _seconds(item))
    items.sort(key=lambda item: longest[item.path], reverse=True)


def _seconds(item: pytest.Item) -> float:
    limit = item.get_closest_marker("timeout")
    if limit is not None:
        return float(limit.args[0])
    return 120.0 if item.get_closest_marker("slow") else 0.0


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL, started by the first test that asks for it."""
    with running() as server:
        yield server
