"""Hostile product ids as folder names: readable, safe everywhere, one for each id."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topview_pipeline.store import hashed_slug, product_slug


@pytest.mark.parametrize("product_id", ["mug", "red-mug_01", "a", "sku.1234", "SKU-1001", "X" * 64])
def test_a_plain_id_is_its_own_folder(product_id: str) -> None:
    assert product_slug(product_id) == product_id


@pytest.mark.parametrize(
    ("product_id", "readable"),
    [
        ("../../etc", "etc"),
        ("Größe 42/rot", "Groe-42-rot"),
        ("Sku 1", "Sku-1"),
        ("靴", "_"),
        (".git", "git"),
        ("con", "_con"),
        ("nul.txt", "_nul.txt"),
        ("index", "index"),
        ("Index", "Index"),
        ("CON", "_CON"),
        ("manifest", "manifest"),
        ("a" * 200, "a" * 64),
        ("mug--0123456789ab", "mug-0123456789ab"),
    ],
)
def test_any_other_id_stays_readable_and_gets_a_hash(product_id: str, readable: str) -> None:
    name, _, digest = product_slug(product_id).rpartition("--")
    assert name == readable
    assert len(digest) == 12


IDS = st.one_of(
    st.text(min_size=1, max_size=260),
    st.text(alphabet="aA-.b0\\/ ", min_size=1, max_size=6),
    st.sampled_from(["con", "CON", "com1", "..", ".", "a", "A", "ä", "a\u0308", "prn.x", "index"]),
)


@given(st.lists(IDS, unique=True, min_size=2, max_size=6))
def test_no_two_ids_share_a_folder_and_with_a_hash_not_even_where_case_does_not_count(
    ids: list[str],
) -> None:
    assert len({product_slug(product_id) for product_id in ids}) == len(ids)
    assert len({hashed_slug(product_id).lower() for product_id in ids}) == len(ids)


@given(IDS)
def test_every_id_is_one_safe_path_segment_and_its_slug_is_no_fixed_point(product_id: str) -> None:
    slug = product_slug(product_id)
    assert slug.isascii()
    assert len(slug) <= 79
    assert not set(slug) & set('/\\:*?"<>| \x00')
    assert slug == slug.strip(".")
    assert ".." not in slug or slug == product_id
    assert slug.split(".")[0].lower() not in {"con", "prn", "aux", "nul", "com1", "lpt1"}
    if slug != product_id:
        assert product_slug(slug) != slug
