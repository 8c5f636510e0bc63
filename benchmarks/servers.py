"""PostgreSQL and S3 as processes on this machine, each as far away as a bench wants it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import httpx
from sqlalchemy.engine import make_url

from benchmarks.processes import ROOT
from tests.postgres import Postgres
from tests.postgres import running as postgres_running
from topview_pipeline.cli.demo import free_port

DATABASE_PASSWORD: Final = "pa55word-of-postgres"  # noqa: S105 - no server asks for it
BUCKET_SECRET: Final = "s3cret-of-the-bucket"  # noqa: S105 - likewise
STORE: Final = "s3://bucket/media"
_START_SECONDS: Final = 60.0


class Proxy:
    """A port in front of a server, so many seconds away from it and back.

    Args:
        target: a port of this machine, or the path of a socket.
    """

    def __init__(self, target: int | str, seconds: float = 0.0) -> None:
        self._target = target
        self._seconds = seconds
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),), daemon=True)
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        """Pass on nothing more."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port: int = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()

    async def _connected(self, *near: Any) -> None:
        await asyncio.sleep(self._seconds)  # a connection is a way there and back, too
        try:
            far = await (
                asyncio.open_connection("127.0.0.1", self._target)
                if isinstance(self._target, int)
                else asyncio.open_unix_connection(self._target)
            )
        except OSError:  # it is being restarted
            near[1].close()
            return
        with suppress(asyncio.CancelledError):  # at the end
            await asyncio.gather(self._pass_on(near[0], far[1]), self._pass_on(far[0], near[1]))

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def write() -> None:
            while (found := await late.get())[1]:
                await asyncio.sleep(max(found[0] - self._loop.time(), 0.0))
                sink.write(found[1])
            sink.close()

        writing = asyncio.create_task(write())
        data = b"any"
        while data:
            try:
                data = await source.read(2**16)
            except OSError:
                data = b""
            late.put_nowait((self._loop.time() + self._seconds / 2, data))
        with suppress(OSError):
            await writing


@dataclass
class Servers:
    """Running servers; `environment` leads Dagster and a pipeline to them, and holds secrets."""

    postgres: Postgres
    s3: subprocess.Popen[bytes]
    s3_url: str
    dagster_url: str
    environment: dict[str, str]

    @property
    def database(self) -> str:
        """The name of Dagster's."""
        return str(make_url(self.dagster_url).database)

    def requests(self) -> dict[str, Any]:
        """Calls of the S3 server: `requests` by kind, and those that its policy `refused`."""
        found: dict[str, Any] = httpx.get(f"{self.s3_url}/_requests", trust_env=False).json()
        return found


@contextmanager
def servers(*, s3_seconds: float = 0.0, postgres_seconds: float = 0.0) -> Iterator[Servers]:
    """Both, empty, with a database for Dagster and one for the ledger."""
    with ExitStack() as stack:
        postgres = stack.enter_context(postgres_running())
        urls = [make_url(postgres.create()) for _ in ("dagster", "ledger")]
        dagster, ledger = urls
        database = Proxy(f"{dagster.query['host']}/.s.PGSQL.5432", postgres_seconds)
        stack.callback(database.close)
        port = free_port()
        s3 = subprocess.Popen([sys.executable, "-m", "tests.s3", str(port)], cwd=ROOT)
        stack.callback(s3.wait)
        stack.callback(s3.kill)
        bucket = Proxy(port, s3_seconds)
        stack.callback(bucket.close)
        address = f"postgres:{DATABASE_PASSWORD}@127.0.0.1:{database.port}"
        environment = {
            "DAGSTER_POSTGRES_HOST": "127.0.0.1",
            "DAGSTER_POSTGRES_PORT": str(database.port),
            "DAGSTER_POSTGRES_USER": "postgres",
            "DAGSTER_POSTGRES_PASSWORD": DATABASE_PASSWORD,
            "TOPVIEW_LEDGER_URL": f"postgresql+psycopg2://{address}/{ledger.database}",
            "TOPVIEW_STORE": STORE,
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": BUCKET_SECRET,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{bucket.port}",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        found = Servers(
            postgres,
            s3,
            f"http://127.0.0.1:{port}",
            dagster.render_as_string(hide_password=False),
            environment,
        )
        ends = time.monotonic() + _START_SECONDS
        while True:
            with suppress(httpx.HTTPError):
                found.requests()
                break
            if time.monotonic() > ends:
                raise RuntimeError("the S3 server did not start")
            time.sleep(0.2)
        yield found


def dagster_yaml(database: str) -> str:
    """The deploy kit's instance, in this database."""
    text = (ROOT / "deploy" / "dagster.yaml").read_text()
    return text.replace("db_name: dagster", f"db_name: {database}")
