"""Ctrl-C that is ignored, sends on, or shows a traceback, at whatever moment it comes.

TOPVIEW_STOP_MOMENTS sets how many moments of the first 20 seconds are tried (the trial of the
closing note: 300).
"""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.cli.conftest import Project, ProjectOf
from tests.cli.terminal import on_terminal

_FOREIGN = ("Traceback", "KeyboardInterrupt", "Exception ignored", "Interrupted", "watch_orphans")
_COUNT = int(os.environ.get("TOPVIEW_STOP_MOMENTS", "8"))


def moments(count: int) -> list[float]:
    """Moments of the first 20 seconds, half of them in the first 3, where most differs."""
    parts = ((0.15, 3.0, count // 2), (3.0, 8.0, count // 4), (8.0, 20.0, count - 3 * count // 4))
    return [
        round(begin + (end - begin) * number / share, 3)
        for begin, end, share in parts
        for number in range(share)
    ]


@pytest.fixture
def project(project_of: ProjectOf) -> Project:
    """A run that lasts for half a minute."""
    project = project_of(speed=2.0, concurrency=2)
    project.products(6)
    project.environment["TOPVIEW_SLOTS"] = "2"
    return project


def accepted(project: Project) -> int:
    """Tasks that the sandbox has accepted so far."""
    return sum(project.counters()["accepted"].values())


@pytest.mark.slow
@pytest.mark.parametrize("moment", moments(_COUNT))
def test_ctrl_c_is_accepted_at_every_moment(project: Project, moment: float) -> None:
    environment = {**os.environ, **project.environment}
    with on_terminal("run", cwd=project.folder, environment=environment) as terminal:
        terminal.read(moment)
        assert terminal.code is None, terminal.text
        terminal.press()
        terminal.read(2.0)
        at_two_seconds = accepted(project)
        code = terminal.end(20.0)
    time.sleep(0.2)
    assert accepted(project) == at_two_seconds, "something was sent later than 2 s after Ctrl-C"
    assert not [word for word in _FOREIGN if word in terminal.text], terminal.text
    # A shell calls both 130: the system ends a process that has not loaded its handler yet.
    assert code in (130, -signal.SIGINT), terminal.text
    assert "Stopped. " in terminal.text or code == -signal.SIGINT
