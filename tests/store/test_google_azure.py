"""Buckets of Google and Azure, over local servers; Azure's is on few machines:

    pip install adlfs; npm install azurite

Not seen here: gRPC and a refusal to overwrite of Google's, which its emulator does not know.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from gcp_storage_emulator.server import create_server

from tests.store.conftest import FINGERPRINT, keep, record_of
from topview_pipeline.store import Store, StoreError
from topview_pipeline.store.backends import open_backend

_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key that everybody's azurite has."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    port = free_port()
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
    server.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # asks by gRPC
    yield "gs://bucket/media"
    server.stop()


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("adlfs")
    blob = pytest.importorskip("azure.storage.blob")
    program = shutil.which("azurite-blob") or pytest.skip("azurite-blob is not on the path")
    port = free_port()
    place = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(tmp_path)]
    with subprocess.Popen([program, *place, "--silent", "--skipApiVersionCheck"]) as process:
        account = "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1"
        endpoint = f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1"
        address = f"{account};AccountKey={_KEY};{endpoint};"
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", address)
        # Its client asks again until the server answers.
        service = blob.BlobServiceClient.from_connection_string(address, retry_total=8)
        service.create_container("bucket")
        yield "az://bucket/media"
        process.terminate()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["google", "azure"])
def test_a_bucket_keeps_and_gives_back_a_result(name: str, request: pytest.FixtureRequest) -> None:
    location: str = request.getfixturevalue(name)
    store = Store(location)
    assert store.identity(create=True) == Store(location).identity(create=True) is not None
    store.check_writable("acc")
    assert store.find("acc", FINGERPRINT) is None
    artifact = keep(store)
    store.write_result(record_of(artifact))
    other = Store(location)  # another process, without the copies of this one
    assert other.find("acc", FINGERPRINT) == record_of(artifact)
    assert (other.has(artifact), other.read_bytes(artifact)) == (True, b"pixels")
    with other.local_copy(artifact) as copy:
        assert copy.read_bytes() == b"pixels"
    assert (other.has_results("acc"), other.has_results("other")) == (True, False)
    assert artifact.path in store.link(artifact)
    with pytest.raises(StoreError, match="cannot be written"):
        Store(location.replace("bucket", "bukket")).check_writable("acc")
    if name == "azure":
        backend = open_backend(location)
        for data in (b"first", b"second"):
            backend.write_new("a.json", data, "application/json")
        assert backend.read("a.json") == b"first"
