"""Disks that fill up, crash and forbid, and buckets that do not answer."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tests.store.conftest import files_in, keep, record_of
from topview_pipeline.store import Store, StoreError, backends
from topview_pipeline.store.backends import LocalBackend, open_backend


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EACCES, "not allowed"),
        (errno.EROFS, "not allowed"),
        (errno.EIO, "Check that TOPVIEW_STORE"),
    ],
)
def test_a_disk_that_fails_leaves_nothing_half_written_and_says_the_way_out(
    local: Store, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match=words) as caught:
        keep(local)
    assert "TOPVIEW_STORE" in caught.value.fix
    with pytest.raises(StoreError, match=words):
        local.write_json("plans/run.json", {})
    assert files_in(local) == set()


def test_bytes_are_on_the_disk_before_the_name_is(
    local: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace

    def sync(descriptor: int) -> None:
        steps.append("sync")
        real_sync(descriptor)

    def replace(path: Path, target: Path) -> Path:
        steps.append("rename")
        return real_replace(path, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    keep(local)
    # The file, then its name, then its new folder and the four above it.
    assert steps == ["sync", "rename", "sync", "sync", "sync", "sync", "sync"]


def test_a_failed_download_leaves_nothing_and_one_to_a_bucket_is_nobody_elses(
    local: Store, bucket: Store
) -> None:
    with contextlib.suppress(ConnectionError), local.incoming() as here, bucket.incoming() as there:
        assert here.is_relative_to(local.location)  # a rename needs the same file system
        assert stat.S_IMODE(there.stat().st_mode) == 0o600
        raise ConnectionError
    assert not here.exists()
    assert not there.exists()


def test_downloads_of_dead_processes_are_swept_and_living_ones_left(local: Store) -> None:
    with local.incoming() as old, local.incoming() as young:
        os.utime(old, (1_000, 1_000))
        os.utime(young, (time.time() - 3_600,) * 2)
        backends._sweep.cache_clear()
        with local.incoming():
            assert (old.exists(), young.exists()) == (False, True)


def test_a_folder_that_may_not_be_listed_is_not_taken_for_an_empty_one(
    local: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "no")

    keep(local)
    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(StoreError, match="not allowed"):
        local.has_results("acc")


def test_a_store_that_is_a_file_is_refused_before_anything_is_paid(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("")
    store = Store(str(tmp_path / "artifacts"))
    for look in (store.identity, lambda: store.check_writable("acc")):
        with pytest.raises(StoreError, match="artifacts"):
            look()


@pytest.mark.parametrize("location", ["some/folder", "~/store", "C:/store", "file:///srv/a%20b"])
def test_paths_and_file_urls_are_local(location: str) -> None:
    backend = open_backend(location)
    assert isinstance(backend, LocalBackend)
    assert "%" not in backend.location


def test_an_unknown_kind_of_url_is_refused_with_its_name() -> None:
    with pytest.raises(StoreError, match="nosuch://bucket"):
        Store("nosuch://user:s3cret@bucket/artifacts")


def test_a_bucket_that_does_not_answer_has_not_lost_anything(
    bucket: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = keep(bucket)
    bucket.write_result(record_of(artifact))

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("token s3cret was refused")

    for name in ("info", "cat_file", "ls", "get_file", "put_file", "pipe_file"):
        monkeypatch.setattr(MemoryFileSystem, name, fail)
    for call in (
        lambda: bucket.has(artifact),
        lambda: bucket.find("acc", "0123456789abcdef" * 4),
        lambda: bucket.has_results("acc"),
        lambda: Store(bucket.location).local_copy(artifact).__enter__(),
        lambda: keep(bucket),
        lambda: bucket.identity(),
        lambda: bucket.check_writable("acc"),
    ):
        with pytest.raises(StoreError, match="credentials") as caught:
            call()
        assert "s3cret" not in str(caught.value)


def test_a_misspelt_bucket_is_named_and_not_created(
    bucket: Store, monkeypatch: pytest.MonkeyPatch, requests: list[str]
) -> None:
    def no_such_bucket(*_: object, **__: object) -> None:
        raise FileNotFoundError("NoSuchBucket")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", no_such_bucket)
    with pytest.raises(StoreError, match="no such file or bucket"):
        bucket.identity(create=True)
    assert "makedirs" not in requests


def test_a_bucket_learns_the_media_type_of_each_file(
    bucket: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    types: list[Any] = []

    def note(_: object, *__: object, **options: Any) -> None:
        types.append(options)

    monkeypatch.setattr(MemoryFileSystem, "put_file", note)
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", note)
    monkeypatch.setitem(backends._OBJECT_STORES, "memory", "ContentType")
    store = Store(bucket.location)
    store.write_result(record_of(keep(store)))
    json = {"ContentType": "application/json"}
    assert types == [{"ContentType": "image/png"}, json]


def test_a_file_server_gets_folders_first(
    bucket: Store, monkeypatch: pytest.MonkeyPatch, requests: list[str]
) -> None:
    # Not an object store: SFTP, SMB and the like.
    monkeypatch.delitem(backends._OBJECT_STORES, "memory")
    keep(Store(bucket.location))
    assert requests == ["makedirs", "put_file"]


def test_a_new_file_never_replaces_one_that_is_there(store: Store) -> None:
    backend = open_backend(store.location)
    backend.write_new("a.json", b"first", "application/json")
    backend.write_new("a.json", b"second", "application/json")
    assert backend.read("a.json") == b"first"


def test_a_disk_without_links_and_a_bucket_that_cannot_refuse_take_a_new_file_all_the_same(
    local: Store, bucket: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no links here")

    def overwrite(fs: MemoryFileSystem, path: str, value: bytes) -> None:
        fs.open(path, "wb", data=value)

    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", overwrite)  # it knows no mode="create"
    for store in (local, bucket):
        made = store.identity(create=True)
        assert made is not None
        assert store.identity(create=True) == made
