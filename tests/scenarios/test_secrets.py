"""After runs on a bad day no key, no signed query and no password stands in anything written."""

from __future__ import annotations

import logging
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import serialize_value
from pydantic import SecretStr

from tests.scenarios.bad_day import (
    CATCH_UP,
    KEY,
    PASSWORD,
    PHOTO_SIGNATURE,
    RUN,
    WRONG_KEY,
    BadDay,
    bad_day,
    forms,
    leaks,
)
from topview_pipeline.catalogue import CatalogueError, InputFiles
from topview_pipeline.definitions import defs
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.engine import Context, RunInfo
from topview_pipeline.ledger import Ledger
from topview_pipeline.sandbox.api.state import Account, CreditEntry
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.serve import Running
from topview_pipeline.settings import PipelineConfig
from topview_pipeline.stages import CUT_OUT
from topview_pipeline.store import Store
from topview_pipeline.text import without_queries
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.models import (
    AiAvatar,
    CreditLogEntry,
    Image2VideoResult,
    RemoveBackgroundResult,
    ReplacedImage,
    UploadCredential,
)

__all__ = ["bad_day"]

SIGNED = f"https://shop:{quote_plus(PASSWORD)}@cdn.test/a.png?X-Amz-Signature=5167ed"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_secret_is_written_or_said(
    bad_day: BadDay, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        bad_day.sells("abcdexy")  # x and y have no photo
        assert bad_day.command("a run with faults", *RUN) in (1, 3)
        bad_day.sells("abcdexyf")
        assert bad_day.command("a run of Dagster with faults", *CATCH_UP) == 1
        bad_day.mischief.refuses = True
        bad_day.sells("abcdexyfg")
        assert bad_day.command("a run that is refused", *CATCH_UP) == 1
        bad_day.mischief.refuses = False
        bad_day.sells("abcdexyfgh")
        wrong = {"TOPVIEW_API_KEY": WRONG_KEY}
        assert bad_day.command("a run with a wrong key", *CATCH_UP, **wrong) == 1
        assert bad_day.command("a start with a wrong key", *RUN, **wrong) == 2

    _assert_it_was_a_bad_day(bad_day)
    bad_day.assert_nothing_leaked(*capfd.readouterr(), caplog.text)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_password_of_a_setting_is_written_or_said(
    bad_day: BadDay, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A server out of reach is named without them, causes in the tracebacks included."""
    nowhere = f"shop:{quote(PASSWORD)}@127.0.0.1:9"
    with caplog.at_level(logging.DEBUG):
        for name, value in (
            ("TOPVIEW_STORE", f"ftp://{nowhere}/videos"),
            ("TOPVIEW_LEDGER_URL", f"postgresql+psycopg2://{nowhere}/x"),
            ("TOPVIEW_CATALOGUE", bad_day.at_the_shop("catalogue.csv")),
            ("TOPVIEW_CATALOGUE", f"http://{nowhere}/c.csv?X-Amz-Signature={PHOTO_SIGNATURE}"),
            ("TOPVIEW_CATALOGUE", f"ftp://{nowhere}/c.csv"),
            ("TOPVIEW_BASE_URL", f"http://{nowhere}"),
        ):
            bad_day.sells("a")
            bad = {name: value}
            assert bad_day.command(f"a run with {name} {value}", *CATCH_UP, **bad) == 1
            assert bad_day.command(f"a start with {name} {value}", *RUN, **bad) == 2
    for said in bad_day.said.values():
        assert "127.0.0.1" in said or "TOPVIEW_" in said

    bad_day.assert_nothing_leaked(*capfd.readouterr(), caplog.text)


def _assert_it_was_a_bad_day(bad_day: BadDay) -> None:
    """Else nothing was proven."""
    assert set(bad_day.mischief.done) >= {
        *("redirect", "elsewhere", "expired"),
        *("4006", "302", "garbage", "500", "fail"),
    }
    counters = bad_day.shop.control.counters()
    assert counters["faults"]["cut_download"] > 0
    assert counters["downloads"]["whole"] > 0
    written = b"".join(content for _, content in bad_day.everything())
    assert b"Bearer ***" in written, "no server repeated the key"
    assert b"HTTP Request: GET" in written, "no library's log came into Dagster's"
    assert any("X-Amz-Signature=" in url for url in bad_day.issued)


def test_the_ui_gets_no_value_of_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the web server knows of this code location comes to it as this snapshot."""
    for name, value in SECRET_SETTINGS.items():
        monkeypatch.setenv(name, value)
    snapshot = serialize_value(RepositorySnap.from_def(defs.get_repository_def()))
    assert leaks(_secrets(), [("the snapshot", snapshot.encode())]) == []


def test_nothing_shows_a_secret_in_its_repr(tmp_path: Path) -> None:
    config = PipelineConfig.from_environment(SECRET_SETTINGS)
    result = RemoveBackgroundResult(
        task_id="t1", bg_removed_image_path=SIGNED, mask_image_path=SIGNED
    )
    client = TopviewClient(base_url=config.base_url, uid="Uid1", api_key=KEY)
    ledger = Ledger(f"sqlite:///{tmp_path}/l.db", base_url=config.base_url, uid="Uid1")
    context = Context(
        client=client,
        ledger=ledger,
        store=Store(config.store.replace("s3:", "memory:")),
        files=InputFiles(),
        run=RunInfo("run", "run"),
        config=config,
        submit_seconds=1.0,
    )
    shown: list[object] = [
        config,
        TopviewResource(config),
        TopviewResource(lambda: config),
        context,
        client,
        vars(client),
        ledger,
        result,
        ReplacedImage(image_id="i1", url=SIGNED),
        Image2VideoResult(
            task_id="t1", finished_video_url=SIGNED, ai_avatar=AiAvatar(cover_url=SIGNED)
        ),
        UploadCredential(file_id="f1", upload_url=SIGNED),
        CreditLogEntry(api_key=SecretStr(KEY)),
        *(CUT_OUT.downloads(result) or ()),
        SandboxConfig(api_key=KEY),
        Running("http://127.0.0.1:1", "Uid1", KEY, 1),
        Account("Uid1", KEY, 0.0),
        CreditEntry("Uid1", KEY, 0.0, 0.0, "t1", "kind"),
        CatalogueError(f"HTTP 403 at {without_queries(SIGNED)}", "shop", "Sign it again."),
    ]
    texts = [(type(one).__name__, text.encode()) for one in shown for text in (repr(one), str(one))]
    ledger.close()
    assert leaks(_secrets(), texts) == []


SECRET_SETTINGS = {
    "TOPVIEW_API_KEY": KEY,
    "TOPVIEW_UID": "Uid1",
    "TOPVIEW_STORE": f"s3://shop:{quote(PASSWORD)}@bucket/videos",
    "TOPVIEW_LEDGER_URL": f"postgresql://shop:{quote(PASSWORD)}@host/ledger",
    "TOPVIEW_CATALOGUE": SIGNED,
}


def _secrets() -> dict[str, bytes]:
    return forms(key=KEY, password=PASSWORD, signature="5167ed")
