"""The store's identity: an id in a small file of its root, by which a ledger knows it again.

A directory that is not mounted, or another bucket, has none or another one. It is copied and moved
with the store. Not here: the ledger's own note of the id.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Final

from topview_pipeline.store.backends import Backend, StoreError
from topview_pipeline.store.records import json_bytes

MARKER_NAME: Final = ".topview-store.json"
_MEANING: Final = (
    "Marks this folder as one store of topview_pipeline. The ledgers that keep results here know "
    "it by this id: leave it, and take it along when the store is moved."
)
_ADOPT: Final = "`topview-pipeline ledger adopt`"


class LostLedger(StoreError):
    """A ledger without tasks beside results of its account."""


class OtherStore(StoreError):
    """The store is not the one that the ledger's results lie in."""


def check_pair(
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
    """Return True for a new pair, whose ledger shall remember `Store.identity(create=True)`.

    False: they know each other. An empty ledger beside a full store would pay for all of it again,
    and a store that is not mounted looks like one whose files are gone. Dagster's history goes by
    the pipeline: another one of the account may have begun in the place of a lost ledger.

    Args:
        remembered, found: The store's id in the ledger, and in the store.
        ledger_is_empty: The ledger has no task of the account, in whatever state.
        knows_pipeline: See `Ledger.knows_pipeline`.
        has_results: Of the account, in the store.
        has_materializations: Of the pipeline, made with the account, in Dagster. Both are called in
            this order, and only when the answer decides.
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


def read_identity(backend: Backend) -> str | None:
    """Return the store's id by one request; None when there is no marker that can be read."""
    return _id_in(backend.read(MARKER_NAME))


def create_identity(backend: Backend) -> str | None:
    """Return the store's id; a store whose marker is missing or cannot be read gets one."""
    before = backend.read(MARKER_NAME)
    if (found := _id_in(before)) is not None:
        return found
    data = json_bytes({"store_id": secrets.token_hex(16), "meaning": _MEANING})
    write = backend.write_new if before is None else backend.write
    write(MARKER_NAME, data, "application/json")
    return read_identity(backend)  # another process may have been quicker: its id counts


def _id_in(data: bytes | None) -> str | None:
    try:
        found = json.loads(data or b"")["store_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) and found else None
