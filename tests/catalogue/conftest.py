"""A web server of files by path; it counts its answers."""

import http.server
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest


class FileServer:
    """Files by path, with headers of their own; `asked` counts answers by status."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.asked: Counter[int] = Counter()
        self.url = ""

    def put(self, path: str, data: bytes, **headers: str) -> str:
        """Serve a file, and return its URL. `ETag='"1"'` adds a header; _ stands for -."""
        self.files[path] = data
        self.headers[path] = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.url + path

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        body = self.files.get(request.path)
        headers = self.headers.get(request.path, {})
        known = (request.headers["If-None-Match"], request.headers["If-Modified-Since"])
        own = (headers.get("ETag"), headers.get("Last-Modified"))
        same = any(one is not None and one == other for one, other in zip(known, own, strict=True))
        status = 404 if body is None else 302 if "Location" in headers else 304 if same else 200
        self.asked[status] += 1
        sent = body if body is not None and status == 200 else b""
        request.send_response(status)
        for name, value in {"Content-Length": str(len(sent)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(sent)


S = TypeVar("S", bound=FileServer)


@contextmanager
def serving(server: S) -> Iterator[S]:
    """Serve in a thread on a free port of this machine; `answer` gets what is posted, too."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Keep the test output clean."""

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{httpd.server_port}"
    try:
        yield server
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(FileServer()) as server:
        yield server
