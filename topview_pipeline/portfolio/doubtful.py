"""Products that are in the catalogue, and whose row there cannot be used: they have not left."""

from __future__ import annotations

from topview_pipeline.catalogue import Catalogue
from topview_pipeline.ledger import Ledger
from topview_pipeline.syncing import seen_of


def in_bad_rows(catalogue: Catalogue, ledger: Ledger) -> dict[str, str]:
    """What is wrong with the row of each product that has no usable one, by its id.

    Whoever is missing while a row cannot be told from another one may be that row.
    """
    problems: dict[str, list[str]] = {}
    for problem in catalogue.problems:
        if problem.product_id is not None and problem.product_id not in catalogue.products:
            problems.setdefault(problem.product_id, []).append(str(problem))
    found = {product_id: "; ".join(reasons) for product_id, reasons in problems.items()}
    nameless = next((one for one in catalogue.problems if one.product_id is None), None)
    if nameless is not None:
        missing = seen_of(ledger, catalogue).products.difference(catalogue.products, found)
        found |= dict.fromkeys(sorted(missing), f"it may be the one in {nameless}")
    return found
