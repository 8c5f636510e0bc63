"""The producer in its own thread: what ends it is told to whoever reads its events."""

from pathlib import Path

import httpx
import pytest

from tests.producer.world import BASE_URL, FakeInputs, product
from topview_pipeline.artifacts import ArtifactStore
from topview_pipeline.ledger import Ledger, LedgerUnavailable
from topview_pipeline.producer import Desk, ProducerConfig, ProducerThread, Run, Work
from topview_pipeline.topview.client import TopviewClient


def _start(folder: Path, ledger: Ledger, answer: httpx.Response) -> ProducerThread:
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

    return ProducerThread(client, desk_of)


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
    detail = {"code": "200", "message": "Success", "result": {"uid": "u", "remainCredit": 5}}
    thread = _start(tmp_path, ledger, httpx.Response(200, json=detail))
    thread.no_more()
    assert list(thread.events()) == []
    thread.close()
    ledger.close()
