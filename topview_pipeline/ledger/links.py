"""Which orders a rebuild adds, so that each product's stage stands on the row it stood on. Pure.

An order's number is its age: the last order of a product's stage decides what it last stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from topview_pipeline.ledger.kept import KeptResult, KeptUse

OfProduct = tuple[str, str]
"""A product's id and a stage."""


@dataclass(frozen=True)
class Numbered:
    """A row of the ledger: its number, and its generation."""

    id: int
    generation: int


@dataclass(frozen=True)
class Rows:
    """The ledger's rows; by fingerprint only those whose files are or were in the store."""

    by_topview_task: dict[str | None, Numbered] = field(default_factory=dict)
    by_fingerprint: dict[str, Numbered] = field(default_factory=dict)


@dataclass(frozen=True)
class Link:
    """An order: from `at` on (seconds since the epoch), this product's stage stood on that row."""

    at: float
    of: OfProduct
    row: Numbered
    force: bool
    root_run_id: str


@dataclass(frozen=True)
class Known:
    """The links that the ledger has.

    Attributes:
        until: when the last order of a product's stage that stood on a row was closed.
        last: the last one of each product's stage.
    """

    until: dict[tuple[OfProduct, Numbered], float] = field(default_factory=dict)
    last: dict[OfProduct, Link] = field(default_factory=dict)

    def has(self, link: Link) -> bool:
        """Whether an order tells of that link already."""
        return self.until.get((link.of, link.row), 0.0) >= link.at

    def is_younger(self, of: OfProduct, at: float) -> bool:
        """Whether the last order of a product's stage was placed after that moment."""
        return of in self.last and self.last[of].at > at


def links_to_add(
    added: Iterable[KeptResult], uses: Iterable[KeptUse], rows: Rows, known: Known
) -> list[Link]:
    """The orders that are missing, the oldest first.

    Args:
        added: results that got a row just now.
        uses: all that the store tells of.
        rows: all rows, those just added among them.
        known: the orders that were there before.
    """
    links = [_of_result(kept, rows) for kept in added]
    noted = [_of_use(use, rows) for use in uses if use.fingerprint in rows.by_fingerprint]
    links += [link for link in noted if not known.has(link)]
    youngest = {link.of: link.at for link in sorted(links, key=_age)}
    # What the ledger still has, and what is younger than all that is added, stays the last.
    links += [known.last[of] for of, at in youngest.items() if known.is_younger(of, at)]
    return sorted(links, key=_age)


def _of_result(kept: KeptResult, rows: Rows) -> Link:
    return Link(
        # Reserved while its order was open: orders of a product's stage never overlap.
        kept.reserved_at,
        (kept.product_id, kept.stage),
        rows.by_topview_task[kept.topview_task_id],
        # Beyond 0 only force leads; re-executing that forced run finds its generation.
        force=kept.generation > 0,
        root_run_id=kept.root_run_id,
    )


def _of_use(use: KeptUse, rows: Rows) -> Link:
    return Link(
        use.used_at,
        (use.product_id, use.stage),
        rows.by_fingerprint[use.fingerprint],
        force=use.force,
        root_run_id=use.root_run_id,
    )


def _age(link: Link) -> float:
    return link.at
