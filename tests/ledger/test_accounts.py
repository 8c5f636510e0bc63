"""An account is an origin and a uid, never the key."""

import pytest

from topview_pipeline.ledger import account_id

UID = "ExampleUid0000000001"
REAL = "https://api.topview.ai"


@pytest.mark.parametrize(
    "same",
    [
        "https://api.topview.ai/",
        "https://api.topview.ai:443",
        "HTTPS://API.Topview.AI",
        " https://api.topview.ai\n",
    ],
)
def test_other_spellings_of_an_origin_are_the_same_account(same: str) -> None:
    assert account_id(same, UID) == account_id(REAL, UID)


@pytest.mark.parametrize(
    ("base_url", "uid"),
    [
        ("http://api.topview.ai", UID),
        ("https://api.topview.ai:8443", UID),
        ("https://topview.ai", UID),
        ("http://127.0.0.1:8777", UID),
        (REAL, UID.lower()),
    ],
)
def test_another_origin_or_uid_is_another_account(base_url: str, uid: str) -> None:
    assert account_id(base_url, uid) != account_id(REAL, UID)


def test_a_uid_from_a_file_with_a_newline_is_the_same_uid() -> None:
    assert account_id(REAL, f"{UID}\n") == account_id(REAL, UID)
