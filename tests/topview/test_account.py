"""Settings that cannot work are refused before the first call, by the environment's names."""

import pytest
from pydantic import SecretStr

from topview_pipeline.topview.client import TopviewClient


def make(base_url: str = "https://api.topview.test", uid: str = "U", key: str = "K") -> None:
    TopviewClient(base_url=base_url, uid=uid, api_key=SecretStr(key))


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.topview.ai",
        "https://gateway.test/topview/",
        "http://127.0.0.1:8000",
        "http://localhost:8000/",
        "http://[::1]:8000",
        " https://api.topview.ai\n",
    ],
)
def test_a_base_url_that_can_work(base_url: str) -> None:
    make(base_url)


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "api.topview.ai",
        "ftp://api.topview.ai",
        "https://",
        "https://[::1",
        "http://api.topview.ai",
        "http://127.0.0.1.evil.test",
        "https://user:pw@api.topview.ai",
        "https://api.topview.ai/?x=1",
    ],
)
def test_a_base_url_that_cannot_work_is_named(base_url: str) -> None:
    with pytest.raises(ValueError, match="TOPVIEW_BASE_URL"):
        make(base_url)


@pytest.mark.parametrize("value", ["", " ", "two\nlines", "schlüssel", "nul\x00"])
def test_credentials_that_no_header_takes_are_named_but_not_shown(value: str) -> None:
    with pytest.raises(ValueError, match="TOPVIEW_UID"):
        make(uid=value)
    with pytest.raises(ValueError, match="TOPVIEW_API_KEY") as caught:
        make(key=value)
    assert not value.strip() or value not in str(caught.value)


def test_the_last_newline_of_a_key_file_does_not_count() -> None:
    make(key="sk-EXAMPLE\n")


@pytest.mark.parametrize(
    ("shown", "ours"),
    [
        ("sk-EXAMPLE", True),
        (" sk-EXAMPLE ", True),
        ("sk-****PLE", True),
        ("sk-...PLE", True),
        ("********", True),
        ("sk-\u2026LE", True),
        ("sk-OTHER", False),
        ("sk-EXAMPLE2", False),
        ("sk-****XYZ", False),
        ("pk-****PLE", False),
    ],
)
def test_a_key_that_is_shown_masked_may_be_ours_unless_what_is_left_of_it_differs(
    shown: str, ours: bool
) -> None:
    client = TopviewClient(base_url="https://api.topview.test", uid="U", api_key="sk-EXAMPLE")
    assert client.is_own_key(SecretStr(shown)) is ours
