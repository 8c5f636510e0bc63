"""A pipeline as YAML in a dg project: a mistake is said when it loads, secrets stay references."""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import serialize_value
from yaml import safe_load

from benchmarks import location
from tests.scenarios.bad_day import forms, leaks, written_below
from topview_pipeline.defs.component import TopviewCatalogue
from topview_pipeline.defs.jobs import catch_up_config
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.setting_types import SettingsError
from topview_pipeline.settings import CatalogueDefaults, PipelineConfig
from topview_pipeline.testing import ProductRows, sandbox

Attributes = dict[str, Any]
Load = Callable[..., dg.Definitions]
SECRET = "geheim-1f3a"
_numbers = count()


def brand(name: str, **more: Any) -> Attributes:
    account = {"uid": "{{ env.ACME_UID }}", "api_key": "{{ env.ACME_KEY }}"}
    return {"name": name, "catalogue": "catalogue.csv", "account": account} | more


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a project whose defs folder has a folder for each component."""

    def load(**components: Attributes) -> dg.Definitions:
        name = f"project{next(_numbers)}"
        root = tmp_path / name
        defs = root / name / "defs"
        defs.mkdir(parents=True)
        (root / "pyproject.toml").write_text(f"[tool.dg.project]\nroot_module = '{name}'\n")
        for folder in (defs.parent, defs):
            (folder / "__init__.py").touch()
        for component, attributes in components.items():
            file = {"type": "topview_pipeline.TopviewCatalogue", "attributes": attributes}
            (defs / component).mkdir()
            (defs / component / "defs.yaml").write_text(json.dumps(file))
        monkeypatch.syspath_prepend(root)
        try:
            return dg.load_from_defs_folder(path_within_project=root)
        finally:
            monkeypatch.chdir(tmp_path)
            for module in [module for module in sys.modules if module.split(".")[0] == name]:
                del sys.modules[module]

    return load


def cause(caught: pytest.ExceptionInfo[BaseException]) -> str:
    error: BaseException = caught.value
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)


def config_of(defs: dg.Definitions, name: str = "acme") -> PipelineConfig:
    topview = (defs.resources or {})[f"{name}_topview"]
    assert isinstance(topview, TopviewResource)
    return topview.config


@pytest.mark.parametrize(
    ("more", "key", "said"),
    [
        ({"nightly": {"cron": "often"}}, "nightly.cron", "'often' is not a cron schedule"),
        (
            {"nightly": {"cron": "99 2 * * *"}},
            "nightly.cron",
            "'99 2 * * *' is not a cron schedule",
        ),
        ({"nightly": {"timezone": "Europe/Berln"}}, "nightly.timezone", "is not a time zone"),
        ({"key_prefix": ["acme/eu"]}, "key_prefix", "'acme/eu' is no part of an asset key"),
        ({"name": "ac-me"}, "name", "'ac-me' is no name"),
        ({"owners": ["bob"]}, "owners", "'bob' is not an owner"),
        ({"account": {"uid": "u", "slots": "many"}}, "account.slots", "a whole number"),
        ({"account": {"uid": "u", "slots": 0}}, "account.slots", "at least 1"),
        ({"account": {"uid": "u", "credits_a_day": -1}}, "account.credits_a_day", "at least 0"),
        ({"account": {"uid": "u", "base_url": "ftp://x"}}, "account.base_url", "not an http"),
        ({"defaults": {"mode": "avatar9"}}, "defaults.mode", "It must be 'lite'"),
        (
            {"defaults": {"avatar_id": "a", "template_image": "b"}},
            "defaults.avatar_id",
            "defaults.",
        ),
        ({"deadline_seconds": {"image2video": 0}}, "deadline_seconds.image2video", "greater than"),
        ({"prices": {"cake": 1}}, "prices", "'cake=1.0' names no kind of task"),
        ({"store": "memory://x"}, "store", "Name a folder, or a bucket"),
        ({"name": "{{ env.NO_NAME }}"}, "name", "the variable NO_NAME is not set"),
        ({"account": "{{ env.NO_ACCOUNT }}"}, "account", "the variable NO_ACCOUNT is not set"),
        ({"nightly": "0 2 * * *"}, "nightly", "it is a text and must be a mapping"),
    ],
)
def test_a_wrong_value_stops_the_load_with_file_key_and_fix(
    load: Load, more: Attributes, key: str, said: str
) -> None:
    with pytest.raises(Exception, match="Error while") as caught:
        load(acme=brand("acme") | more)
    assert cause(caught).startswith(f"{key} in project")
    assert said in cause(caught)
    assert f"{Path('defs/acme/defs.yaml')}: " in cause(caught)


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({"ledgerr": SECRET}, "attributes.ledgerr at "),
        ({"account": {"uid": "u", "key": SECRET}}, ".key at "),
    ],
)
def test_an_unknown_key_stops_the_load_and_its_value_may_be_a_secret(
    load: Load, more: Attributes, wrong: str
) -> None:
    with pytest.raises(Exception, match="Error while") as caught:
        load(acme=brand("acme") | more)
    assert wrong in cause(caught)
    assert "Extra inputs are not permitted" in cause(caught)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_what_yaml_makes_of_a_text_is_taken_as_it_was_meant(load: Load) -> None:
    """To YAML a plain off is false, and digits are a number."""
    config = config_of(
        load(acme=brand("acme", account={"uid": 12345}, gate=False, trust_photos_for=3600))
    )
    assert (config.uid, config.gate, config.trust_photos_for) == ("12345", "off", 3600)


def test_a_variable_that_is_not_set_stops_only_what_needs_it(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_UID", "u")
    defs = load(acme=brand("acme"), zeta=brand("zeta", account={"uid": "u", "api_key": SECRET}))
    assert config_of(defs).require_uid() == "u"
    with pytest.raises(SettingsError) as caught:
        config_of(defs).require_account()
    assert str(caught.value).startswith("account.api_key in project")
    assert "defs.yaml: the variable ACME_KEY is not set. Set it where" in str(caught.value)
    assert config_of(defs, "zeta").require_account()[0] == "u"


@pytest.mark.parametrize("brand", ["acme", "zeta"])
def test_a_variable_of_ones_own_yaml_that_is_called_like_one_of_ours_keeps_its_name(
    load: Load, monkeypatch: pytest.MonkeyPatch, brand: str
) -> None:
    """The example's YAML takes TOPVIEW_API_KEY: that is what has to be set."""
    monkeypatch.setenv("TOPVIEW_UID", "u")
    monkeypatch.delenv("TOPVIEW_API_KEY", raising=False)
    yaml = Path(__file__).parents[2] / f"examples/two_brands/two_brands/defs/{brand}/defs.yaml"
    attributes = safe_load(yaml.read_text(encoding="utf-8"))["attributes"]
    defs = load(**{brand: attributes})
    with pytest.raises(SettingsError) as caught:
        config_of(defs, brand).require_account()
    topview = (defs.resources or {})[f"{brand}_topview"]
    said = topview.outline.worded(str(caught.value))
    assert said.startswith("account.api_key in ")
    assert "the variable TOPVIEW_API_KEY is not set." in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"ledger": "{{ env.NO_URL }}"}, "ledger in .*: the variable NO_URL is not set"),
        ({"store": "s3://{{ env.NO_BUCKET }}/x"}, "store in .*: the variable NO_BUCKET is not set"),
        ({"home": "{{ env('NO_HOME') }}"}, "home in .*: the variable NO_HOME is not set"),
        ({"alert_url": "{{ env.NO_HOOK }}"}, "alert_url in .*: the variable NO_HOOK is not set"),
        ({"ledger": "mysql://h/x"}, "ledger in .*: mysql is not supported"),
    ],
)
def test_a_place_that_is_missing_is_said_when_it_is_needed(
    load: Load, more: Attributes, said: str
) -> None:
    """An alert that nobody gets, silently, would be worse than a pipeline that stops."""
    defs = load(acme=brand("acme", **more), zeta=brand("zeta"))
    assert config_of(defs, "zeta").name == "zeta"
    with pytest.raises(SettingsError, match=said):
        config_of(defs)
    sensor = defs.resolve_sensor_def("acme_catalogue_sensor")
    with dg.DagsterInstance.ephemeral() as instance:
        tick = sensor.evaluate_tick(dg.build_sensor_context(instance=instance, definitions=defs))
    assert re.search(said, tick.skip_message or "")


