"""File ids that Topview gave for bytes of ours."""

from topview_pipeline.ledger import Ledger


def test_an_upload_is_remembered_until_topview_forgets_it(ledger: Ledger) -> None:
    uploads = ledger.uploads
    assert uploads.find("hash") is None
    uploads.remember("hash", "file-1", format="png")
    uploads.remember("hash", "file-2", format="png")
    uploads.forget("hash", file_id="file-1")  # said late by somebody who still had the old one
    assert uploads.find("hash") == "file-2"
    uploads.forget("hash", file_id="file-2")
    assert uploads.find("hash") is None
