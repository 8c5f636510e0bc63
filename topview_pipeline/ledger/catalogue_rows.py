"""A catalogue as the ledger knows it: what was seen of it, who left, why it is held."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Seen:
    """A catalogue as it was last obeyed; empty before the first time.

    Attributes:
        products: ids of its products.
        columns: names of the columns it had, those that mean something.
        sha256: of what it said; None before the first time.
        unknown_columns: names of those that mean nothing.
        name: what the ledger knows it by; None when it was obeyed before names were kept.
        seconds_ago: when it was obeyed, by the database's clock; None before the first time.
        held: why it is not obeyed since.
        location: what its location alone would be called.
    """

    products: frozenset[str]
    columns: frozenset[str]
    sha256: str | None
    unknown_columns: frozenset[str] = frozenset()
    name: str | None = None
    seconds_ago: float | None = None
    held: str | None = None
    location: str | None = None

    def is_after(self, reading_seconds_ago: float, sha256: str) -> bool:
        """Whether it was obeyed, and said something else, after a reading began."""
        return (
            self.seconds_ago is not None
            and self.sha256 != sha256
            # Below 0 a clock was set back: then nothing can be told by it.
            and 0.0 <= self.seconds_ago < reading_seconds_ago
        )


@dataclass(frozen=True)
class Retired:
    """What leaving came to.

    Attributes:
        products: ids of products that were in the catalogue and are no longer.
        orders: how many of their open orders were withdrawn.
    """

    products: tuple[str, ...]
    orders: int


@dataclass(frozen=True)
class HeldCatalogue:
    """A catalogue that is not obeyed; `at` in seconds since the epoch, when that was last seen."""

    name: str
    why: str
    at: float
