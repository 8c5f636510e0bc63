"""What keeps a whole run from its work: a sentence that says how to fix it, and nothing sent."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import pytest

from tests.defs.shop import Shop, failure_of
from topview_pipeline.defs.jobs import RESUME_TASKS, SYNC_PRODUCTS

Run = Callable[[Shop], dg.ExecuteInProcessResult]
RUNS: dict[str, Run] = {
    "catch_up": lambda shop: shop.catch_up(),
    "materialize": lambda shop: shop.materialize("mug"),
    "resume": lambda shop: shop.run_job(RESUME_TASKS),
    "sync": lambda shop: shop.run_job(SYNC_PRODUCTS),
}


def test_a_wrong_key_fails_the_run_however_many_products_there_are(shop: Shop) -> None:
    """The engine ends while products are still being fed to it."""
    shop.settings["TOPVIEW_API_KEY"] = "wrong"
    shop.add(*(f"p{number}" for number in range(40)))

    result = shop.catch_up()

    assert "401" in failure_of(result)
    assert shop.rows_in() == []
    assert shop.accepted() == {}


FILE = "a file is in the way"


@pytest.mark.parametrize(
    ("variable", "value", "said", "runs"),
    [
        ("TOPVIEW_UID", "", "TOPVIEW_UID: it is not set", RUNS.keys() - {"sync"}),
        ("TOPVIEW_API_KEY", "", "TOPVIEW_API_KEY: it is not set", {"catch_up", "materialize"}),
        ("TOPVIEW_CATALOGUE", "", "TOPVIEW_CATALOGUE: it is not set", RUNS.keys() - {"resume"}),
        ("TOPVIEW_CATALOGUE", "/no/where.csv", "where.csv", {"catch_up", "materialize", "sync"}),
        ("TOPVIEW_LEDGER_URL", f"sqlite:///{FILE}/ledger.db", "ledger", RUNS.keys()),
        ("TOPVIEW_STORE", f"{FILE}/store", FILE, RUNS.keys() - {"sync"}),
        ("TOPVIEW_SLOTS", "many", "TOPVIEW_SLOTS", RUNS.keys()),
    ],
)
def test_a_bad_setting_is_one_sentence(
    shop: Shop, variable: str, value: str, said: str, runs: set[str]
) -> None:
    (shop.folder / FILE).write_text("not a folder")
    shop.settings[variable] = value.replace(FILE, str(shop.folder / FILE))
    shop.add("mug")
    for name in sorted(runs):
        failed = failure_of(RUNS[name](shop))
        assert said in failed, name
        assert "Traceback" not in failed, name
    assert shop.accepted() == {}
