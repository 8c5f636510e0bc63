"""The instance: a ledger or store that is gone with its process."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.defs.shop import Shop, failure_of
from topview_pipeline.defs import instance as checks
from topview_pipeline.defs.instance import check_durable
from topview_pipeline.setting_types import SettingsError
from topview_pipeline.settings import PipelineConfig

MOUNTS = """overlay / overlay rw,relatime 0 0
/dev/sdb /data ext4 rw,relatime 0 0
"""
HOST = MOUNTS.replace("overlay / overlay", "/dev/sda / ext4")
SHARED = {
    "TOPVIEW_LEDGER_URL": "postgresql+psycopg2://db/topview",
    "TOPVIEW_STORE": "s3://bucket/topview",
}
AT_HOME = type("DefaultRunLauncher", (), {"__module__": "dagster._core.launcher"})
IN_PODS = type("K8sRunLauncher", (), {"__module__": "dagster_k8s.launcher"})


@pytest.mark.parametrize(
    ("is_refused", "mounts", "launcher", "is_pod", "settings"),
    [
        (False, HOST, AT_HOME, False, {}),
        (False, "", AT_HOME, False, {}),  # not Linux
        (True, MOUNTS, AT_HOME, False, {}),
        (True, HOST, IN_PODS, False, {}),
        (True, HOST, AT_HOME, True, {}),
        (False, MOUNTS, AT_HOME, False, {"TOPVIEW_HOME": "/srv/home"}),  # a person said so
        (True, MOUNTS, IN_PODS, False, {"TOPVIEW_HOME": "/srv/home"}),
        (False, MOUNTS, IN_PODS, True, {"TOPVIEW_HOME": "/data/home"}),
        (True, MOUNTS, IN_PODS, True, {**SHARED, "TOPVIEW_STORE": "/srv/store"}),
        (True, MOUNTS, AT_HOME, False, {"TOPVIEW_STORE": "s3://bucket/topview"}),
        (False, MOUNTS, IN_PODS, True, SHARED),
    ],
)
def test_a_place_that_the_next_run_will_not_find_is_refused_where_that_can_be_seen(
    is_refused: bool,
    mounts: str,
    launcher: Any,
    is_pod: bool,
    settings: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With defaults in pods the second backfill paid for everything again, and was green."""
    for name, text in (("_MOUNTS", mounts), ("_POD", is_pod)):
        path = tmp_path / name
        if text:
            path.write_text(str(text))
        monkeypatch.setattr(checks, name, path)
    config = PipelineConfig.from_environment(settings, start=Path("/srv/project"))
    instance: Any = SimpleNamespace(run_launcher=launcher())
    if not is_refused:
        check_durable(instance, config)
        return
    with pytest.raises(SettingsError) as refusal:
        check_durable(instance, config)
    assert "TOPVIEW_LEDGER_URL and TOPVIEW_STORE" in str(refusal.value)


def test_a_run_in_such_a_place_submits_nothing(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mounts").write_text(MOUNTS)
    monkeypatch.setattr(checks, "_MOUNTS", tmp_path / "mounts")
    monkeypatch.setattr(checks, "launches_elsewhere", lambda _: True)
    shop.settings["TOPVIEW_HOME"] = str(tmp_path / "home")
    shop.add("mug")
    assert "will not be there for the next run" in failure_of(shop.catch_up())
    assert shop.accepted() == {}
