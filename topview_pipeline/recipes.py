"""What shapes products beside their own rows: the settings' defaults and the stages' versions.

A change of it can make a whole catalogue stale at once, without anybody having touched a product.
Whether a person must say first that it is meant is decided here. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

from topview_pipeline.inputs import InputError
from topview_pipeline.ledger import TaskGlance
from topview_pipeline.planning import PlannedOrder
from topview_pipeline.settings import CatalogueDefaults
from topview_pipeline.stages import STAGES, Stage
from topview_pipeline.stages.shapes import digest

LARGEST_REMAKE: Final = 0.2
"""Share of the products made that may be made anew at once because of another recipe."""
FEWEST_MADE: Final = 5
"""Of fewer products nobody is asked: they are looked over at a glance."""
_BY_HASH: Final = "sha256:"
_UNREADABLE: Final = f"{_BY_HASH}unreadable"
"""Stands for a file that nobody could read yet: no product is made with it."""
_FILES: Final = ("template_image", "user_face_image")


@dataclass(frozen=True)
class Recipe:
    """What products are made by.

    Attributes:
        defaults: files as `sha256:<hex>`: the same bytes elsewhere are the same recipe, and no
            address, which may carry a signature, is kept.
        versions: of the stages, by their keys.
    """

    defaults: CatalogueDefaults
    versions: Mapping[str, str]

    @property
    def is_readable(self) -> bool:
        """Whether each of its files is known, by its bytes or as it was in the recipe before."""
        return _UNREADABLE not in (getattr(self.defaults, name) for name in _FILES)

    @property
    def sha256(self) -> str:
        """Its name, by which a person accepts it."""
        return digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        return {"defaults": asdict(self.defaults), "versions": dict(self.versions)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """The inverse of `to_json`; defaults that this program does not know are left out."""
        known = {field.name for field in fields(CatalogueDefaults)}
        defaults = {name: value for name, value in data["defaults"].items() if name in known}
        return cls(CatalogueDefaults(**defaults), dict(data["versions"]))

    def changes_to(self, other: Recipe) -> list[str]:
        """What differs, in words of settings and stages."""
        before, after = asdict(self.defaults), asdict(other.defaults)
        settings = [
            f"TOPVIEW_DEFAULT_{name.upper()}" for name in after if before[name] != after[name]
        ]
        stages = [
            f"the version of {stage}"
            for stage, version in other.versions.items()
            if self.versions.get(stage) != version
        ]
        return settings + stages


def recipe_of(
    defaults: CatalogueDefaults, hash_of: Callable[[str], str], *, before: Recipe | None = None
) -> Recipe:
    """The recipe of these settings and this program.

    Args:
        before: the recipe before: a file that cannot be read now counts as it was in that, so that
            a server out of reach changes nothing and hides no other change.
    """

    def named(name: str, ref: str) -> str:
        try:
            return f"{_BY_HASH}{hash_of(ref)}"
        except InputError:
            return (before and getattr(before.defaults, name)) or _UNREADABLE

    refs = {name: getattr(defaults, name) for name in _FILES}
    hashed = {name: named(name, ref) for name, ref in refs.items() if ref is not None}
    return Recipe(replace(defaults, **hashed), {stage.key: stage.version for stage in STAGES})


def hashes_of(recipe: Recipe, defaults: CatalogueDefaults) -> dict[str, str]:
    """What a recipe says of the files that these settings name: sha256 by path or URL."""
    files = ((getattr(defaults, name), getattr(recipe.defaults, name)) for name in _FILES)
    return {ref: named.removeprefix(_BY_HASH) for ref, named in files if ref is not None}


def hashing_recipes(hash_of: Callable[[str], str]) -> Callable[[str], str]:
    """`hash_of` for products that got the files of a Recipe, which are named by their hash."""

    def of(ref: str) -> str:
        return ref.removeprefix(_BY_HASH) if ref.startswith(_BY_HASH) else hash_of(ref)

    return of


@dataclass(frozen=True)
class Remake:
    """What another recipe would have made anew.

    Attributes:
        products: that are made, and would be made anew though their rows and files are the same.
        of: how many products are made.
        credits: of their new tasks whose price is known.
    """

    products: Collection[str]
    of: int
    credits: float

    @property
    def is_large(self) -> bool:
        """Whether a person must say that it is meant."""
        return self.of >= FEWEST_MADE and len(self.products) > LARGEST_REMAKE * self.of


def remake(
    orders: Iterable[PlannedOrder],
    last_stored: Mapping[tuple[str, str], TaskGlance],
    version_before: Callable[[Stage, str], str | None],
) -> Remake:
    """Which orders of a plan are there only because the recipe is another one.

    Args:
        last_stored: by (product, stage).
        version_before: data version of a product's own inputs of a stage as they are now, under
            the recipe before; None where it had no usable row under that.
    """
    orders = [order for order in orders if order.is_made]
    stale = {order.product_id for order in orders if (order.product_id, order.stage) in last_stored}

    def is_as_it_was_made(product_id: str) -> bool:
        return all(
            glance.inputs.get(stage.source) == version_before(stage, product_id)
            for stage in STAGES
            if (glance := last_stored.get((product_id, stage.key))) is not None
        )

    products = {product_id for product_id in stale if is_as_it_was_made(product_id)}
    credits_ = sum(order.credits or 0.0 for order in orders if order.product_id in products)
    return Remake(products, len({product_id for product_id, _ in last_stored}), credits_)


def doubt_of(before: Recipe, now: Recipe, found: Remake) -> str | None:
    """Why a person must say that this change is meant; None when it may be gone by."""
    if not found.is_large:
        return None
    changes = before.changes_to(now)
    return (
        f"{' and '.join(changes)} changed, and {len(found.products)} of {found.of} products that "
        f"are made would be made anew for about {found.credits:g} credits"
    )
