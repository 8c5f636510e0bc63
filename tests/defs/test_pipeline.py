"""Pipelines made in Python that cannot go together, in one location with a host's definitions."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from topview_pipeline import PipelineConfig, SettingsError, build_definitions
from topview_pipeline.defs.pipeline import Claim

OURS = dg.DynamicPartitionsDefinition(name="products")


@pytest.fixture
def config(tmp_path: Path) -> PipelineConfig:
    return PipelineConfig(name="acme", uid="u", api_key="k", catalogue="c.csv", home=tmp_path)


def load(*parts: PipelineConfig | dg.Definitions) -> None:
    """As Dagster loads a location."""
    made = [part if isinstance(part, dg.Definitions) else build_definitions(part) for part in parts]
    dg.Definitions.validate_loadable(dg.Definitions.merge(*made))


def refusal(*parts: PipelineConfig | dg.Definitions) -> str:
    with pytest.raises(Exception) as caught:
        load(*parts)
    error: BaseException = caught.value
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)


@pytest.mark.parametrize(
    ("zeta", "said"),
    [
        ({"store": "/elsewhere"}, "store: pipelines acme and zeta use one account and two stores."),
        (
            {"ledger_url": "sqlite:////elsewhere.db"},
            "ledger_url: pipelines acme and zeta use one account and two ledgers. They share",
        ),
        (
            {"slots": 12},
            "slots: pipelines acme and zeta use one account, one with 4 and one with 12",
        ),
        ({"credit_limit": 500}, "credit_limit: pipelines acme and zeta use one account, one with"),
        ({"account_exclusive": True}, "one with false and one with true. It is the account's: wr"),
        ({"name": "acme"}, "different resources with same key 'acme_topview'"),
        ({"key_prefix": ("acme",)}, "Duplicate asset key"),
    ],
)
def test_one_account_is_not_paid_twice_or_over_its_limit_by_two_pipelines(
    config: PipelineConfig, zeta: dict[str, Any], said: str
) -> None:
    assert said in refusal(config, config.model_copy(update={"name": "zeta", **zeta}))


POSTGRES = "postgresql://brand:one@db.example:5432/ledger"


@pytest.mark.parametrize(
    ("acme", "zeta", "said"),
    [
        ({"base_url": "https://x.example/v1"}, {"base_url": "https://x.example/v1"}, ""),
        (
            {"base_url": "https://x.example", "store": "/a"},
            {"base_url": "https://X.example:443/v1", "store": "/b"},
            "one account and two stores",
        ),
        ({"base_url": "https://x.example"}, {"base_url": "https://y.example", "store": "/b"}, ""),
        (
            {"ledger_url": POSTGRES},
            {"ledger_url": "postgresql+psycopg2://z:2@DB.example/ledger"},
            "",
        ),
        ({"ledger_url": POSTGRES}, {"ledger_url": f"{POSTGRES}?sslmode=require"}, ""),
        ({"ledger_url": POSTGRES}, {"ledger_url": f"{POSTGRES}2"}, "one account and two ledgers"),
        ({"ledger_url": POSTGRES}, {"ledger_url": POSTGRES.replace("db.", "db2.")}, "two ledgers"),
        ({"ledger_url": POSTGRES}, {"ledger_url": POSTGRES.replace("5432", "5433")}, "two ledgers"),
        ({"ledger_url": "sqlite:////l/x.db"}, {"ledger_url": "sqlite:////l/y/../x.db"}, ""),
        ({"ledger_url": "sqlite:////l/x.db"}, {"ledger_url": "sqlite:////l/y.db"}, "two ledgers"),
        ({"store": "s3://b/topview"}, {"store": "s3://b/topview/"}, ""),
        ({"store": "s3://b/topview"}, {"store": "s3://b/Topview"}, "two stores"),
        ({"store": "s3://b/topview"}, {"store": "gs://b/topview"}, "two stores"),
        ({"store": "/s/x"}, {"store": "/s/y/../x/"}, ""),
        ({"store": "/s/x"}, {"store": "file:///s/x"}, ""),
    ],
)
def test_the_same_place_is_the_same_however_it_is_spelled(
    config: PipelineConfig, acme: dict[str, Any], zeta: dict[str, Any], said: str
) -> None:
    """A role of its own for each brand is good practice; another database pays twice."""
    one = Claim.of(config.model_copy(update=acme))
    other = Claim.of(config.model_copy(update={"name": "zeta", **zeta}))
    error = one.clash(other)
    assert said in str(error) if said else error is None


def test_what_does_not_clash_loads_and_a_process_may_load_again(config: PipelineConfig) -> None:
    """Tests and reloads load many locations in one process: only those of one count."""
    load(config, config.model_copy(update={"name": "zeta"}))
    load(config.model_copy(update={"name": "zeta", "store": "/elsewhere"}))
    load(config.model_copy(update={"store": "/elsewhere"}))
    other = {"name": "zeta", "uid": "another", "store": "/elsewhere"}
    load(config, config.model_copy(update=other))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"nightly_cron": "99 2 * * *"}, "nightly_cron: '99 2 * * *' is not a cron schedule"),
        (
            {"nightly_cron": "@never"},
            "nightly_cron: '@never' is not a cron schedule that runs. Write",
        ),
        ({"owners": ["a@b.c"]}, "owners: 'a@b.c' is not an owner. Use an e-mail address"),
    ],
)
def test_what_only_dagster_refuses_is_a_sentence_that_names_the_field(
    config: PipelineConfig, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        build_definitions(config.model_copy(update=wrong))
    assert str(caught.value).startswith(said)


def test_ops_of_a_host_and_a_pipeline_called_plan_have_names_like_ours(
    config: PipelineConfig,
) -> None:
    @dg.op
    def produce() -> None: ...

    @dg.job
    def of_the_host() -> None:
        produce()

    @dg.asset
    def resume() -> None: ...

    load(
        config,
        config.model_copy(update={"name": "plan"}),
        dg.Definitions(jobs=[of_the_host], assets=[resume]),
    )


def test_a_host_s_own_products_are_not_silently_those_of_the_pipeline_without_a_name(
    config: PipelineConfig, caplog: pytest.LogCaptureFixture
) -> None:
    @dg.asset(partitions_def=OURS)
    def price() -> None: ...

    @dg.asset(partitions_def=OURS, deps=["finishedVideo"])
    def page() -> None: ...

    unnamed = config.model_copy(update={"name": "topview"})
    with caplog.at_level(logging.WARNING, "dagster"):
        logging.getLogger("dagster").addHandler(caplog.handler)
        try:
            load(unnamed, dg.Definitions(assets=[page]))
            load(config, dg.Definitions(assets=[price]))
            assert "partition set" not in caplog.text
            load(unnamed, dg.Definitions(assets=[page, price]))
        finally:
            logging.getLogger("dagster").removeHandler(caplog.handler)
    assert "price has the partition set products, which is that of the Topview" in caplog.text
    assert "a name of its own (`name`)" in caplog.text
