"""What a rebuild reads: local stores and buckets, a network that breaks, other accounts."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tests.ledger.conftest import Clock, open_ledger
from topview_pipeline.artifacts import ArtifactStore, StoreError
from topview_pipeline.ledger import Ledger, TaskState
from topview_pipeline.recovery import survey


@pytest.fixture(params=["local", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    if request.param == "local":
        return ArtifactStore(str(tmp_path / "store"))
    return ArtifactStore(f"memory://bucket-{uuid.uuid4().hex}/store")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path, Clock())
    yield opened
    opened.close()


def keep(store: ArtifactStore, account: str, number: int, /, **changes: Any) -> str:
    """A stored result, of a product and a Topview task of this number; its folder."""
    fingerprint = f"{number:064x}"
    folder = store.folder(
        account=account,
        product_id=f"product-{number}",
        stage="bgRemovedImage",
        fingerprint=fingerprint[::-1],
    )
    data = f"pixels {number}".encode()
    with store.incoming() as incoming:
        incoming.write_bytes(data)
        artifact = store.keep(
            incoming,
            folder,
            "cutout.png",
            sha256=hashlib.sha256(data).hexdigest(),
            media_type="image/png",
        )
    record = {
        "account": account,
        "product_id": f"product-{number}",
        "stage": "bgRemovedImage",
        "work": f"work-{number}",
        "generation": 0,
        "fingerprint": fingerprint,
        "attempt": 1,
        "topview_task_id": f"topview-{number}",
        "credits": 0.5,
        "run_id": "run",
        "root_run_id": "run",
        "inputs": {"productImage": "version"},
        "request": {},
        "result": {},
        "artifacts": [artifact.to_json()],
        "times": {"reserved_at": 100.0 + number, "succeeded_at": 200.0 + number},
    }
    store.write_result(folder, {**record, **changes})
    return folder


def test_a_store_is_read_into_rows_whatever_kind_it_is(
    store: ArtifactStore, ledger: Ledger
) -> None:
    for number in range(5):
        keep(store, ledger.account, number)
    keep(store, "another", 9)
    found = survey(store, ledger.account, verify=True)
    assert (found.damaged, found.gone, found.uses, found.of_others) == ((), (), (), 1)
    ledger.rebuilding.rebuild(found.results, found.uses, who="me", why="lost")
    rows = ledger.tasks.in_state([TaskState.STORED])
    assert [row.topview_task_id for row in rows] == [f"topview-{n}" for n in range(5)]
    assert {row.cost_credits for row in rows} == {0.5}


def test_of_results_of_the_same_work_the_one_made_last_stands_for_it(
    store: ArtifactStore, ledger: Ledger
) -> None:
    keep(store, ledger.account, 1, fingerprint="f" * 64, anew=1)
    keep(store, ledger.account, 2, fingerprint="f" * 64)
    found = survey(store, ledger.account)
    ledger.rebuilding.rebuild(found.results, found.uses, who="me", why="lost")
    (stored,) = ledger.tasks.in_state([TaskState.STORED])
    (dead,) = ledger.tasks.in_state([TaskState.SUPERSEDED])
    assert (stored.topview_task_id, dead.topview_task_id) == ("topview-1", "topview-2")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"account": "another"}, "another account"),
        ({"stage": "threeDModel"}, "unknown stage"),
        ({"topview_task_id": None}, "no text"),
        ({"times": {}}, "it has no reserved_at"),
        ({"times": {"reserved_at": "yesterday"}}, "could not convert"),
        ({"artifacts": []}, "names no file"),
        ({"artifacts": [{"name": "x"}]}, "not an artifact"),
        ({"inputs": None}, "wrong kind"),
        ({"generation": "first"}, "invalid literal"),
    ],
)
def test_a_result_that_no_row_can_be_made_of_is_named_with_what_is_wrong(
    tmp_path: Path, ledger: Ledger, changes: dict[str, Any], words: str
) -> None:
    store = ArtifactStore(str(tmp_path / "store"))
    folder = keep(store, ledger.account, 1, **changes)
    keep(store, ledger.account, 2)
    found = survey(store, ledger.account)
    assert [kept.topview_task_id for kept in found.results] == ["topview-2"]
    (named,) = found.damaged
    assert f"{folder}/result.json" in named
    assert words in named


def test_a_network_that_breaks_is_no_damage_and_ends_the_rebuild(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ArtifactStore(f"memory://bucket-{uuid.uuid4().hex}/store")
    keep(store, ledger.account, 1)

    def fail(*_: object, **__: object) -> None:
        raise TimeoutError("no answer")

    monkeypatch.setattr(MemoryFileSystem, "cat_file", fail)
    with pytest.raises(StoreError, match="cannot be read"):
        survey(store, ledger.account)


def test_a_rebuild_that_fails_in_the_middle_adds_nothing(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ArtifactStore(str(tmp_path / "store"))
    keep(store, ledger.account, 1)
    found = survey(store, ledger.account)

    def fail(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(ledger.rebuilding), "_choose", fail)
    with pytest.raises(KeyboardInterrupt):
        ledger.rebuilding.rebuild(found.results, found.uses, who="me", why="lost")
    assert ledger.tasks.all() == []
    assert ledger.tasks.last_stored("product-1", "bgRemovedImage") is None


def test_a_row_that_is_still_on_its_way_stays_what_it_is(tmp_path: Path, ledger: Ledger) -> None:
    """The process died between result.json and the ledger: its own next run goes on with it."""
    store = ArtifactStore(str(tmp_path / "store"))
    keep(store, ledger.account, 1)
    found = survey(store, ledger.account)
    ledger.rebuilding.rebuild(found.results, found.uses, who="me", why="lost")
    (row,) = ledger.tasks.all()
    ledger.tasks.lost_from_store(row.id, detail="gone", who="me")
    assert ledger.rebuilding.missing(found.results) == []
    assert ledger.rebuilding.rebuild(found.results, found.uses, who="me", why="x").tasks == 0
    assert ledger.tasks.get(row.id).state is TaskState.SUCCEEDED