def test_a_variable_is_its_text_and_an_expression_is_dagsters(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jinja makes a number of digits: a key of 1_000 would be another one."""
    for name, text in (("ACME_UID", "0123"), ("ACME_KEY", "1_000"), ("SLOTS", "7")):
        monkeypatch.setenv(name, text)
    account = brand("")["account"] | {"slots": "{{ env.SLOTS }}"}
    more = {"account": account, "store": "s3://{{ env('BUCKET', 'mine') }}/x"}
    config = config_of(load(acme=brand("acme", **more)))
    uid, key = config.require_account()
    assert (uid, key.get_secret_value(), config.slots) == ("0123", "1_000", 7)
    assert config.store == "s3://mine/x"


def test_no_secret_is_in_a_repr_or_a_message(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_UID", "u")
    monkeypatch.setenv("ACME_KEY", f"{SECRET} x")
    monkeypatch.setenv("LEDGER", f"mysql://u:{SECRET}@h/x")
    with pytest.raises(Exception, match="Error while") as caught:
        load(acme=brand("acme"))
    assert cause(caught).startswith("account.api_key in")
    assert SECRET not in cause(caught)
    monkeypatch.setenv("ACME_KEY", SECRET)
    defs = load(acme=brand("acme", ledger="{{ env.LEDGER }}"))
    with pytest.raises(SettingsError) as wrong:
        config_of(defs)
    account = {"uid": "u", "api_key": SECRET}
    component = TopviewCatalogue.from_attributes_dict(attributes=brand("acme", account=account))
    assert SECRET not in f"{wrong.value} {component!r} {component.model_dump()}"


@pytest.mark.parametrize(
    ("acme", "zeta", "key"),
    [
        ({"name": "same"}, {"name": "same"}, "name"),
        ({}, {"account": brand("")["account"] | {"credits_a_day": 9}}, "account.credits_a_day"),
        ({}, {"home": "elsewhere", "store": ".topview/store"}, "ledger"),
    ],
)
def test_what_two_pipelines_cannot_share_or_must_share_is_refused_with_both_files(
    load: Load, acme: Attributes, zeta: Attributes, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_UID", "u")
    with pytest.raises(Exception, match="Error while") as caught:
        load(acme=brand("acme") | acme, zeta=brand("zeta") | zeta)
    said = cause(caught)
    assert said.startswith(f"{key} in ")
    assert "acme/defs.yaml and " in said
    assert "zeta/defs.yaml: " in said


def test_pipelines_of_two_accounts_may_have_all_of_their_own(load: Load) -> None:
    accounts = ({"uid": name, "api_key": "k"} for name in ("one", "two"))
    acme, zeta = (
        brand(name, account=account, home=name)
        for name, account in zip("az", accounts, strict=True)
    )
    defs = load(acme=acme, zeta=zeta)
    assert {*(defs.resources or {})} >= {"a_topview", "z_topview"}


def test_relative_paths_are_seen_from_the_root_of_the_project(load: Load, tmp_path: Path) -> None:
    """The process may have started anywhere."""
    config = config_of(load(acme=brand("acme", ledger="sqlite:///db/l.db", account={"uid": "u"})))
    (root,) = tmp_path.glob("project*")
    assert config.home == root / ".topview"
    assert config.store == str(root / ".topview" / "store")
    assert config.catalogue == str(root / "catalogue.csv")
    assert config.ledger_url == f"sqlite:///{root}/db/l.db"


def test_every_setting_has_a_key_whose_default_is_the_one_that_counts() -> None:
    model = TopviewCatalogue.model()
    schema = model.model_json_schema()
    described = [schema, *schema["$defs"].values()]
    assert all(key.get("description") for one in described for key in one["properties"].values())
    given = {"name": "acme", "catalogue": "/c", "account": {"uid": "u"}}
    shown = model.model_validate(given).model_dump()
    assert shown["defaults"]["mode"] == CatalogueDefaults().mode
    root = Path("/project")
    plain = PipelineConfig.model_validate(
        {"name": "acme", "catalogue": "/c", "uid": "u"}, context=root
    )
    for attributes in (given, shown):
        component = TopviewCatalogue(**attributes)
        assert component._config(root) == plain.written_as(component._config(root).keys)


@pytest.mark.slow
def test_a_location_is_measured_although_it_has_a_sensor_that_only_dagster_evaluates() -> None:
    load_seconds, tick_seconds = location.cpu_seconds(1)
    assert load_seconds > tick_seconds > 0


@pytest.mark.slow
def test_a_key_of_the_accounts_is_in_nothing_that_dagster_keeps_or_says(
    load: Load,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Events, run config, tags and snapshots are in Dagster's files: the key is in none."""
    catalogue = ProductRows(tmp_path)
    config = catch_up_config(stages=["bgRemovedImage"])
    (tmp_path / "dagster").mkdir()
    outcomes = []
    with (
        sandbox(api_key=SECRET, uid="SomeUid1") as topview,
        dg.instance_for_test(temp_dir=str(tmp_path / "dagster")) as instance,
        caplog.at_level(logging.DEBUG),
    ):
        more = {"poll_seconds": 0.02, "checks": False, "home": str(tmp_path / "home")}
        attributes = brand("acme", **more) | {"catalogue": str(catalogue.path)}
        attributes["account"]["base_url"] = topview.base_url
        monkeypatch.setenv("ACME_UID", topview.uid)
        for product, key in (("mug", SECRET), ("shoe", f"{SECRET}-wrong")):
            catalogue.add(product)
            catalogue.write()
            monkeypatch.setenv("ACME_KEY", key)
            defs = load(acme=attributes)
            job = defs.resolve_job_def("acme_catch_up")
            ran = job.execute_in_process(instance=instance, raise_on_error=False, run_config=config)
            outcomes.append(ran.success)
    assert outcomes == [True, False]
    snapshot = serialize_value(RepositorySnap.from_def(defs.get_repository_def()))
    out, err = capfd.readouterr()
    texts = {"stdout": out, "stderr": err, "log": caplog.text, "snapshot": snapshot}
    places = [(name, text.encode()) for name, text in texts.items()]
    places += written_below(tmp_path)
    assert any(b"acme_catch_up" in text for place, text in places if "runs" in place)
    assert leaks(forms(key=SECRET), places) == []
