"""The store: crashes in mid-write, full disks, hostile product ids, a store that is not there."""

import contextlib
import errno
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline.artifacts import (
    MARKER_NAME,
    RESULT_NAME,
    Artifact,
    ArtifactStore,
    DamagedFile,
    StoreError,
)
from topview_pipeline.artifacts.slugs import product_slug

FINGERPRINT = "0123456789abcdef" * 4
PNG = "image/png"


@pytest.fixture(params=["local", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ArtifactStore]:
    if request.param == "local":
        yield ArtifactStore(str(tmp_path / "artifacts"))
        return
    remote = ArtifactStore(f"memory://bucket-{uuid.uuid4().hex}/artifacts")
    yield remote


@pytest.fixture
def local(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "artifacts"))


def _folder(store: ArtifactStore, product_id: str = "mug") -> str:
    return store.folder(
        account="acc", product_id=product_id, stage="bgRemovedImage", fingerprint=FINGERPRINT
    )


def _keep(store: ArtifactStore, data: bytes, name: str = "cutout.png") -> Artifact:
    with store.incoming() as incoming:
        incoming.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        return store.keep(incoming, _folder(store), name, sha256=digest, media_type=PNG)


def _as_written(data: dict[str, str]) -> bytes:
    return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_what_is_kept_comes_back(store: ArtifactStore) -> None:
    artifact = _keep(store, b"pixels")
    assert artifact.path == "acc/mug/bgRemovedImage/0123456789ab/cutout.png"
    assert (artifact.bytes, artifact.media_type) == (6, PNG)
    assert store.has(artifact)
    assert store.has(artifact, verify=True)
    assert store.read_bytes(artifact) == b"pixels"
    assert Artifact.from_json(json.loads(json.dumps(artifact.to_json()))) == artifact


def test_a_person_finds_a_local_artifact_by_path_and_uri(local: ArtifactStore) -> None:
    artifact = _keep(local, b"pixels")
    path = local.local_path(artifact)
    assert path is not None
    assert path.read_bytes() == b"pixels"
    assert local.uri(artifact) == path.as_uri()


def test_a_remote_artifact_has_a_uri_and_no_local_path() -> None:
    store = ArtifactStore("memory://bucket/made")
    artifact = _keep(store, b"pixels")
    assert store.local_path(artifact) is None
    assert store.uri(artifact) == f"memory://bucket/made/{artifact.path}"


def test_kept_twice_is_kept_once(store: ArtifactStore) -> None:
    assert _keep(store, b"pixels") == _keep(store, b"pixels")


def test_other_bytes_never_overwrite_what_was_paid_for(store: ArtifactStore) -> None:
    first, second = _keep(store, b"pixels"), _keep(store, b"others")
    assert second.path != first.path
    assert second.name == "cutout.png"
    assert store.read_bytes(first) == b"pixels"
    assert store.read_bytes(second) == b"others"
    assert _keep(store, b"others") == second


def test_a_download_that_changed_on_its_way_is_not_kept(local: ArtifactStore) -> None:
    with local.incoming() as incoming:
        incoming.write_bytes(b"pix")
        digest = hashlib.sha256(b"pixels").hexdigest()
        with pytest.raises(StoreError, match="Download it again"):
            local.keep(incoming, _folder(local), "cutout.png", sha256=digest, media_type=PNG)
    assert _files(Path(local.root)) == set()


def test_a_damaged_file_is_seen_only_when_verified_and_never_hides_a_good_one(
    local: ArtifactStore,
) -> None:
    artifact = _keep(local, b"pixels")
    path = local.local_path(artifact)
    assert path is not None
    path.write_bytes(b"PIXELS")
    assert local.has(artifact)
    assert not local.has(artifact, verify=True)
    again = _keep(local, b"pixels")
    assert local.has(again, verify=True)
    path.write_bytes(b"")
    assert not local.has(artifact)


def test_a_deleted_file_is_gone_and_an_unmounted_store_is_not(local: ArtifactStore) -> None:
    artifact = _keep(local, b"pixels")
    path = local.local_path(artifact)
    assert path is not None
    path.unlink()
    assert not local.has(artifact)
    Path(local.root).rename(Path(local.root).with_name("unmounted"))
    with pytest.raises(StoreError, match="TOPVIEW_ARTIFACTS"):
        local.has(artifact)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EACCES, "not allowed"),
        (errno.EROFS, "not allowed"),
        (errno.EIO, "Check that TOPVIEW_ARTIFACTS"),
    ],
)
def test_a_disk_that_fails_leaves_nothing_half_written_and_says_the_way_out(
    local: ArtifactStore, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match=words) as caught:
        _keep(local, b"pixels")
    assert "TOPVIEW_ARTIFACTS" in caught.value.mend
    assert _files(Path(local.root)) == set()


