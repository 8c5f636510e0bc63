"""The sandbox over real sockets: in a thread, in a process, and run to be stopped by a signal."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.control import Control
from topview_pipeline.sandbox.serve import Running, running

from .conftest import picture

TINY = SandboxConfig(media="tiny", speed=1000.0)
SUBMIT = "/v1/common_task/remove_background/submit"
QUERY = "/v1/common_task/remove_background/query"


@contextmanager
def sandbox_and_clients() -> Iterator[tuple[Running, Control, httpx.Client]]:
    with (
        running(TINY) as sandbox,
        Control(sandbox.base_url) as control,
        client_of(sandbox) as client,
    ):
        yield sandbox, control, client


@contextmanager
def client_of(sandbox: Running) -> Iterator[httpx.Client]:
    headers = {"Topview-Uid": sandbox.uid, "Authorization": f"Bearer {sandbox.api_key}"}
    with httpx.Client(base_url=sandbox.base_url, headers=headers, trust_env=False) as client:
        yield client


def upload(client: httpx.Client) -> str:
    credential = client.get("/v1/upload/credential?format=png").json()["result"]
    put = httpx.put(credential["uploadUrl"], content=picture(), trust_env=False)
    assert put.status_code == 200
    return str(credential["fileId"])


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def finished(client: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    task = client.post(SUBMIT, json=body).json()["result"]["taskId"]
    answer: dict[str, Any] = {}

    def done() -> bool:
        answer.update(client.get(QUERY, params={"taskId": task}).json()["result"])
        return bool(answer["status"] == "success")

    eventually(done)
    return answer


def test_a_dropped_submit_closes_the_connection_without_a_byte() -> None:
    with sandbox_and_clients() as (_, control, client):
        body = {"productImageFileId": upload(client)}
        control.set_faults(drop_submit=1.0)
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            client.post(SUBMIT, json=body)
        assert control.counters()["accepted"] == {"remove_background": 1}
        control.set_faults()
        assert client.post(SUBMIT, json=body).json()["code"] == "200"


def test_a_cut_download_ends_the_connection_in_the_middle() -> None:
    with sandbox_and_clients() as (_, control, client):
        url = finished(client, {"productImageFileId": upload(client)})["maskImagePath"]
        control.set_faults(cut_download=1.0)
        with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
            httpx.get(url, trust_env=False)
        control.set_faults()
        assert httpx.get(url, trust_env=False).status_code == 200


def test_a_process_of_its_own_accounts_its_own_cpu_time() -> None:
    with running(TINY, where="process") as sandbox, Control(sandbox.base_url) as control:
        assert sandbox.pid is not None
        with client_of(sandbox) as client:
            finished(client, {"productImageFileId": upload(client)})
        report = control.counters()
        assert report["succeeded"] == {"remove_background": 1}
        assert report["cpu_seconds"] > 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(sandbox.base_url, trust_env=False)


def test_the_control_client_reaches_every_control() -> None:
    with sandbox_and_clients() as (sandbox, control, client):
        control.set_credits(3)
        control.revoke()
        assert client.get("/user/credit/detail").status_code == 401
        control.restore()
        assert client.get("/user/credit/detail").json()["result"]["remainCredit"] == 3
        control.add_account("Second", "second-key", 9)
        control.set_credits(8, uid="Second")
        assert control.counters()["credits"] == {sandbox.uid: 3, "Second": 8}
        control.add_credit_entry("pa2_image2video", 1.5, task_id="theirs")
        assert client.get("/user/credit/logs").json()["result"]["data"][0]["taskId"] == "theirs"
        control.set_slots(0)
        body = {"productImageFileId": upload(client)}
        assert client.post(SUBMIT, json=body).json()["code"] == "4007"
        before = control.counters()["now"]
        control.advance_clock(1000)
        assert control.counters()["now"] >= before + 1000
        assert control.tasks() == []
        control.reset()
        assert control.counters()["credits"] == {sandbox.uid: TINY.credits}
        with pytest.raises(httpx.HTTPStatusError, match="no account has the uid 'Nobody'"):
            control.revoke(uid="Nobody")


def test_a_notice_is_posted_when_the_task_ends() -> None:
    received: list[tuple[str | None, dict[str, Any]]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.headers["Topview-Uid"], json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    receiver = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    try:
        with running(TINY) as sandbox, client_of(sandbox) as client:
            body = {
                "productImageFileId": upload(client),
                "noticeUrl": f"http://127.0.0.1:{receiver.server_port}/notice",
            }
            accepted = client.post(SUBMIT, json=body).json()["result"]
            eventually(lambda: bool(received))
    finally:
        receiver.shutdown()
        receiver.server_close()
    uid, notice = received[0]
    assert uid == TINY.uid
    assert notice["uuid"] == accepted["noticeUuid"]
    assert (notice["taskId"], notice["status"]) == (accepted["taskId"], "success")
    assert notice["result"]["bgRemovedImagePath"].startswith(sandbox.base_url)


SERVE = """
import sys
from pathlib import Path
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.serve import serve
serve(SandboxConfig(media="tiny", state_dir=Path(sys.argv[1])), port=int(sys.argv[2]))
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_serving_cleanly(tmp_path: Path, how: signal.Signals) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", SERVE, str(tmp_path), str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        eventually(lambda: _answers(port))
        process.send_signal(how)
        _, errors = process.communicate(timeout=20)
    assert "Traceback" not in errors
    assert process.returncode == 0


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/_sandbox/counters", trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_a_taken_port_is_an_error() -> None:
    with running(TINY) as sandbox:
        taken = running(TINY, port=sandbox.port)
        with pytest.raises(OSError, match="in use"), taken:
            pass


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"speed": 0}, "speed"),
        ({"concurrency": 0}, "concurrency"),
        ({"sigma": -1}, "sigma"),
        ({"medians": {"image2video": 3}}, "image2Video"),
        ({"medians": {"image2Video": float("nan")}}, "image2Video"),
        ({"faults": {"drop": 1}}, "drop_submit"),
        ({"faults": {"fail": 2}}, "probability"),
        ({"uid": "not alphanumeric"}, "uid"),
    ],
)
def test_settings_that_cannot_be_meant_are_named(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SandboxConfig(**settings)
