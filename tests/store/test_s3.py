"""A bucket of S3: what it is asked for, and what it must allow."""

from __future__ import annotations

import hashlib
import urllib.request
from collections.abc import Iterator

import pytest

from tests import s3
from tests.store.conftest import FINGERPRINT, keep, record_of
from topview_pipeline.store import Store, StoreError

pytestmark = pytest.mark.slow  # the server takes seconds to load
LOCATION = "s3://bucket/media"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[s3.S3]:
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    with s3.running() as server:
        server.account = "acc"
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def test_a_stage_costs_four_requests_and_its_files_have_their_types(
    server: s3.S3,
) -> None:
    store = Store(LOCATION)
    identity = store.identity(create=True)
    assert identity == Store(LOCATION).identity(create=True)
    store.check_writable("acc")
    server.requests.clear()
    assert store.find("acc", FINGERPRINT) is None
    cut_out, mask = keep(store), keep(store, b"mask", "mask.png")
    store.write_result(record_of(cut_out, mask))
    for artifact in (cut_out, mask):
        with store.local_copy(artifact) as copy:
            assert hashlib.sha256(copy.read_bytes()).hexdigest() == artifact.sha256
        assert store.read_bytes(artifact)
    assert server.requests == {"GET object": 1, "PUT object": 3}
    assert store.find("acc", FINGERPRINT) == record_of(cut_out, mask)
    assert server.refused == []
    of_results = {kind for path, kind in server.types.items() if "/mug/" in path}
    assert of_results == {"image/png"}
    assert server.types[f"/bucket/media/acc/index/{FINGERPRINT}.json"] == "application/json"


def test_a_link_for_a_person_opens_without_credentials_and_only_its_file(server: s3.S3) -> None:
    link = Store(LOCATION).link(keep(Store(LOCATION)))
    assert "X-Amz-Expires=604800" in link
    assert "s3cret" not in link
    with urllib.request.urlopen(link) as answer:  # noqa: S310 - http, as made above
        assert answer.read() == b"pixels"
    assert Store(LOCATION).link("a.png", "https://cdn.example") == "https://cdn.example/a.png"


def test_a_misspelt_bucket_is_an_error_and_never_created(server: s3.S3) -> None:
    store = Store("s3://bukket/media")
    with pytest.raises(StoreError, match="bukket"):
        store.check_writable("acc")
    with pytest.raises(StoreError, match="bukket"):
        store.identity(create=True)
    assert not {"PUT bucket", "HEAD bucket"} & set(server.requests)


def test_another_accounts_folder_is_refused_with_the_way_out(server: s3.S3) -> None:
    with pytest.raises(StoreError, match="not allowed") as caught:
        Store(LOCATION).check_writable("other")
    assert "TOPVIEW_STORE" in caught.value.fix


def test_a_part_of_a_large_video_that_fails_is_sent_again(server: s3.S3) -> None:
    server.fails = 2
    data = bytes(101 * 2**20)
    artifact = keep(Store(LOCATION), data, "video.mp4")
    assert server.requests["PUT part"] == 3 + 2
    with Store(LOCATION).local_copy(artifact) as copy:
        assert copy.stat().st_size == len(data)
    assert server.refused == []
