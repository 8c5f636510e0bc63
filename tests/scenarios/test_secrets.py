"""After runs on a bad day no key, no signed query and no password stands in anything written."""

from __future__ import annotations

import logging
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import serialize_value
from pydantic import SecretStr

from tests.cli.conftest import project_of
from tests.scenarios.bad_day import (
    KEY,
    PASSWORD,
    PHOTO_SIGNATURE,
    WRONG_KEY,
    BadDay,
    Secrets,
    bad_day,
)
from topview_pipeline.artifacts import ArtifactStore
from topview_pipeline.definitions import defs
from topview_pipeline.defs.resources import (
    ArtifactsResource,
    CatalogueResource,
    LedgerResource,
    TopviewResource,
)
from topview_pipeline.environment import VARIABLES
from topview_pipeline.inputs import InputFiles
from topview_pipeline.ledger import Ledger
from topview_pipeline.producer import Desk, ProducerConfig, Run
from topview_pipeline.redaction import without_queries
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.records import Account, CreditEntry
from topview_pipeline.sandbox.serve import Running
from topview_pipeline.settings import Settings
from topview_pipeline.sources import SourceError
from topview_pipeline.stages.results import downloads_of
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.models import (
    AiAvatar,
    CreditLogEntry,
    Image2VideoResult,
    RemoveBackgroundResult,
    ReplacedImage,
    UploadCredential,
)

__all__ = ["bad_day", "project_of"]

SIGNED = f"https://shop:{quote_plus(PASSWORD)}@cdn.test/a.png?X-Amz-Signature=5167ed"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_secret_is_written_or_said(
    bad_day: BadDay, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        bad_day.sells("abcdexy")  # x and y have no photo
        assert bad_day.run("a run with faults") in (1, 3)
        bad_day.sells("abcdexyf")
        assert bad_day.execute("a run of Dagster with faults") == 1
        bad_day.mischief.refuses = True
        bad_day.sells("abcdexyfg")
        assert bad_day.execute("a run that is refused") == 1
        bad_day.mischief.refuses = False
        bad_day.sells("abcdexyfgh")
        assert bad_day.execute("a run with a wrong key", TOPVIEW_API_KEY=WRONG_KEY) == 1
        assert bad_day.run("a start with a wrong key", TOPVIEW_API_KEY=WRONG_KEY) == 2

    bad_day.listen(capfd, caplog)
    _assert_it_was_a_bad_day(bad_day)
    bad_day.assert_nothing_leaked()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_password_of_a_setting_is_written_or_said(
    bad_day: BadDay, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be reached is named without them, causes in the tracebacks included."""
    nowhere = f"shop:{quote(PASSWORD)}@127.0.0.1:9"
    with caplog.at_level(logging.DEBUG):
        for name, value in (
            ("TOPVIEW_ARTIFACTS", f"ftp://{nowhere}/videos"),
            ("TOPVIEW_LEDGER_URL", f"postgresql+psycopg2://{nowhere}/x"),
            ("TOPVIEW_CATALOGUE", bad_day.at_the_shop("catalogue.csv")),
            ("TOPVIEW_CATALOGUE", f"http://{nowhere}/c.csv?X-Amz-Signature={PHOTO_SIGNATURE}"),
            ("TOPVIEW_CATALOGUE", f"ftp://{nowhere}/c.csv"),
            ("TOPVIEW_BASE_URL", f"http://{nowhere}"),
        ):
            bad_day.sells("a")
            assert bad_day.execute(f"a run with {name} {value}", **{name: value}) == 1
            assert bad_day.run(f"a start with {name} {value}", **{name: value}) == 2
    for said in bad_day.said.values():
        assert "127.0.0.1" in said or "TOPVIEW_" in said

    bad_day.listen(capfd, caplog)
    bad_day.assert_nothing_leaked()


def _assert_it_was_a_bad_day(bad_day: BadDay) -> None:
    """Else nothing was proven."""
    assert set(bad_day.mischief.done) >= {
        *("redirect", "forbidden", "cut", "expired"),
        *("4006", "302", "garbage", "500", "fail"),
    }
    assert bad_day.project.counters()["downloads"]["whole"] > 0
    written = b"".join(content for _, content in bad_day.everything())
    assert b"Bearer ***" in written, "no server repeated the key"
    assert b"HTTP Request: GET" in written, "no library's log came into Dagster's"
    assert any("X-Amz-Signature=" in url for url in bad_day.issued)


def test_the_ui_is_told_the_names_of_variables_and_not_their_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All that the web server knows of this code location comes to it as this snapshot."""
    _set_secrets(monkeypatch)
    told = serialize_value(RepositorySnap.from_def(defs.get_repository_def()))
    assert '"TOPVIEW_API_KEY"' in told
    assert _all_secrets().found_in(iter([("the snapshot", told.encode())])) == []


def test_nothing_shows_a_secret_in_its_repr(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _set_secrets(monkeypatch)
    settings = Settings.from_environment()
    result = RemoveBackgroundResult(
        task_id="t1", bg_removed_image_path=SIGNED, mask_image_path=SIGNED
    )
    client = TopviewClient(base_url=settings.base_url, uid="Uid1", api_key=KEY)
    ledger = Ledger(f"sqlite:///{tmp_path}/l.db", base_url=settings.base_url, uid="Uid1")
    shown: list[object] = [
        settings,
        TopviewResource(uid="Uid1", api_key=KEY),
        LedgerResource(url=settings.ledger_url),
        ArtifactsResource(root=settings.artifacts),
        CatalogueResource(source=SIGNED),
        Desk(
            client=client,
            ledger=ledger,
            store=ArtifactStore(f"memory://shop:{quote(PASSWORD)}@bucket"),
            inputs=InputFiles(),
            run=Run("run", "run"),
            config=ProducerConfig(),
            submit_seconds=1.0,
        ),
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
        *(downloads_of(result) or ()),
        SandboxConfig(api_key=KEY),
        Running("http://127.0.0.1:1", "Uid1", KEY, 1),
        Account("Uid1", KEY, 0.0),
        CreditEntry("Uid1", KEY, 0.0, 0.0, "t1", "kind"),
        SourceError(f"HTTP 403 at {without_queries(SIGNED)}", "shop", "Sign it anew."),
    ]
    leaks = [
        leak
        for one in shown
        for text in (repr(one), str(one))
        for leak in _all_secrets().found_in(iter([(type(one).__name__, text.encode())]))
    ]
    ledger.close()
    assert leaks == []


def _set_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable.name, raising=False)
    monkeypatch.setenv("TOPVIEW_API_KEY", KEY)
    monkeypatch.setenv("TOPVIEW_UID", "Uid1")
    monkeypatch.setenv("TOPVIEW_ARTIFACTS", f"memory://shop:{quote(PASSWORD)}@bucket/videos")
    monkeypatch.setenv("TOPVIEW_CATALOGUE", SIGNED)


def _all_secrets() -> Secrets:
    secrets = Secrets()
    for name, value in (("key", KEY), ("password", PASSWORD), ("signature", "5167ed")):
        secrets.add(name, value)
    return secrets
