"""Topview as a Dagster resource: upload, a task from submit to result, download. Blocking."""

import time
from pathlib import Path
from typing import Any

import dagster as dg
import httpx


class Topview(dg.ConfigurableResource):  # type: ignore[type-arg]  # takes any value
    """Calls the API, one client for each step."""

    base_url: str
    uid: str
    api_key: str
    poll_seconds: float
    folder: str

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """Open the clients; signed URLs refuse the API's headers."""
        headers = {"Topview-Uid": self.uid, "Authorization": f"Bearer {self.api_key}"}
        self._api = httpx.Client(
            base_url=self.base_url, headers=headers, timeout=60.0, trust_env=False
        )
        self._media = httpx.Client(timeout=60.0, trust_env=False)

    def upload(self, path: Path) -> str:
        """The file id of a picture."""
        given = self._call("GET", "/v1/upload/credential", params={"format": path.suffix[1:]})
        self._media.put(given["uploadUrl"], content=path.read_bytes()).raise_for_status()
        self._call("GET", "/v1/upload/check", params={"fileId": given["fileId"]})
        return str(given["fileId"])

    def make(self, path: str, body: dict[str, str]) -> dict[str, Any]:
        """Submit a task and poll until it is done."""
        answer = self._call("POST", f"{path}/submit", json=body)
        while True:
            result = self._call("GET", f"{path}/query", params={"taskId": answer["taskId"]})
            if result["status"] == "success":
                return result
            if result["status"] == "fail":
                raise dg.Failure(result["errorMsg"])
            time.sleep(self.poll_seconds)

    def download(self, url: str, name: str) -> None:
        """Keep what was made."""
        answer = self._media.get(url).raise_for_status()
        Path(self.folder, name).write_bytes(answer.content)

    def _call(self, method: str, path: str, **what: Any) -> dict[str, Any]:
        envelope = self._api.request(method, path, **what).raise_for_status().json()
        if envelope["code"] != "200":
            raise dg.Failure(f"{path}: {envelope}")
        result: dict[str, Any] = envelope["result"]
        return result
