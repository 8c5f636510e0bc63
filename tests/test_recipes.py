"""When another recipe is gone by and when a person is asked first. No database, no Dagster."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline.ledger import TaskGlance, TaskState
from topview_pipeline.planning import PlannedOrder
from topview_pipeline.recipes import (
    Recipe,
    Remake,
    doubt_of,
    hashing_recipes,
    recipe_of,
    remake,
)
from topview_pipeline.settings import CatalogueDefaults
from topview_pipeline.stages import Stage

DEFAULTS = CatalogueDefaults(template_image="/shop/template.png", voice_id="ann")


def hash_of(ref: str) -> str:
    return f"hash of {ref}"


RECIPE = recipe_of(DEFAULTS, hash_of)


def test_a_recipe_is_what_the_ledger_kept_of_it() -> None:
    assert Recipe.from_json(RECIPE.to_json()) == RECIPE
    assert Recipe.from_json(RECIPE.to_json()).sha256 == RECIPE.sha256
    older = RECIPE.to_json()
    older["defaults"]["colour"] = "a default of another program"
    assert Recipe.from_json(older) == RECIPE


def test_a_file_is_its_bytes_and_its_address_is_not_kept() -> None:
    signed = replace(DEFAULTS, template_image="https://cdn/template.png?signature=secret")
    elsewhere = recipe_of(signed, lambda _: hash_of("/shop/template.png"))
    assert elsewhere.sha256 == RECIPE.sha256
    assert "secret" not in str(elsewhere.to_json())
    other_bytes = recipe_of(DEFAULTS, lambda _: "other bytes")
    assert RECIPE.changes_to(other_bytes) == ["TOPVIEW_DEFAULT_TEMPLATE_IMAGE"]


def test_a_product_that_got_the_file_of_a_recipe_is_hashed_without_it() -> None:
    ref = RECIPE.defaults.template_image
    assert ref is not None
    assert hashing_recipes(hash_of)(ref) == "hash of /shop/template.png"
    assert hashing_recipes(hash_of)("/shop/mug.png") == "hash of /shop/mug.png"


def test_what_changed_is_said_in_words_of_settings_and_stages() -> None:
    other = Recipe(replace(RECIPE.defaults, mode="pro"), {**RECIPE.versions, "finishedVideo": "2"})
    assert RECIPE.changes_to(other) == ["TOPVIEW_DEFAULT_MODE", "the version of finishedVideo"]


def made(script: str) -> TaskGlance:
    return TaskGlance("f", TaskState.STORED, None, None, {"productScript": script})


def video(product_id: str, *, submits: bool = True) -> PlannedOrder:
    return PlannedOrder(product_id, "finishedVideo", "script changed", 4.0, submits)


def test_only_what_was_made_and_is_the_same_but_for_the_recipe_is_counted() -> None:
    """Beside it: its own script changed, never made, free, and without a row before."""
    stored = {
        (product_id, "finishedVideo"): made(f"{product_id} before")
        for product_id in ("same", "own", "free", "no-row")
    }

    def version_before(stage: Stage, product_id: str) -> str | None:
        assert stage.source == "productScript"
        return {"own": "its script is another one", "no-row": None}.get(
            product_id, f"{product_id} before"
        )

    orders = [video("same"), video("own"), video("new"), video("no-row")]
    found = remake([*orders, video("free", submits=False)], stored, version_before)

    assert found == Remake({"same"}, 4, 4.0)


@given(of=st.integers(0, 60), share=st.floats(0, 1))
def test_more_than_a_fifth_of_five_or_more_needs_a_person(of: int, share: float) -> None:
    count = round(of * share)
    found = Remake([str(number) for number in range(count)], of, 7.0)
    other = replace(RECIPE, versions={**RECIPE.versions, "finishedVideo": "2"})
    doubt = doubt_of(RECIPE, other, found)
    assert (doubt is not None) == (of >= 5 and count * 5 > of)


@pytest.mark.parametrize("price", [0.0, 12.5])
def test_the_doubt_says_what_changed_how_many_and_for_how_much(price: float) -> None:
    other = replace(RECIPE, defaults=replace(RECIPE.defaults, mode="pro"))
    doubt = doubt_of(RECIPE, other, Remake(list("abcdef"), 10, price))
    assert doubt == (
        "TOPVIEW_DEFAULT_MODE changed, and 6 of 10 products that are made would be made anew "
        f"for about {price:g} credits"
    )
