"""A command on a terminal of its own: what it draws, and what Ctrl-C does to it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyte

CTRL_C: Final = b"\x03"
_SCRIPT: Final = "import sys; from topview_pipeline.__main__ import main; sys.exit(main())"
"""As pip writes the command."""
_DEFAULTS: Final = {signal.SIGINT: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}


class Terminal:
    """A process with a pseudo terminal.

    Attributes:
        text: everything that it wrote, as it came.
        shown: the screen after each piece that it wrote.
    """

    def __init__(self, pid: int, number: int, columns: int) -> None:
        self.pid = pid
        self.text = ""
        self.code: int | None = None
        self.began = time.monotonic()
        self.spoke_after: list[float] = []
        self.screen = pyte.HistoryScreen(columns, 40, history=1000)
        self._number = number
        self._stream = pyte.ByteStream(self.screen)

    def read(self, seconds: float) -> None:
        """Take in what comes within this time; it ends early with the process."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self.code is None:
            if select.select([self._number], [], [], left)[0]:
                self._take()

    def _take(self) -> None:
        try:
            data = os.read(self._number, 65536)
        except OSError:  # Linux: the other side is closed
            data = b""
        if not data:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            return
        self.spoke_after.append(time.monotonic() - self.began)
        self.text += data.decode(errors="replace")
        self._stream.feed(data)

    def until(self, is_so: Callable[[], bool], seconds: float = 60.0) -> None:
        """Read until this is so."""
        end = time.monotonic() + seconds
        while not is_so():
            assert self.code is None, self.text
            assert time.monotonic() < end, self.text
            self.read(0.02)

    def end(self, seconds: float = 60.0) -> int:
        """Read to the end of the process; its exit code."""
        self.read(seconds)
        assert self.code is not None, f"it did not end: {self.text}"
        return self.code

    def press(self, keys: bytes = CTRL_C) -> None:
        """Type: the terminal makes a signal of Ctrl-C, for all processes in the foreground."""
        os.write(self._number, keys)

    @property
    def lines(self) -> list[str]:
        """Everything that a person sees, scrolled back to the top."""
        rows = [*self.screen.history.top, *(self.screen.buffer[y] for y in range(40))]
        width = self.screen.columns
        return [
            line for row in rows if (line := "".join(row[x].data for x in range(width)).rstrip())
        ]


@contextmanager
def on_terminal(
    *arguments: str, cwd: Path, environment: Mapping[str, str], columns: int
) -> Iterator[Terminal]:
    """Start `topview-pipeline` on a terminal; it is killed at the end."""
    command = [sys.executable, "-c", _SCRIPT, *arguments]
    pid, number = pty.fork()
    if pid == 0:
        for name, action in _DEFAULTS.items():
            signal.signal(name, action)
        os.chdir(cwd)
        os.execve(command[0], command, dict(environment))
    fcntl.ioctl(number, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    terminal = Terminal(pid, number, columns)
    try:
        yield terminal
    finally:
        if terminal.code is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(number)
