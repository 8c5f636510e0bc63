"""An S3 server for tests: it counts requests, and allows what docs/buckets.md's policy allows."""

import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

ACCOUNT_FOLDER: Final = "/bucket/media/{account}/"
MARKER: Final = "/bucket/media/.topview-store.json"
COUNTS: Final = "/_requests"
_App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class S3:
    """A running server with one bucket, `bucket`; the store is its folder `media`.

    Attributes:
        account: whose prefix may be written; empty: any.
        requests: of each kind so far, as "PUT object".
        refused: what the policy does not allow.
        fails: how many of the next parts of an upload are answered with 500.
    """

    def __init__(self, app: _App) -> None:
        self._app = app
        self._lock = threading.Lock()
        self.account = ""
        self.requests: Counter[str] = Counter()
        self.types: dict[str, str] = {}
        self.refused: list[str] = []
        self.fails = 0
        self.port = 0

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which a process finds the server."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "AKIATEST",
            "AWS_SECRET_ACCESS_KEY": "s3cret-of-aws",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def __call__(self, request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method, path = request["REQUEST_METHOD"], request["PATH_INFO"]
        if path == COUNTS:
            start("200 OK", [("Content-Type", "application/json")])
            return [json.dumps({"requests": self.requests, "refused": self.refused}).encode()]
        query = request.get("QUERY_STRING", "")
        kind = _kind(method, path, query)
        with self._lock:
            self.requests[kind] += 1
            must_fail = kind == "PUT part" and self.fails > 0
            self.fails -= must_fail
            if (
                method in ("PUT", "POST")
                and "CONTENT_TYPE" in request
                and "partNumber" not in query
            ):
                self.types[path] = request["CONTENT_TYPE"]
        if must_fail:
            return self._answer(request, start, "500 Internal Server Error", "InternalError")
        if not self._is_allowed(kind, path):
            self.refused.append(f"{kind} {path}")
            return self._answer(request, start, "403 Forbidden", "AccessDenied")
        return self._app(request, start)

    def _is_allowed(self, kind: str, path: str) -> bool:
        if kind == "PUT object" and path == MARKER:
            return True
        if kind in ("PUT object", "PUT part", "POST upload", "DELETE upload"):
            return path.startswith(ACCOUNT_FOLDER.format(account=self.account).replace("//", "/"))
        if kind in ("GET object", "HEAD object"):
            return path.startswith("/bucket/media/")
        return kind == "GET bucket" or (kind == "PUT object" and not path.startswith("/bucket/"))

    def _answer(
        self, request: dict[str, Any], start: Callable[..., Any], status: str, code: str
    ) -> Iterable[bytes]:
        request["wsgi.input"].read(int(request.get("CONTENT_LENGTH") or 0))
        data = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(data)))]
        start(status, headers)
        return [data]


def _kind(method: str, path: str, query: str) -> str:
    if "partNumber" in query:
        what = "part"
    elif "upload" in query:
        what = "upload"
    else:
        what = "object" if path.strip("/").count("/") else "bucket"
    return f"{method} {what}"


def _served(port: int = 0) -> tuple[S3, Any]:
    """A server with an empty bucket, and what serves it."""
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.moto_server.werkzeug_app import create_backend_app
    from moto.s3.models import s3_backends
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"  # with it connections are kept

        def log(self, *_: object, **__: object) -> None:
            pass

    app = create_backend_app("s3")
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].reset()
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket("bucket", "us-east-1")
    server = S3(app)
    http = make_server("127.0.0.1", port, server, threaded=True, request_handler=Quiet)
    server.port = http.server_port
    return server, http


@contextmanager
def running() -> Iterator[S3]:
    """A server in a thread, with an empty bucket."""
    server, http = _served()
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


if __name__ == "__main__":
    _served(int(sys.argv[1]))[1].serve_forever()
