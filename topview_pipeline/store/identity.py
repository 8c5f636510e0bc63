"""The identity of a store: ledger and store know each other by its id.

A directory that is not mounted, or another bucket, has none or another one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from topview_pipeline.store.backends import StoreError

_ADOPT: Final = "`topview-pipeline ledger adopt`"


class LostLedger(StoreError):
    """A ledger without tasks beside results of its account."""


class OtherStore(StoreError):
    """The store is not the one that the ledger's results lie in."""


def check_identity(
    *,
    remembered: str | None,
    found: str | None,
    ledger_is_empty: bool,
    knows_pipeline: bool,
    has_results: Callable[[], bool],
    has_materializations: Callable[[], bool],
    store: str,
    ledger: str,
) -> bool:
    """Return True for a new store, whose ledger shall remember `Store.identity(create=True)`.

    False: they know each other. An empty ledger beside a full store would pay for all of it again,
    and a store that is not mounted looks like one whose files are gone. Dagster's history goes by
    the pipeline: another one of the account may have begun in the place of a lost ledger.

    Args:
        remembered, found: The store's id in the ledger, and in the store.
        has_results, has_materializations: Of the account, called only when the answer decides.
        store, ledger: Their locations, for the message.

    Raises:
        LostLedger, OtherStore: Nothing may be submitted, fetched or written.
    """
    is_new = found is None or found != remembered
    if is_new and not ledger_is_empty:
        raise OtherStore(
            "this is not the store that has the ledger's results; nothing was submitted, "
            "fetched or given up",
            store,
            "Is it mounted, and is TOPVIEW_STORE right? If the store was moved, or is really "
            f"to be a new one, {_ADOPT} makes the ledger {ledger} know it.",
        )
    if is_new and has_results():
        what, of = "the store has results of this account", ""
    elif not knows_pipeline and has_materializations():
        what, of = "Dagster has materializations of this account", " of this pipeline"
    else:
        return is_new
    raise LostLedger(
        f"{what}, and the ledger {ledger} has no task{of}, so all of it could be paid again; "
        "nothing was submitted",
        store,
        f"If the ledger is elsewhere, let TOPVIEW_LEDGER_URL name it. If it is lost, {_ADOPT} lets "
        "an empty one replace it: what is stored is taken over for free, but tasks that were in "
        "flight when it was lost are unknown to it.",
    )
