"""Ledger and store: a lost ledger, a store that is not mounted, another one, a new one."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.ledger.conftest import open_ledger, order, pend, reserve
from topview_pipeline.artifacts import MARKER_NAME, ArtifactStore, StoreError
from topview_pipeline.ledger import Ledger, Task
from topview_pipeline.ledger.schema import task_event
from topview_pipeline.pairing import (
    LostLedger,
    OtherStore,
    Sides,
    Verdict,
    ensure_paired,
    examine,
    judge,
    refuse_unless_paired,
)

FINGERPRINT = "0123456789abcdef" * 4


def _never() -> bool:
    raise AssertionError("this decides nothing here, and takes a listing")


def _yes() -> bool:
    return True


def _no() -> bool:
    return False


TABLE: dict[str, tuple[Sides, Verdict]] = {
    "they know each other, and nothing else is asked": (
        Sides("a", "a", _never, _never, _never, _never),
        Verdict.PAIRED,
    ),
    "a first run": (Sides(None, None, _no, _no, _no, _never), Verdict.PAIR),
    "a first run of a second account": (Sides(None, "a", _no, _no, _no, _never), Verdict.PAIR),
    "the ledger is lost": (Sides(None, "a", _no, _no, _yes, _never), Verdict.LOST_LEDGER),
    "the ledger is lost, from before there were markers": (
        Sides(None, None, _no, _no, _yes, _never),
        Verdict.LOST_LEDGER,
    ),
    "an empty ledger is given a store full of results": (
        Sides("a", "b", _no, _no, _yes, _never),
        Verdict.LOST_LEDGER,
    ),
    "not mounted": (Sides("a", None, _yes, _yes, _never, _never), Verdict.OTHER_STORE),
    "another store": (Sides("a", "b", _yes, _yes, _never, _never), Verdict.OTHER_STORE),
    "another store, and nothing was stored yet": (
        Sides("a", "b", _yes, _no, _no, _never),
        Verdict.PAIR,
    ),
    "a ledger whose first tasks only failed is given a store full of results": (
        Sides("a", "b", _yes, _no, _yes, _never),
        Verdict.LOST_LEDGER,
    ),
    "a ledger with tasks and without any store is given a store full of results": (
        Sides(None, "b", _yes, _no, _yes, _never),
        Verdict.LOST_LEDGER,
    ),
    "not mounted, and nothing was ever sent": (
        Sides("a", None, _no, _no, _no, _never),
        Verdict.PAIR,
    ),
    "from before there were markers, with its store": (
        Sides(None, None, _yes, _yes, _never, _yes),
        Verdict.PAIR,
    ),
    "from before there were markers, with its store, marked by another account": (
        Sides(None, "a", _yes, _yes, _never, _yes),
        Verdict.PAIR,
    ),
    "from before there were markers, not mounted": (
        Sides(None, None, _yes, _yes, _never, _no),
        Verdict.OTHER_STORE,
    ),
    "from before there were markers, nothing stored yet": (
        Sides(None, None, _yes, _no, _no, _never),
        Verdict.PAIR,
    ),
}


@pytest.mark.parametrize(("sides", "verdict"), TABLE.values(), ids=TABLE)
def test_every_row_of_the_truth_table(sides: Sides, verdict: Verdict) -> None:
    assert judge(sides) is verdict


@pytest.fixture(params=["local", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    if request.param == "local":
        return ArtifactStore(str(tmp_path / "store"))
    return ArtifactStore(f"memory://bucket-{uuid.uuid4().hex}/store")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path)
    yield opened
    opened.close()


def _keep(ledger: Ledger, store: ArtifactStore, product_id: str = "a") -> Task:
    """A task that is paid, finished and stored."""
    task = pend(ledger, reserve(ledger, order(ledger, product_id)))
    ledger.tasks.succeeded(task.id, result={}, cost_credits=2.0, who="me")
    folder = store.folder(
        account=ledger.account, product_id=product_id, stage=task.stage, fingerprint=FINGERPRINT
    )
    with store.incoming() as incoming:
        incoming.write_bytes(b"pixels")
        artifact = store.keep(
            incoming,
            folder,
            "scene_1.png",
            sha256=hashlib.sha256(b"pixels").hexdigest(),
            media_type="image/png",
        )
    store.write_result(folder, {"account": ledger.account})
    return ledger.tasks.stored(task.id, artifacts=[artifact.to_json()], who="me")


def _everything_in(store: ArtifactStore) -> dict[str, int]:
    return dict(store.files())


def _elsewhere(store: ArtifactStore) -> ArtifactStore:
    """What a program sees when the store is not mounted: a place without anything."""
    return ArtifactStore(f"{store.root}-not-mounted")


def test_a_first_run_pairs_and_every_later_one_is_fine(
    ledger: Ledger, store: ArtifactStore
) -> None:
    ensure_paired(ledger, store, who="first")
    assert store.marker.read() == ledger.store_link.remembered()
    _keep(ledger, store)
    assert examine(ledger, ArtifactStore(store.root)) is Verdict.PAIRED
    ensure_paired(ledger, ArtifactStore(store.root), who="second")


def test_a_moved_store_takes_its_marker_along(ledger: Ledger, tmp_path: Path) -> None:
    here, there = ArtifactStore(str(tmp_path / "here")), ArtifactStore(str(tmp_path / "there"))
    ensure_paired(ledger, here, who="me")
    _keep(ledger, here)
    shutil.copytree(here.root, there.root)
    assert examine(ledger, there) is Verdict.PAIRED


def test_a_lost_ledger_is_told_with_the_number_of_results_and_the_way_out(
    ledger: Ledger, store: ArtifactStore, tmp_path: Path
) -> None:
    ensure_paired(ledger, store, who="me")
    _keep(ledger, store)
    before = _everything_in(store)
    (tmp_path / "empty").mkdir()
    empty = open_ledger(tmp_path / "empty")
    with pytest.raises(LostLedger, match="one result of this account") as caught:
        ensure_paired(empty, store, who="me")
    assert "topview-pipeline tasks rebuild" in str(caught.value)
    assert empty.store_link.remembered() is None
    assert _everything_in(store) == before
    empty.close()


def test_results_of_another_account_are_no_lost_ledger(
    ledger: Ledger, store: ArtifactStore, tmp_path: Path
) -> None:
    ensure_paired(ledger, store, who="me")
    _keep(ledger, store)
    other = open_ledger(tmp_path, uid="AnotherUid00000000001")
    ensure_paired(other, store, who="them")
    assert other.store_link.remembered() == ledger.store_link.remembered()
    other.close()


def test_a_store_that_is_not_mounted_is_refused_and_nothing_comes_to_be_there(
    ledger: Ledger, store: ArtifactStore
) -> None:
    ensure_paired(ledger, store, who="me")
    _keep(ledger, store)
    elsewhere = _elsewhere(store)
    for check in (refuse_unless_paired, lambda *pair: ensure_paired(*pair, who="me")):
        with pytest.raises(OtherStore, match="Is it mounted") as caught:
            check(ledger, elsewhere)
        assert elsewhere.where in str(caught.value)
        assert "one stored result" in str(caught.value)
        assert "topview-pipeline tasks rebuild" in str(caught.value)
    assert _everything_in(elsewhere) == {}
    assert not Path(elsewhere.root).exists()
    assert ledger.store_link.remembered() == store.marker.read()


def test_a_ledger_from_before_markers_pairs_with_the_store_of_its_files_only(
    ledger: Ledger, store: ArtifactStore
) -> None:
    _keep(ledger, store)
    elsewhere = _elsewhere(store)
    with pytest.raises(OtherStore):
        ensure_paired(ledger, elsewhere, who="me")
    ensure_paired(ledger, store, who="me")
    assert ledger.store_link.remembered() == store.marker.read()


def test_a_paired_store_is_noticed_when_it_goes_away_in_the_middle_of_a_run(
    ledger: Ledger, tmp_path: Path
) -> None:
    store = ArtifactStore(str(tmp_path / "store"))
    for _ in range(2):  # the run that pairs, and one that finds them paired
        store = ArtifactStore(store.root)
        ensure_paired(ledger, store, who="me")
    with store.incoming() as incoming:
        (Path(store.root) / MARKER_NAME).unlink()
        incoming.write_bytes(b"pixels")
        digest = hashlib.sha256(b"pixels").hexdigest()
        with pytest.raises(StoreError, match="still mounted"):
            store.keep(incoming, "acc/a", "x.png", sha256=digest, media_type="image/png")


def test_pairing_leaves_an_event_with_who_and_where(ledger: Ledger, store: ArtifactStore) -> None:
    ensure_paired(ledger, store, who="run 1")
    ensure_paired(ledger, store, who="run 2")
    paired = sa.select(task_event).where(task_event.c.what == "paired")
    with ledger._database.read() as connection:
        event = connection.execute(paired).one()
    assert (event.account, event.who) == (ledger.account, "run 1")
    assert event.detail["where"] == store.where
