"""Runs that would make a catalogue anew by other settings are held, whatever way they come."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.defs.shop import Shop, failure_of, troubles_of
from tests.defs.test_catch_up import catch_up_job

pytestmark = pytest.mark.slow

NAMES = ("mug", "shoe", "bag", "cap", "pen")
VIDEOS = "image2Video"


def change_the_mode(monkeypatch: pytest.MonkeyPatch, mode: str = "avatar4") -> None:
    monkeypatch.setenv("TOPVIEW_DEFAULT_MODE", mode)


def is_held(result: dg.ExecuteInProcessResult) -> bool:
    if result.success:
        return False
    said = failure_of(result)
    assert "TOPVIEW_DEFAULT_MODE changed, and 5 of 5 products that are made" in said, said
    return True


def remembered(shop: Shop) -> Mapping[str, Any] | None:
    with shop.ledger() as ledger:
        return ledger.recipes.last(str(shop.catalogue))


@pytest.fixture
def default_template(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The template of products whose rows name none."""
    template = Path(shop.picture("default.png", (0, 200, 0)))
    monkeypatch.setenv("TOPVIEW_DEFAULT_TEMPLATE_IMAGE", str(template))
    return template


@pytest.mark.parametrize("stages", [[], ["finishedVideo"]], ids=["all", "videos"])
def test_a_default_file_that_cannot_be_read_hides_no_other_change(
    shop: Shop,
    default_template: Path,
    monkeypatch: pytest.MonkeyPatch,
    stages: list[str],
) -> None:
    shop.add(*NAMES, template_image="")
    assert shop.catch_up().success
    before, paid = remembered(shop), shop.accepted()

    default_template.rename(shop.folder / "elsewhere.png")
    change_the_mode(monkeypatch)

    assert is_held(shop.catch_up(stages=stages))
    assert shop.accepted() == paid
    assert remembered(shop) == before


def test_a_default_file_that_cannot_be_read_holds_nothing_and_is_not_remembered(
    shop: Shop, default_template: Path
) -> None:
    shop.add(*NAMES, template_image="")
    assert shop.catch_up().success
    before, paid = remembered(shop), shop.accepted()
    shop.add("hat")
    default_template.rename(shop.folder / "elsewhere.png")

    out_of_reach = shop.catch_up()

    assert {row["product"] for row in troubles_of(out_of_reach)} == set(NAMES)
    assert shop.accepted() == {kind: count + 1 for kind, count in paid.items()}
    assert remembered(shop) == before
    (shop.folder / "elsewhere.png").rename(default_template)
    assert shop.catch_up().success
    assert remembered(shop) == before


def test_a_new_default_file_that_nobody_could_read_yet_is_not_gone_by(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows leave the template to the default; then that is another one, and not there yet."""
    first = shop.picture("first.png", (0, 200, 0))
    monkeypatch.setenv("TOPVIEW_DEFAULT_TEMPLATE_IMAGE", first)
    shop.add(*NAMES, template_image="")
    assert shop.catch_up().success
    paid = shop.accepted()

    second = shop.folder / "second.png"
    monkeypatch.setenv("TOPVIEW_DEFAULT_TEMPLATE_IMAGE", str(second))
    assert not shop.catch_up().success
    shop.picture("second.png", (0, 0, 200))
    held = shop.catch_up()

    assert "TOPVIEW_DEFAULT_TEMPLATE_IMAGE changed, and 5 of 5" in failure_of(held)
    assert shop.accepted() == paid


def test_what_was_made_product_by_product_has_a_recipe_too(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add(*NAMES)
    assert shop.catch_up(products=list(NAMES)).success
    paid = shop.accepted()
    change_the_mode(monkeypatch)

    assert is_held(shop.catch_up())
    assert shop.accepted() == paid


def test_a_name_for_the_catalogue_lets_no_change_slip_through(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is obeyed by that name, the ledger knows it by its place."""
    shop.add(*NAMES)
    shop.register()
    assert shop.catch_up().success
    paid = shop.accepted()
    monkeypatch.setenv("TOPVIEW_CATALOGUE_NAME", "spring")
    change_the_mode(monkeypatch)

    assert is_held(shop.materialize("mug", tags={"dagster/backfill": "scattered"}))
    assert is_held(shop.catch_up())
    assert shop.accepted() == paid


def test_a_product_that_tries_another_recipe_leaves_the_catalogues(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add(*NAMES)
    assert shop.catch_up().success
    before = remembered(shop)
    change_the_mode(monkeypatch)
    assert shop.catch_up(products=["mug"]).success
    assert remembered(shop) == before


def test_a_run_executed_again_from_its_producing_is_held_as_a_new_one_is(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its plan is old: it was made before the mode was another one."""
    shop.add(*NAMES)
    shop.write()
    job = dg.reconstructable(catch_up_job)
    run = dg.execute_job(job, instance=shop.instance)
    assert run.success
    paid = shop.accepted()
    change_the_mode(monkeypatch)

    again = dg.execute_job(
        job,
        instance=shop.instance,
        reexecution_options=dg.ReexecutionOptions(run.run_id, step_selection=["produce"]),
        raise_on_error=False,
    )

    assert not again.success
    assert shop.accepted() == paid


def test_a_backfill_of_scattered_products_is_held_though_each_has_its_own_run(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add(*NAMES)
    shop.register()
    assert shop.catch_up().success
    paid = shop.accepted()[VIDEOS]
    change_the_mode(monkeypatch)

    assert is_held(shop.materialize("mug", tags={"dagster/backfill": "scattered"}))
    assert shop.accepted()[VIDEOS] == paid
    assert shop.materialize("mug").success, "by itself it may try the change"
