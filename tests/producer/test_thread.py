"""The producer in its own thread: what ends it is told to whoever reads its events."""

import threading
from pathlib import Path

import httpx
import pytest

from tests.producer.world import BASE_URL, FakeInputs, product
from topview_pipeline.artifacts import ArtifactStore
from topview_pipeline.ledger import Ledger, LedgerUnavailable
from topview_pipeline.producer import Desk, ProducerConfig, ProducerThread, Run, Work
from topview_pipeline.topview.client import TopviewClient

_DETAIL = {"code": "200", "message": "Success", "result": {"uid": "u", "remainCredit": 5}}


def _start(
    folder: Path, ledger: Ledger, answer: httpx.Response, *, renew_seconds: float = 20.0
) -> ProducerThread:
    transport = httpx.MockTransport(lambda _: answer)
    client = TopviewClient(base_url=BASE_URL, uid="u", api_key="k", transport=transport)

    def desk_of(opened: TopviewClient) -> Desk:
        return Desk(
            client=opened,
            ledger=ledger,
            store=ArtifactStore(str(folder / "store")),
            inputs=FakeInputs(),
            run=Run("run", "run"),
            config=ProducerConfig(),
            submit_seconds=1.0,
        )

    return ProducerThread(client, desk_of, renew_seconds=renew_seconds)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path}/ledger.db", base_url=BASE_URL, uid="u")


def test_feeding_a_producer_that_has_ended_still_tells_why_it_ended() -> None:
    def desk_of(_: TopviewClient) -> Desk:
        raise LedgerUnavailable("the disk is gone")

    client = TopviewClient(base_url=BASE_URL, uid="u", api_key="k")
    thread = ProducerThread(client, desk_of)
    try:
        with pytest.raises(LedgerUnavailable):
            list(thread.events())
        thread.put(Work(product("a"), {}, {}))
        thread.no_more()
        thread.stop()
        assert list(thread.events()) == []
    finally:
        thread.close()


def test_a_producer_without_work_ends(tmp_path: Path, ledger: Ledger) -> None:
    thread = _start(tmp_path, ledger, httpx.Response(200, json=_DETAIL))
    thread.no_more()
    assert list(thread.events()) == []
    thread.close()
    ledger.close()


def test_who_stores_the_last_events_keeps_the_lease_until_it_is_closed(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The producer itself has ended: on another host its rows would pass for a dead run's."""
    renewed = threading.Semaphore(0)
    monkeypatch.setattr(ledger.producers, "renew", lambda _owner: renewed.release())
    thread = _start(tmp_path, ledger, httpx.Response(200, json=_DETAIL), renew_seconds=0.01)
    thread.no_more()
    assert list(thread.events()) == []
    for _ in range(5):
        assert renewed.acquire(timeout=30.0)
    thread.close()
    while renewed.acquire(blocking=False):
        pass
    assert not renewed.acquire(timeout=0.1)
    ledger.close()
