"""A store on a disk and one in a bucket, and something to keep in them."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from topview_pipeline.store import Artifact, ResultRecord, Store, Times

FINGERPRINT = "0123456789abcdef" * 4
PNG = "image/png"


@pytest.fixture
def local(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "artifacts"))


@pytest.fixture
def bucket() -> Store:
    return Store(f"memory://bucket-{uuid.uuid4().hex}/artifacts")


@pytest.fixture(params=["local", "bucket"])
def store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests that a bucket gets, by the name of fsspec's method."""
    made: list[str] = []
    for name in ("cat_file", "info", "ls", "find", "exists", "put_file", "pipe_file", "makedirs"):
        real = getattr(MemoryFileSystem, name)

        def count(*given: Any, _real: Any = real, _name: str = name, **named: Any) -> Any:
            before = len(made)
            try:
                return _real(*given, **named)
            finally:
                made[before:] = [_name]  # one method of a MemoryFileSystem may call another

        monkeypatch.setattr(MemoryFileSystem, name, count)
    return made


def folder_of(store: Store, product_id: str = "mug", fingerprint: str = FINGERPRINT) -> str:
    return store.folder(
        account="acc", product_id=product_id, stage="bgRemovedImage", fingerprint=fingerprint
    )


def keep(store: Store, data: bytes = b"pixels", name: str = "cutout.png") -> Artifact:
    digest = hashlib.sha256(data).hexdigest()
    with store.incoming() as incoming:
        incoming.write_bytes(data)
        return store.keep(incoming, folder_of(store), name, sha256=digest, media_type=PNG)


def record_of(*artifacts: Artifact, **changes: Any) -> ResultRecord:
    fields: dict[str, Any] = {
        "account": "acc",
        "pipeline": "topview",
        "product_id": "mug",
        "stage": "bgRemovedImage",
        "work": "w" * 64,
        "generation": 0,
        "fingerprint": FINGERPRINT,
        "attempt": 1,
        "topview_task_id": "task-1",
        "request": {"productImageFileId": "file-1"},
        "inputs": {"productImage": "5f3c"},
        "credits": 0.5,
        "run_id": "run-1",
        "root_run_id": "run-1",
        "times": Times(queued_at=1.0, reserved_at=2.0, succeeded_at=9.5, stored_at=10.0),
        "result": {"status": "success", "newField": {"früh": [1, None]}},
        "artifacts": artifacts,
    }
    return ResultRecord(**{**fields, **changes})


def path_of(store: Store, key: str) -> Path:
    return Path(store.location) / key


def files_in(store: Store) -> set[str]:
    root = Path(store.location)
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
