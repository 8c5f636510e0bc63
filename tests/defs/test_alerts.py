"""Alerts: somebody learns of money that is stuck, once, and not while the receiver is down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr

from tests.catalogue.conftest import FileServer, serving
from tests.defs.test_checks import Account, fail
from topview_pipeline.defs.sensors import pending_task_sensor
from topview_pipeline.ledger import LedgerUnavailable
from topview_pipeline.ledger.health import Answer, Case
from topview_pipeline.store import StoreError


class Receiver(FileServer):
    """Keeps what is posted to it; `status` is its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.status = 200
        self.posts: list[Any] = []

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        if self.status == 200:
            self.posts.append(body)
        request.send_response(self.status)
        request.end_headers()

    def taken(self) -> list[Any]:
        posts, self.posts = self.posts, []
        return posts


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with serving(Receiver()) as server:
        yield server


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [1_800_000_000.0]
    monkeypatch.setattr("topview_pipeline.defs.health_checks.time.time", lambda: clock[0])
    return clock


@pytest.fixture
def account(tmp_path: Path, receiver: Receiver) -> Iterator[Account]:
    url = SecretStr(f"{receiver.url}/services/secret")
    with dg.DagsterInstance.ephemeral() as instance:
        yield Account(tmp_path, instance, alert_url=url)


def names(posts: list[Any]) -> list[list[tuple[str, int]]]:
    return [[(check["name"], check["count"]) for check in post["checks"]] for post in posts]


def test_a_change_is_posted_once_and_the_next_one_after_the_quiet_time(
    account: Account, receiver: Receiver, now: list[float]
) -> None:
    account.tick()
    assert receiver.taken() == [], "all is well, as before"
    account.lose_an_answer("mug")
    account.tick()
    account.tick()
    (post,) = receiver.taken()
    assert names([post]) == [[("tasks_unknown", 1)]]
    assert "1 tasks_unknown" in post["text"]
    assert "tasks reconcile" in post["text"]
    assert post["checks"][0]["sample"][0]["product"] == "mug"
    account.lose_an_answer("hat")
    account.lose_an_answer("pen")
    now[0] += 600.0
    account.tick()
    assert receiver.taken() == [], "it is quiet"
    now[0] += 3600.0
    account.tick()
    assert names(receiver.taken()) == [[("tasks_unknown", 3)]]
    with account.topview.ledger() as ledger:
        for number in (1, 2, 3):
            ledger.tasks.void(number, why="not sent", who="me")
    now[0] += 3600.0
    account.tick()
    (post,) = receiver.taken()
    assert post["text"] == "topview: tasks_unknown passes again."


def test_what_could_not_be_posted_is_posted_later_and_the_url_is_not_said(
    account: Account, receiver: Receiver, now: list[float]
) -> None:
    with account.topview.ledger() as ledger:
        fail(ledger, "mug")
    receiver.status = 503
    account.tick()
    said = str(account.tick())
    assert "HTTP 503" in said
    assert "secret" not in said
    receiver.status = 200
    now[0] += 300.0
    assert "1 change posted" in str(account.tick())
    assert names(receiver.taken()) == [[("products_failed", 1)]]


def test_a_ledger_that_cannot_be_read_is_an_alert_and_no_check(
    account: Account, receiver: Receiver, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is evaluated then, and the UI shows yesterday's green."""

    def broken(*_: Any) -> Any:
        raise LedgerUnavailable("the server is gone", "ledger")

    account.tick()
    with monkeypatch.context() as gone:
        gone.setattr("topview_pipeline.defs.health_checks._answers", broken)
        assert "the server is gone" in str(account.tick())
        account.tick()
    assert names(receiver.taken()) == [[("ledger_unreadable", 1)]]
    now[0] += 3600.0
    account.tick()
    assert names(receiver.taken()) == [[("ledger_unreadable", 0)]]


def test_a_store_that_is_down_is_not_called_a_lost_ledger(
    account: Account, receiver: Receiver, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fix for a lost ledger, done in an outage, makes the ledger forget its store."""

    def down(*_: Any) -> Any:
        raise StoreError("the bucket does not answer", "s3://b", "Wait.")

    assert account.tick() != {}
    with monkeypatch.context() as gone:
        gone.setattr(type(account.topview.store), "identity", down)
        assert "1 store_unreadable" in str(account.tick())
        assert "ledger_lost" not in account.evaluated()
        assert "the bucket does not answer" in account.said[0]
        with dg.build_sensor_context(instance=account.instance) as context:
            idle: Any = pending_task_sensor(account.topview)(context)
        assert str(idle.skip_message).startswith("Wait. Why: ")
    assert names(receiver.taken()) == [[("store_unreadable", 1)]]
    now[0] += 3600.0
    account.tick()
    assert names(receiver.taken()) == [[("store_unreadable", 0)]]


def test_a_sum_that_changes_with_each_task_is_no_news(
    account: Account, receiver: Receiver, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day's limit that is used up would be an alert an hour."""
    spent = iter(("9 of 10", "9.5 of 10"))

    def answers(*_: Any) -> dict[str, Answer]:
        return {"credits_used_up": Answer(1, (Case("", "", next(spent), "wait"),), "wait")}

    monkeypatch.setattr("topview_pipeline.defs.health_checks._answers", answers)
    monkeypatch.setattr("topview_pipeline.defs.health_checks.HEALTH_CHECKS", ())
    account.tick()
    now[0] += 7200.0
    account.tick()
    assert names(receiver.taken()) == [[("credits_used_up", 1)]]
