"""Results in the store: whole or not at all, found by one read, and never out of the root."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.store.conftest import FINGERPRINT, PNG, files_in, keep, path_of, record_of
from topview_pipeline.store import Artifact, ResultRecord, Store, StoreError
from topview_pipeline.store.backends import LocalBackend
from topview_pipeline.store.store import MARKER_NAME

FOLDER = f"acc/mug/bgRemovedImage/{FINGERPRINT}"
INDEX = f"acc/index/{FINGERPRINT}.json"


def test_a_kept_file_comes_back(store: Store) -> None:
    artifact = keep(store)
    assert artifact.path == f"{FOLDER}/cutout.png"
    assert (artifact.name, artifact.size, artifact.media_type) == ("cutout.png", 6, PNG)
    assert store.has(artifact)
    assert store.read_bytes(artifact) == b"pixels"
    with store.local_copy(artifact) as copy:
        assert copy.read_bytes() == b"pixels"
        assert copy.suffix == ".png"
    assert copy.exists() == (copy == path_of(store, artifact.path))  # a remote one goes away


def test_a_result_is_found_by_its_fingerprint_with_fields_that_no_model_knows(
    store: Store,
) -> None:
    assert store.find("acc", FINGERPRINT) is None
    record = record_of(keep(store))
    store.write_result(record)
    found = Store(store.location).find("acc", FINGERPRINT)
    assert found == record
    assert found is not None
    assert found.result["newField"] == {"früh": [1, None]}
    assert store.find("acc", "f" * 64) is None
    assert store.find("other", FINGERPRINT) is None


def test_fields_of_a_newer_version_are_ignored(store: Store) -> None:
    """In the record, and in the ledger's artifacts."""
    artifact = keep(store)
    data = json.loads(json.dumps(record_of(artifact).model_dump()))
    data["later"] = data["times"]["later"] = data["artifacts"][0]["later"] = 1
    assert ResultRecord.from_json(data) == record_of(artifact)
    assert Artifact.from_json({**artifact.to_json(), "later": 1}) == artifact


def test_a_stage_costs_a_bucket_few_requests(bucket: Store, requests: list[str]) -> None:
    bucket.identity(create=True)
    requests.clear()
    assert bucket.identity() is not None
    assert requests == ["cat_file"]
    requests.clear()
    assert bucket.find("acc", FINGERPRINT) is None
    assert requests == ["cat_file"]
    bucket.write_result(record_of(keep(bucket)))
    assert requests == ["cat_file", "put_file", "pipe_file"]
    requests.clear()
    assert bucket.find("acc", FINGERPRINT) is not None
    assert requests == ["cat_file"]


@pytest.mark.parametrize("written", [0, 1, 2])
def test_a_process_that_dies_while_it_writes_leaves_a_whole_result_or_none(
    local: Store, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    order: list[str] = []
    real = LocalBackend.put

    def put(backend: LocalBackend, incoming: Path, path: str, media_type: str) -> None:
        if len(order) == written:
            raise KeyboardInterrupt
        real(backend, incoming, path, media_type)
        order.append(path)

    monkeypatch.setattr(LocalBackend, "put", put)
    try:
        local.write_result(record_of(keep(local)))
    except KeyboardInterrupt:
        assert written < 2
    assert order == [f"{FOLDER}/cutout.png", INDEX][:written]
    assert files_in(local) == set(order)
    assert (local.find("acc", FINGERPRINT) is not None) == (written == 2)


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        (INDEX, "{", "not JSON"),
        (INDEX, "", "not JSON"),
        (INDEX, "[]", "the record: "),
        (INDEX, "{}", "account: Field required"),
    ],
)
def test_damage_is_an_error_with_the_file_and_never_taken_for_work_to_pay_again(
    local: Store, key: str, text: str, words: str
) -> None:
    local.write_result(record_of(keep(local)))
    path_of(local, key).write_text(text)
    with pytest.raises(StoreError, match=words) as caught:
        local.find("acc", FINGERPRINT)
    assert "backup" in caught.value.fix
    assert caught.value.where.endswith(key)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fingerprint": "e" * 64}, "another result"),
        ({"artifacts": (Artifact("x", "../elsewhere", "", 0, PNG),)}, "leads out"),
    ],
)
def test_a_record_of_another_result_is_damage(
    store: Store, change: dict[str, Any], words: str
) -> None:
    store.write_json(INDEX, record_of(keep(store)).model_copy(update=change).model_dump())
    with pytest.raises(StoreError, match=words):
        store.find("acc", FINGERPRINT)


def test_a_damaged_file_is_not_sent_to_topview_and_a_second_download_replaces_it(
    local: Store,
) -> None:
    artifact = keep(local)
    path_of(local, artifact.path).write_bytes(b"PIXELS")
    with pytest.raises(StoreError, match="not those that were stored"):
        local.read_bytes(artifact)
    path_of(local, artifact.path).write_bytes(b"")
    assert not local.has(artifact)
    assert keep(local) == artifact
    assert local.has(artifact)


