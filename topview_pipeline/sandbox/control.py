"""A client of the sandbox's control routes, for tests, benches and the command line."""

from types import TracebackType
from typing import Any

import httpx


class Control:
    """Reads and steers a running sandbox; raises httpx.HTTPStatusError with its words on misuse."""

    def __init__(self, base_url: str) -> None:
        self._client = httpx.Client(base_url=f"{base_url}/_sandbox/", timeout=30.0, trust_env=False)

    def __enter__(self) -> "Control":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def counters(self) -> dict[str, Any]:
        """Everything of report.py."""
        result: dict[str, Any] = self._call("GET", "counters")
        return result

    def tasks(self) -> list[dict[str, Any]]:
        """Every task, as in records.py, with its `status`."""
        result: list[dict[str, Any]] = self._call("GET", "tasks")
        return result

    def set_faults(self, **probabilities: float) -> None:
        """Replace the faults; without arguments: none."""
        self._call("PUT", "faults", probabilities)

    def set_credits(self, credit_balance: float, *, uid: str | None = None) -> None:
        """Set what an account has left; without a uid that of the configuration's account."""
        self._call("PUT", "credits", {"credits": credit_balance} | _of(uid))

    def revoke(self, *, uid: str | None = None) -> None:
        """Make an account's credentials answer 401."""
        self._call("PUT", "credentials", {"revoked": True} | _of(uid))

    def restore(self, *, uid: str | None = None) -> None:
        """Make them good again."""
        self._call("PUT", "credentials", {"revoked": False} | _of(uid))

    def add_account(self, uid: str, api_key: str, credit_balance: float) -> None:
        """Add an account with credentials and credits of its own."""
        body = {"uid": uid, "api_key": api_key, "credits": credit_balance}
        self._call("POST", "accounts", body)

    def add_credit_entry(self, task_type: str, cost: float, **fields: object) -> dict[str, Any]:
        """Add a charge of somebody else; `fields`: uid, api_key, at, task_id."""
        body = {"task_type": task_type, "cost": cost} | fields
        result: dict[str, Any] = self._call("POST", "credit_entries", body)
        return result

    def set_slots(self, concurrency: int) -> None:
        """Change how many tasks an account may have unfinished."""
        self._call("PUT", "slots", {"concurrency": concurrency})

    def advance_clock(self, seconds: float) -> None:
        """Move the sandbox's time forward."""
        self._call("POST", "clock", {"seconds": seconds})

    def reset(self) -> None:
        """Forget everything but the configuration."""
        self._call("POST", "reset")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        response = self._client.request(method, path, json=body)
        if response.is_error:
            raise httpx.HTTPStatusError(
                f"{method} /_sandbox/{path}: {response.text}",
                request=response.request,
                response=response,
            )
        return response.json()


def _of(uid: str | None) -> dict[str, str]:
    return {} if uid is None else {"uid": uid}
