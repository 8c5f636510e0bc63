"""Whether a catalogue may be obeyed, and what obeying it means for the ledger.

Pure but for the ledger that it is given. Not here: Dagster's partitions and observations (`defs`).
"""

from __future__ import annotations

from typing import Final

from topview_pipeline.catalogue import Catalogue, CatalogueHeld
from topview_pipeline.ledger import Ledger, Retired, Seen

LARGEST_LOSS: Final = 0.2
"""Share of the products that may be gone at once: of more, half a file is the likelier reason."""
_SHOWN: Final = 3


def doubt_of(seen: Seen, catalogue: Catalogue) -> str | None:
    """Why a person must say that this change is meant; None when it may be obeyed.

    Args:
        seen: the catalogue as it was last obeyed.
    """
    if seen.sha256 is None or seen.sha256 == catalogue.sha256:
        return None
    gone = seen.products.difference(catalogue.products, in_bad_rows(catalogue))
    if len(gone) > LARGEST_LOSS * len(seen.products):
        some = ", ".join(sorted(gone)[:_SHOWN])
        return f"{len(gone)} of its {len(seen.products)} products are gone, such as {some}"
    lost = seen.columns.difference(catalogue.columns)
    if lost and catalogue.unknown_columns:
        return (
            f"the column {', '.join(sorted(lost))} is gone, and "
            f"{', '.join(catalogue.unknown_columns[:_SHOWN])} is not known: was it renamed?"
        )
    return None


def check(ledger: Ledger, catalogue: Catalogue) -> None:
    """Refuse a catalogue that looks half read or mangled, until a person accepts it.

    Raises:
        CatalogueHeld: nothing may be made, registered or retired by it.
    """
    doubt = doubt_of(ledger.catalogues.seen(catalogue.source), catalogue)
    if doubt is not None and not ledger.catalogues.is_accepted(catalogue.sha256):
        raise CatalogueHeld(
            f"{doubt}; nothing is done until somebody says that it is meant",
            catalogue.source,
            "Mend it, or say so with `topview-pipeline run --accept-change`.",
        )


def accept(ledger: Ledger, catalogue_sha256: str, *, who: str) -> None:
    """Remember that a person meant the change to the catalogue with this hash."""
    ledger.catalogues.accept(catalogue_sha256, who=who)


def obey(ledger: Ledger, catalogue: Catalogue) -> Retired:
    """Take a catalogue as true: what it no longer has is retired, what it has anew is made again.

    A row that cannot be told from another one may be anybody's: while there is one, nobody is
    retired.

    Raises:
        CatalogueHeld: see `check`.
    """
    check(ledger, catalogue)
    if ledger.catalogues.seen(catalogue.source).sha256 == catalogue.sha256:
        return Retired((), 0)
    return ledger.catalogues.obey(
        catalogue.source,
        sha256=catalogue.sha256,
        columns=catalogue.columns,
        products=tuple(catalogue.products),
        kept=in_bad_rows(catalogue),
        nobody_left=any(problem.product_id is None for problem in catalogue.problems),
    )


def in_bad_rows(catalogue: Catalogue) -> frozenset[str]:
    """Products whose row cannot be used: they are in the catalogue all the same."""
    ids = (problem.product_id for problem in catalogue.problems)
    return frozenset(product_id for product_id in ids if product_id is not None)