def test_a_missing_file_is_named_when_it_is_read(store: Store) -> None:
    artifact = Artifact("x.png", f"{FOLDER}/x.png", "0" * 64, 1, PNG)
    assert store.identity(create=True)
    assert not store.has(artifact)
    with pytest.raises(StoreError, match="it is gone") as caught:
        store.read_bytes(artifact)
    assert caught.value.where.endswith("x.png")
    with pytest.raises(StoreError, match=r"x\.png"), store.local_copy(artifact):
        pass


def test_results_of_an_account_are_noticed_and_other_files_are_none(store: Store) -> None:
    assert not store.has_results("acc")
    store.write_json("acc/plans/run-1.json", {})
    store.write_file("acc/manifest/videos.csv", b"", "text/csv")
    store.check_writable("acc")
    assert not store.has_results("acc")
    keep(store)  # also without its record: it was paid for
    assert store.has_results("acc")
    assert not store.has_results("other")


def test_json_of_a_run_comes_back_if_a_json_reader_takes_it(store: Store) -> None:
    plan = {"products": ["Größe 42", "靴"], "credits": 1.5}
    assert store.read_json("plans/run-1.json") is None
    with pytest.raises(ValueError, match=r"nan|JSON"):
        store.write_json("plans/run-1.json", float("nan"))
    store.write_json("plans/run-1.json", plan)
    assert store.read_json("plans/run-1.json") == plan
    assert "Größe".encode() in (store.read_file("plans/run-1.json") or b"")
    store.write_json("plans/run-1.json", "half a character \ud83d")
    assert store.read_json("plans/run-1.json") == "half a character ?"
    store.write_file("plans/run-1.json", b"{", "application/json")
    with pytest.raises(StoreError, match="not JSON"):
        store.read_json("plans/run-1.json")


# Names and addresses.


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../b", "..\\up", "", "."])
def test_a_damaged_row_never_leads_out_of_the_store(store: Store, path: str) -> None:
    artifact = Artifact("x", path, "0" * 64, 1, PNG)
    with pytest.raises(StoreError, match="leads out"):
        store.read_bytes(artifact)
    with pytest.raises(StoreError, match="leads out"):
        store.write_file(path, b"", PNG)


def test_a_link_in_the_place_of_a_file_is_replaced_and_its_target_left_alone(
    local: Store, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"theirs")
    artifact = keep(local)
    path_of(local, artifact.path).unlink()
    path_of(local, artifact.path).symlink_to(outside)
    keep(local)
    assert outside.read_bytes() == b"theirs"
    assert local.read_bytes(artifact) == b"pixels"


def test_addresses_open_from_a_page_a_server_and_the_place_itself(
    local: Store, bucket: Store, tmp_path: Path
) -> None:
    artifact = keep(local, name="a.png")
    assert local.address(artifact) == path_of(local, artifact.path).as_uri()
    assert local.address("é/x y.csv", base_url="/media/") == "/media/%C3%A9/x%20y.csv"
    page = tmp_path / "page"
    assert local.address(artifact, beside=page) == f"../artifacts/{artifact.path}"
    assert bucket.address(artifact, beside=page) == f"{bucket.location}/{artifact.path}"


def test_credentials_of_a_location_are_never_shown() -> None:
    store = Store("memory://user:s3cret@bucket/artifacts")
    assert "s3cret" not in store.location + store.address("a/b")


# A store that goes away.


def test_a_store_unmounted_in_the_middle_of_a_run_has_lost_nothing(local: Store) -> None:
    artifact = keep(local)
    local.identity(create=True)
    shutil.rmtree(path_of(local, "acc"))
    assert not local.has(artifact)
    path_of(local, MARKER_NAME).unlink()
    with pytest.raises(StoreError, match="Is it still mounted"):
        local.has(artifact)
    with pytest.raises(StoreError, match="Is it still mounted"):
        keep(local)
    with pytest.raises(StoreError, match="Is it still mounted"):
        local.find("acc", FINGERPRINT)
    assert local.identity() is None


def test_a_place_that_became_another_one_or_none_is_not_an_empty_store(
    local: Store, bucket: Store
) -> None:
    artifact = keep(local)
    Path(local.location).rename(Path(local.location).with_name("unmounted"))
    with pytest.raises(StoreError, match="TOPVIEW_STORE"):
        local.has(artifact)
    bucket.identity(create=True)
    bucket.write_json(MARKER_NAME, {"store_id": "another"})
    with pytest.raises(StoreError, match="no longer the store"):
        bucket.has(artifact)


def test_a_file_is_never_kept_outside_of_the_store(local: Store) -> None:
    with pytest.raises(StoreError, match="leads out"):
        keep(local, name="../../../../../x.png")
