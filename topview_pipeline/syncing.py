"""Whether a catalogue may be obeyed, and what obeying it means for the ledger.

Pure but for the ledger that it is given. Not here: Dagster's partitions and observations (`defs`).
"""

from __future__ import annotations

import time
from typing import Final

from topview_pipeline.catalogue import Catalogue, CatalogueHeld, CatalogueOvertaken
from topview_pipeline.ledger import Ledger, Overtaken, Retired, Seen

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
    strange = [name for name in catalogue.unknown_columns if name not in seen.unknown_columns]
    if lost and strange:
        return (
            f"the column {', '.join(sorted(lost))} is gone, and "
            f"{', '.join(strange[:_SHOWN])} is not known: was it renamed?"
        )
    return None


def seen_of(ledger: Ledger, catalogue: Catalogue) -> Seen:
    """The catalogue as it was last obeyed."""
    return ledger.catalogues.seen(catalogue.source, catalogue.location_name)


def check(ledger: Ledger, catalogue: Catalogue) -> None:
    """Refuse a catalogue that looks half read or mangled, until a person accepts it.

    Raises:
        CatalogueHeld: nothing may be made, registered or retired by it.
    """
    doubt = doubt_of(seen_of(ledger, catalogue), catalogue)
    if doubt is not None and not ledger.catalogues.is_accepted(catalogue.sha256):
        raise CatalogueHeld(
            f"{doubt}; nothing is done until somebody says that it is meant",
            catalogue.source,
            "Mend it, or say so with `topview-pipeline run --accept-change`.",
        )


def admit(ledger: Ledger, catalogue: Catalogue) -> None:
    """Refuse what may not be obeyed.

    What is held is written down for the standing checks.

    Raises:
        CatalogueOvertaken: another reading was obeyed since this one began.
        CatalogueHeld: see `check`.
    """
    if seen_of(ledger, catalogue).is_after(_read_seconds_ago(catalogue), catalogue.sha256):
        raise _overtaken(catalogue)
    try:
        check(ledger, catalogue)
    except CatalogueHeld as held:
        ledger.catalogues.hold(catalogue.source, held.what)
        raise


def accept(ledger: Ledger, catalogue_sha256: str, *, who: str) -> None:
    """Remember that a person meant the change to the catalogue with this hash."""
    ledger.catalogues.accept(catalogue_sha256, who=who)


def obey(ledger: Ledger, catalogue: Catalogue) -> Retired:
    """Take a catalogue as true: what it no longer has is retired, what it has anew is made again.

    A row that cannot be told from another one may be anybody's: while there is one, nobody is
    retired.

    Raises:
        CatalogueOvertaken, CatalogueHeld: see `admit`.
    """
    admit(ledger, catalogue)
    kept = in_bad_rows(catalogue)
    nobody_left = any(problem.product_id is None for problem in catalogue.problems)
    seen = seen_of(ledger, catalogue)
    left = frozenset() if nobody_left else seen.products.difference(catalogue.products, kept)
    if _is_known(seen, catalogue) and not left:
        return Retired((), 0)
    try:
        return ledger.catalogues.obey(
            catalogue.source,
            sha256=catalogue.sha256,
            columns=catalogue.columns,
            unknown_columns=catalogue.unknown_columns,
            products=tuple(catalogue.products),
            kept=kept,
            nobody_left=nobody_left,
            location_name=catalogue.location_name,
            read_seconds_ago=_read_seconds_ago(catalogue),
        )
    except Overtaken as error:
        raise _overtaken(catalogue) from error


def strangers(ledger: Ledger, catalogue: Catalogue) -> tuple[str, ...]:
    """The other catalogues that the ledger knows, when it meets this one for the first time.

    A catalogue that moved is another one to it: nothing is held, and nobody has left.
    """
    if seen_of(ledger, catalogue).sha256 is not None:
        return ()
    return ledger.catalogues.names()


def _is_known(seen: Seen, catalogue: Catalogue) -> bool:
    """Whether the ledger would learn nothing of it but who left.

    The same rows may make more products than before: some need the settings' defaults.
    """
    return (
        seen.name == catalogue.source
        and seen.location == catalogue.location_name
        and seen.sha256 == catalogue.sha256
        and seen.held is None
        and seen.products.issuperset(catalogue.products)
    )


def _read_seconds_ago(catalogue: Catalogue) -> float:
    return 0.0 if catalogue.begun is None else time.monotonic() - catalogue.begun


def _overtaken(catalogue: Catalogue) -> CatalogueOvertaken:
    return CatalogueOvertaken(
        "another reading of it was obeyed since this one began",
        catalogue.source,
        "The next look reads it again.",
    )


def in_bad_rows(catalogue: Catalogue) -> frozenset[str]:
    """Products whose row cannot be used: they are in the catalogue all the same."""
    ids = (problem.product_id for problem in catalogue.problems)
    return frozenset(product_id for product_id in ids if product_id is not None)
