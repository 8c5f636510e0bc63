"""What keeps a whole run from its work: a sentence that says how to mend it, and nothing sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import pytest

from tests.defs.shop import Shop, failure_of


class _WebPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html>Welcome</html>")

    do_POST = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web_page() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _WebPage) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def rows(shop: Shop) -> int:
    with shop.ledger() as ledger:
        return len(ledger.tasks.all())


@pytest.mark.slow
def test_a_base_url_that_answers_html_makes_no_rows(
    shop: Shop, web_page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPVIEW_BASE_URL", web_page)
    shop.add(*(f"p{number}" for number in range(20)))

    result = shop.catch_up()

    assert "TOPVIEW_BASE_URL" in failure_of(result)
    assert "Event loop" not in failure_of(result)
    assert rows(shop) == 0


def test_a_wrong_key_fails_the_run_however_many_products_there_are(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The producer ends while products are still being fed to it."""
    monkeypatch.setenv("TOPVIEW_API_KEY", "wrong")
    shop.add(*(f"p{number}" for number in range(40)))

    result = shop.catch_up()

    assert "AccountError" in failure_of(result) or "401" in failure_of(result)
    assert rows(shop) == 0
    assert shop.accepted() == {}


@pytest.mark.parametrize("name", ["TOPVIEW_UID", "TOPVIEW_API_KEY"])
def test_a_missing_credential_is_named(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shop.add("mug")
    shop.write()
    monkeypatch.delenv(name)

    with pytest.raises(dg.DagsterInvalidConfigError, match=name):
        shop.catch_up()


def test_no_catalogue_is_named(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOPVIEW_CATALOGUE")
    assert "TOPVIEW_CATALOGUE: it is not set" in failure_of(shop.catch_up())


def test_a_catalogue_that_is_not_there_is_named(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPVIEW_CATALOGUE", str(shop.folder / "no.csv"))
    assert "no.csv" in failure_of(shop.catch_up())


def test_a_ledger_that_cannot_be_written_is_named(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop.folder / "file").write_text("not a folder")
    monkeypatch.setenv("TOPVIEW_LEDGER_URL", f"sqlite:///{shop.folder}/file/ledger.db")
    shop.add("mug")

    assert "ledger" in failure_of(shop.catch_up())
    assert shop.accepted() == {}


def test_a_store_that_cannot_be_written_is_named_before_anything_is_sent(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop.folder / "file").write_text("not a folder")
    monkeypatch.setenv("TOPVIEW_ARTIFACTS", f"{shop.folder}/file/store")
    shop.add("mug")
    shop.register()

    for result in (shop.catch_up(), shop.materialize("mug")):
        assert f"{shop.folder}/file" in failure_of(result)
    assert shop.accepted() == {}


def test_a_setting_that_cannot_be_meant_is_named(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPVIEW_MAX_CONCURRENT_TASKS", "many")
    shop.add("mug")
    assert "TOPVIEW_MAX_CONCURRENT_TASKS" in failure_of(shop.catch_up())


def test_blanks_around_credentials_are_no_other_account(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPVIEW_UID", f" {shop.sandbox.uid} ")
    monkeypatch.setenv("TOPVIEW_API_KEY", f"{shop.sandbox.api_key}\n")
    shop.add("mug")

    assert shop.catch_up(stages=["bgRemovedImage"]).success
    with shop.ledger() as ledger:
        assert len(ledger.tasks.all()) == 1


def test_no_key_is_in_any_event_of_a_run(shop: Shop) -> None:
    shop.add("mug")
    result = shop.catch_up()
    log = "\n".join(str(entry) for entry in shop.instance.all_logs(result.run_id))
    assert log
    assert shop.sandbox.api_key not in log
    assert "X-Amz-Signature" not in log
