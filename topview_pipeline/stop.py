"""A person's stop: Ctrl-C, SIGTERM or a closed terminal, accepted from the first line on.

Python raises KeyboardInterrupt wherever the main thread is. In a callback of the garbage collector
it is lost, in foreign code it becomes another error, and while C code waits it comes late. Nothing
here depends on it: the signal's number is written into a pipe by Python's C handler, and a thread
reads it there. Standard library only, so that this is the first thing that loads.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells have it."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NOTHING_SENT: Final = "Stopped. Nothing was sent."
_AT_ONCE: Final = (
    "Ended at once. A later run collects what is at Topview, and pays nothing twice. "
    "This lists a task that was being sent just then: topview-pipeline tasks list --state unknown"
)
_AFTERWARDS: Final = "Stopped. The run had already ended."
_LAST_SECONDS: Final = 1.0
_ONE_PRESS_SECONDS: Final = 0.5
"""Signals so close together are one: a key that repeats, or a shell that sends it twice."""


class Stop:
    """Ends the process at the first signal, or calls back first while something is under way.

    Attributes:
        code: the process's exit code once a signal came, 128 + its number; else None.
        worded: returns a message of this process as the pipeline that it works on has it.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        self.worded: Callable[[str], str] = str
        self._callback: Callable[[], None] | None = None
        self._before_end: Callable[[], None] | None = None
        self._otherwise = _NOTHING_SENT
        self._stopped_at = 0.0
        self._lock = threading.Lock()

    def accept(self) -> None:
        """Take the signals over. What `nohup` ignores stays ignored."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in _SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda *_: None)
        threading.Thread(target=self._watch, args=(reader,), name="stop", daemon=True).start()

    def release(self) -> None:
        """Give the signals back to Python, for a command that ends in its own way."""
        if signal.set_wakeup_fd(-1) != -1:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)

    @contextlib.contextmanager
    def calling(
        self, callback: Callable[[], None], before_end: Callable[[], None] | None = None
    ) -> Iterator[None]:
        """While the block runs the first signal calls back, from another thread, at once.

        The process goes on then; a second signal ends it.

        Args:
            before_end: gets a second before the second signal ends the process.
        """
        with self._lock:
            self._callback, self._before_end = callback, before_end
        try:
            yield
        finally:
            with self._lock:
                self._callback, self._otherwise = None, _AFTERWARDS

    def _watch(self, reader: int) -> None:
        while True:
            for number in os.read(reader, 64):
                if number in _SIGNALS:
                    self._received(number)

    def _received(self, number: int) -> None:
        with self._lock:
            now = time.monotonic()
            if self.code is not None:
                if now - self._stopped_at < _ONE_PRESS_SECONDS:
                    return
                if self._before_end is not None:
                    last = threading.Thread(target=self._before_end, daemon=True)
                    last.start()
                    last.join(_LAST_SECONDS)
                self._end(_AT_ONCE)
            self.code, self._stopped_at = 128 + number, now
            if self._callback is None:
                self._end(self._otherwise)
            else:
                self._callback()

    def _end(self, why: str) -> None:
        """End the process, whatever it is doing."""
        with contextlib.suppress(OSError):
            os.write(2, f"\n{self.worded(why)}\n".encode())
        os._exit(self.code or 1)


stop: Final = Stop()
