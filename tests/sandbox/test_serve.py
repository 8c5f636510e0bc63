"""The sandbox over real sockets: in a thread, in a process, and run to be stopped by a signal."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.catalogue.conftest import FileServer, serving
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.testing import Sandbox, sandbox

from .conftest import picture

SUBMIT = "/v1/common_task/remove_background/submit"
QUERY = "/v1/common_task/remove_background/query"


class Opened(NamedTuple):
    control: Sandbox
    client: httpx.Client


@pytest.fixture
def at() -> Iterator[Opened]:
    """A sandbox in a thread."""
    with sandbox() as found:
        headers = {"Topview-Uid": found.uid, "Authorization": f"Bearer {found.api_key}"}
        with httpx.Client(base_url=found.base_url, headers=headers, trust_env=False) as client:
            yield Opened(found, client)


def cutout_body(client: httpx.Client, **fields: str) -> dict[str, str]:
    """A remove_background body with an uploaded photo."""
    credential = client.get("/v1/upload/credential?format=png").json()["result"]
    put = httpx.put(credential["uploadUrl"], content=picture(), trust_env=False)
    assert put.status_code == 200
    return {"productImageFileId": credential["fileId"], **fields}


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def finished(at: Opened) -> dict[str, Any]:
    task = at.client.post(SUBMIT, json=cutout_body(at.client)).json()["result"]["taskId"]
    at.control.advance_clock(60)
    result: dict[str, Any] = at.client.get(QUERY, params={"taskId": task}).json()["result"]
    assert result["status"] == "success"
    return result


def test_a_dropped_submit_closes_the_connection_without_a_byte(at: Opened) -> None:
    body = cutout_body(at.client)
    at.control.set_faults(drop_submit=1.0)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        at.client.post(SUBMIT, json=body)
    assert at.control.counters()["accepted"] == {"remove_background": 1}
    at.control.set_faults()
    assert at.client.post(SUBMIT, json=body).json()["code"] == "200"


def test_a_cut_download_ends_the_connection_in_the_middle(at: Opened) -> None:
    url = finished(at)["maskImagePath"]
    at.control.set_faults(cut_download=1.0)
    with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
        httpx.get(url, trust_env=False)
    at.control.set_faults()
    assert httpx.get(url, trust_env=False).status_code == 200


def test_the_control_client_reaches_every_control(at: Opened) -> None:
    control, client = at
    control.set_credits(3)
    control.revoke()
    assert client.get("/user/credit/detail").status_code == 401
    control.restore()
    assert client.get("/user/credit/detail").json()["result"]["remainCredit"] == 3
    control.add_account("Second", "second-key", 9)
    control.set_credits(8, uid="Second")
    assert control.counters()["credits"] == {control.uid: 3, "Second": 8}
    control.add_credit_entry("pa2_image2video", 1.5, task_id="theirs", api_key="another")
    (logged,) = client.get("/user/credit/logs").json()["result"]["data"]
    assert (logged["taskId"], logged["apiKey"], logged["costCredit"]) == ("theirs", "another", 1.5)
    control.set_slots(0)
    assert client.post(SUBMIT, json=cutout_body(client)).json()["code"] == "4007"
    before = control.counters()["now"]
    control.advance_clock(1000)
    assert control.counters()["now"] >= before + 1000
    assert control.tasks() == []
    control.reset()
    assert control.counters()["credits"] == {control.uid: SandboxConfig().credits}
    with pytest.raises(httpx.HTTPStatusError, match="no account has the uid 'Nobody'"):
        control.revoke(uid="Nobody")


class Receiver(FileServer):
    """Keeps the notices with the uid in their headers."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[tuple[str | None, dict[str, Any]]] = []

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        self.received.append((request.headers["Topview-Uid"], json.loads(body)))
        request.send_response(200)
        request.end_headers()


def test_a_notice_is_posted_when_the_task_ends(at: Opened) -> None:
    with serving(Receiver()) as receiver:
        body = cutout_body(at.client, noticeUrl=f"{receiver.url}/notice")
        accepted = at.client.post(SUBMIT, json=body).json()["result"]
        eventually(lambda: bool(receiver.received))
    uid, notice = receiver.received[0]
    assert uid == at.control.uid
    assert notice["uuid"] == accepted["noticeUuid"]
    assert (notice["taskId"], notice["status"]) == (accepted["taskId"], "success")
    assert notice["result"]["bgRemovedImagePath"].startswith(at.control.base_url)


SERVE = """
import sys
from pathlib import Path
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.serve import serve
serve(SandboxConfig(media="tiny", state_dir=Path(sys.argv[1])), port=int(sys.argv[2]))
"""


@pytest.mark.slow
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


def test_a_taken_port_is_an_error(at: Opened) -> None:
    with pytest.raises(OSError, match="in use"), sandbox(port=at.control.port):
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
def test_impossible_settings_are_named(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SandboxConfig(**settings)


@pytest.mark.slow
def test_a_plain_script_has_a_sandbox_in_a_process_of_its_own_and_runs_once(tmp_path: Path) -> None:
    """multiprocessing would run it again in the child, and fail for want of a main guard."""
    script = tmp_path / "script.py"
    script.write_text(
        "from topview_pipeline.testing import sandbox\n"
        "with sandbox(where='process') as topview:\n"
        "    print(topview.counters()['cpu_seconds'] > 0 and topview.pid > 0)\n",
        encoding="utf-8",
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, check=False
    )
    assert (ran.returncode, ran.stdout.split()[-1], len(ran.stdout.splitlines())) == (0, "True", 1)