def test_bytes_are_on_the_disk_before_the_name_is(
    local: ArtifactStore, monkeypatch: pytest.MonkeyPatch
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
    _keep(local, b"pixels")
    # The file, then its name, then its new folder and the four above it.
    assert steps == ["sync", "rename", "sync", "sync", "sync", "sync", "sync"]


def test_incoming_is_on_the_same_file_system_and_gone_after_a_failed_download(
    local: ArtifactStore,
) -> None:
    with contextlib.suppress(ConnectionError), local.incoming() as incoming:
        incoming.write_bytes(b"half")
        assert incoming.is_relative_to(local.root)
        raise ConnectionError
    assert not incoming.exists()


def test_downloads_of_dead_processes_are_swept_and_living_ones_left(local: ArtifactStore) -> None:
    with local.incoming() as old, local.incoming() as young:
        os.utime(old, (1_000, 1_000))
        os.utime(young, (50_000, 50_000))
        assert local.sweep(now=90_000) == 1
        assert (old.exists(), young.exists()) == (False, True)


def test_sweeping_before_anything_was_stored_does_nothing(local: ArtifactStore) -> None:
    assert local.sweep(now=0) == 0
    assert not Path(local.root).exists()


def test_the_files_of_one_account_are_listed_with_their_sizes(store: ArtifactStore) -> None:
    for account, product in (("acc", "mug"), ("acc", "../../etc"), ("other", "mug")):
        folder = store.folder(
            account=account, product_id=product, stage="finishedVideo", fingerprint=FINGERPRINT
        )
        store.write_result(folder, {"account": account, "product": product, "note": "früh"})
        store.write_result(folder, {"account": account, "product": product, "note": "später"})
    found = {path: store.read_json(path) for path in store.files("acc")}
    assert sorted(result["product"] for result in found.values()) == ["../../etc", "mug"]
    assert {result["note"] for result in found.values()} == {"später"}
    assert all(path.endswith(f"/{RESULT_NAME}") for path in found)
    sizes = store.files("acc")
    text = {"account": "acc", "product": "mug", "note": "später"}
    (mug,) = (path for path in found if "/mug/" in path)
    assert sizes[mug] == len(_as_written(text))
    assert len(store.files()) == len(sizes) + 1
    assert dict(store.files("nobody")) == {}


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_damaged_result_is_named_and_no_other_is_concerned(
    local: ArtifactStore, text: str
) -> None:
    folder = _folder(local)
    local.write_result(folder, {})
    (Path(local.root) / folder / RESULT_NAME).write_text(text)
    with pytest.raises(DamagedFile, match=r"result\.json"):
        local.read_json(f"{folder}/{RESULT_NAME}")


def test_a_folder_that_may_not_be_listed_is_not_taken_for_an_empty_one(
    local: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _keep(local, b"pixels")

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(StoreError, match="not allowed"):
        local.files("acc")


def test_a_result_that_no_json_reader_takes_is_not_written(local: ArtifactStore) -> None:
    with pytest.raises(ValueError, match=r"nan|JSON"):
        local.write_result(_folder(local), {"credits": float("nan")})
    assert not Path(local.root).exists()


def test_checking_that_it_is_writable_leaves_nothing(store: ArtifactStore) -> None:
    store.check_writable()
    path = Path(store.root)
    assert store.root.startswith("memory:") or _files(path) == set()


def test_a_store_that_is_a_file_is_refused_before_anything_is_paid(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("")
    with pytest.raises(StoreError, match="artifacts"):
        ArtifactStore(str(tmp_path / "artifacts")).check_writable()


def test_an_unknown_kind_of_url_is_refused_with_its_name() -> None:
    with pytest.raises(StoreError, match="nosuch"):
        ArtifactStore("nosuch://bucket/artifacts")


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../b", "..\\up"])
def test_a_ledger_row_never_leads_out_of_the_store(local: ArtifactStore, path: str) -> None:
    artifact = Artifact("x", path, "0" * 64, 1, PNG)
    with pytest.raises(ValueError, match="leads out"):
        local.read_bytes(artifact)


@pytest.mark.parametrize("name", ["../x.png", ".hidden", "a/b", "", RESULT_NAME])
def test_a_file_is_only_kept_under_a_plain_name(local: ArtifactStore, name: str) -> None:
    with pytest.raises(ValueError):
        _keep(local, b"pixels", name)


@pytest.mark.parametrize("data", [{}, {"name": "x", "path": "p", "sha256": "s", "bytes": None}])
def test_json_that_is_no_artifact_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not an artifact"):
        Artifact.from_json(data)


@pytest.mark.parametrize("product_id", ["mug", "red-mug_01", "a", "sku.1234", "x" * 64])
def test_a_plain_id_is_its_own_folder(product_id: str) -> None:
    assert product_slug(product_id) == product_id


@pytest.mark.parametrize(
    ("product_id", "readable"),
    [
        ("../../etc", "etc"),
        ("Größe 42/rot", "Groe-42-rot"),
        ("SKU-1", "SKU-1"),
        ("靴", "_"),
        (".git", "git"),
        ("con", "_con"),
        ("nul.txt", "_nul.txt"),
        ("a" * 200, "a" * 64),
        ("mug--0123456789ab", "mug-0123456789ab"),
    ],
)
def test_any_other_id_stays_readable_and_gets_a_hash(product_id: str, readable: str) -> None:
    name, _, digest = product_slug(product_id).rpartition("--")
    assert name == readable
    assert len(digest) == 12


IDS = st.one_of(
    st.text(min_size=1, max_size=260),
    st.text(alphabet="aA-.b0\\/ ", min_size=1, max_size=6),
    st.sampled_from(["con", "CON", "com1", "..", ".", "a", "A", "ä", "a\u0308", "prn.x"]),
)


@given(st.lists(IDS, unique=True, min_size=2, max_size=6))
def test_no_two_ids_share_a_folder_even_where_case_does_not_count(ids: list[str]) -> None:
    slugs = [product_slug(product_id) for product_id in ids]
    assert len({slug.lower() for slug in slugs}) == len(ids)


@given(IDS)
def test_every_id_is_one_safe_path_segment_and_its_slug_is_no_fixed_point(product_id: str) -> None:
    slug = product_slug(product_id)
    assert slug.isascii()
    assert len(slug) <= 79
    assert not set(slug) & set('/\\:*?"<>| \x00')
    assert not slug.startswith(".")
    assert not slug.endswith(".")
    assert ".." not in slug or slug == product_id
    assert slug.split(".")[0].lower() not in {"con", "prn", "aux", "nul", "com1", "lpt1"}
    if slug != product_id:
        assert product_slug(slug) != slug


def test_a_bucket_that_does_not_answer_has_not_lost_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = ArtifactStore("memory://bucket/silent")
    artifact = _keep(store, b"pixels")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("token s3cret was refused")

    monkeypatch.setattr(MemoryFileSystem, "info", fail)
    with pytest.raises(StoreError, match="credentials") as caught:
        store.has(artifact)
    assert "s3cret" not in str(caught.value)


def test_an_upload_that_ended_early_is_not_taken_for_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    store = ArtifactStore("memory://bucket/early")

    def half(fs: MemoryFileSystem, source: str, target: str) -> None:
        fs.pipe_file(target, Path(source).read_bytes()[:3])

    monkeypatch.setattr(MemoryFileSystem, "put_file", half)
    with pytest.raises(StoreError, match="incomplete"):
        _keep(store, b"pixels")
    monkeypatch.undo()
    assert store.read_bytes(_keep(store, b"pixels")) == b"pixels"


def test_a_marker_is_made_once_and_found_again(store: ArtifactStore) -> None:
    assert store.marker.read() is None
    made = store.marker.create()
    assert len(made) == 32
    assert store.marker.create() == made
    assert ArtifactStore(store.root).marker.read() == made


def test_of_two_processes_that_mark_a_store_at_once_one_counts_for_both(
    local: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ArtifactStore(local.root)
    theirs: list[str] = []
    write = os.link

    def link_and_be_late(*given: Any) -> None:
        if not theirs:
            theirs.append("")
            theirs[:] = [other.marker.create()]
        write(*given)

    monkeypatch.setattr(os, "link", link_and_be_late)
    assert [local.marker.create()] == theirs


def test_a_file_system_without_links_takes_a_marker_all_the_same(
    local: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    assert local.marker.create() == local.marker.read()
    assert local.marker.create() == local.marker.read()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"store_id": 7}', '{"store_id": ""}'])
def test_a_damaged_marker_is_no_marker_and_is_replaced(local: ArtifactStore, text: str) -> None:
    local.marker.create()
    (Path(local.root) / MARKER_NAME).write_text(text)
    assert local.marker.read() is None
    made = local.marker.create()
    assert len(made) == 32
    assert local.marker.read() == made


def test_reading_a_marker_asks_a_bucket_once(monkeypatch: pytest.MonkeyPatch) -> None:
    store = ArtifactStore(f"memory://bucket-{uuid.uuid4().hex}/artifacts")
    store.marker.create()
    asked: list[str] = []
    for name in ("cat_file", "info", "ls", "find", "open", "exists"):
        real = getattr(MemoryFileSystem, name)

        def count(
            fs: MemoryFileSystem, *given: object, _real: Any = real, _name: str = name, **named: Any
        ) -> Any:
            asked.append(_name)
            return _real(fs, *given, **named)

        monkeypatch.setattr(MemoryFileSystem, name, count)
    assert store.marker.read() is not None
    assert asked == ["cat_file"]


def test_a_store_unmounted_in_the_middle_of_a_run_has_not_lost_its_files(
    store: ArtifactStore,
) -> None:
    artifact = _keep(store, b"pixels")
    store.expect(store.marker.create())
    store._storage.remove(artifact.path)
    assert not store.has(artifact)
    store._storage.remove(MARKER_NAME)
    with pytest.raises(StoreError, match="Is it still mounted"):
        store.has(artifact)
    with pytest.raises(StoreError, match="Is it still mounted"):
        _keep(store, b"pixels")
    with pytest.raises(StoreError, match="Is it still mounted"):
        store.files("account")
