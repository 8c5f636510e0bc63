"""Time to know the hashes of photos behind URLs: never read, asked again, trusted.

The server answers each request after 40 ms, and keeps connections alive.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.processes import ROOT
from benchmarks.table import Goal, Row, compared
from topview_pipeline.catalogue import InputFiles
from topview_pipeline.catalogue.threads import AT_ONCE_OF_HOST
from topview_pipeline.ledger import Ledger

if TYPE_CHECKING:
    from benchmarks.sections import Sizes

LATENCY: Final = 0.04
_PHOTO: Final = 50_000  # bytes
_TENTH: Final = 10


def photos(folder: Path, sizes: Sizes, notes: list[str]) -> Iterator[Row]:
    """The looks of a plan at a tenth of the catalogue, against the server's own time."""
    count = sizes.catalogue // _TENTH
    folder.mkdir(parents=True)
    ledger = Ledger(f"sqlite:///{folder}/ledger.db", base_url="https://photos.example", uid="u")
    floor = count * LATENCY / AT_ONCE_OF_HOST
    spent = []
    with _server() as url:
        refs = [f"{url}/{number}.jpg" for number in range(count)]
        for what, trust, most in (
            ("cold", 0, None),
            ("asked again", 0, None),
            ("trusted", 3_600, 4),
        ):
            began, cpu = time.monotonic(), time.process_time()
            found = InputFiles(ledger.hashes, trust_seconds=trust).hashes(refs)
            seconds = time.monotonic() - began
            spent.append(f"{what} {1000 * (time.process_time() - cpu) / count:.2f} ms")
            all(map(found.sha256, refs))  # raises for one that was not read
            goal = None if most is None else Goal(most=most / _TENTH)
            row = f"photos of {count:,} URLs, {what}; 40 ms each, {AT_ONCE_OF_HOST} at a time"
            yield compared(row, seconds, floor, "{:.2f} s", itself=goal)
    ledger.close()
    notes.append(f"Photos: CPU each: {', '.join(spent)}. The server's is not counted.")


@contextmanager
def _server() -> Iterator[str]:
    """The URL of a server in a process of its own."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        fd = listener.fileno()
        command = [sys.executable, "-m", "benchmarks.photos", str(fd)]
        with subprocess.Popen(command, pass_fds=[fd], cwd=ROOT) as process:
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                process.terminate()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request of a connection: the photo, or that it is unchanged."""
    while True:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        await asyncio.sleep(LATENCY)
        name = request.split(b" ", 2)[1]
        is_known = b"if-none-match" in request.lower()
        body = b"" if is_known else name.ljust(_PHOTO, b".")
        status = b"304 Not Modified" if is_known else b"200 OK"
        length = b"" if is_known else b"Content-Length: %d\r\n" % len(body)
        writer.write(b'HTTP/1.1 %s\r\nETag: "%s"\r\n%s\r\n' % (status, name, length) + body)


async def _serve(descriptor: int) -> None:
    server = await asyncio.start_server(_answer, sock=socket.socket(fileno=descriptor))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
