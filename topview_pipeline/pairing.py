"""A ledger's account and its artifact store belong together; this finds out when they do not.

An empty ledger beside a full store would pay for all of it again; a store that is not mounted looks
like one whose files are gone, and all of it would be downloaded again, or be given up as expired.
Both are refused before anything is sent, fetched or written. `recovery` is the way out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from topview_pipeline.artifacts import RESULT_NAME, ArtifactStore, StoreError
from topview_pipeline.ledger import Ledger

_REBUILD: Final = "`topview-pipeline tasks rebuild`"


class Verdict(Enum):
    """How a ledger's account and a store stand to each other."""

    PAIRED = "paired"
    """They know each other."""
    PAIR = "pair"
    """Nothing speaks against it: the ledger may remember this store."""
    LOST_LEDGER = "lost_ledger"
    """The store has results of the account, and the ledger has never heard of any."""
    OTHER_STORE = "other_store"
    """The ledger's stored rows lie elsewhere: not mounted, or another place."""


@dataclass(frozen=True)
class Sides:
    """What ledger and store say. What takes a listing is asked only when it decides.

    Attributes:
        remembered: the store's id in the ledger.
        marker: the store's id in the store.
        has_tasks: whether the ledger has any task of the account, in whatever state.
        has_stored: whether one of them is said to be in the store.
        has_results: whether the store has a result of the account.
        has_a_stored_file: whether the files of at least one stored row are in the store.
    """

    remembered: str | None
    marker: str | None
    has_tasks: Callable[[], bool]
    has_stored: Callable[[], bool]
    has_results: Callable[[], bool]
    has_a_stored_file: Callable[[], bool]


def judge(sides: Sides) -> Verdict:
    """Whether they belong together."""
    if sides.remembered is not None and sides.remembered == sides.marker:
        return Verdict.PAIRED
    if not sides.has_tasks() or not sides.has_stored():
        return Verdict.LOST_LEDGER if sides.has_results() else Verdict.PAIR
    if sides.remembered is None and sides.has_a_stored_file():
        return Verdict.PAIR  # a ledger from before there were markers
    return Verdict.OTHER_STORE


class LostLedger(StoreError):
    """A ledger without results beside a store with results of its account."""


class OtherStore(StoreError):
    """The store is not the one that the ledger's results lie in."""


def examine(ledger: Ledger, store: ArtifactStore) -> Verdict:
    """How they stand to each other; nothing is written.

    While they know each other this is one query and one small file.

    Raises:
        StoreError: the store does not answer.
    """
    link = ledger.store_link
    return judge(
        Sides(
            remembered=link.remembered(),
            marker=store.marker.read(),
            has_tasks=link.has_tasks,
            has_stored=lambda: link.count_stored() > 0,
            has_results=lambda: count_results(store, ledger.account) > 0,
            has_a_stored_file=lambda: stored_rows_here(ledger, store.files(ledger.account)) > 0,
        )
    )


def refuse_unless_paired(ledger: Ledger, store: ArtifactStore) -> Verdict:
    """`examine`, with what must not go on as an error. For whoever only wants to know, as a sensor.

    Raises:
        LostLedger, OtherStore: in one sentence what is amiss, and the way out.
    """
    verdict = examine(ledger, store)
    if verdict is Verdict.LOST_LEDGER:
        raise LostLedger(*_lost(ledger, store))
    if verdict is Verdict.OTHER_STORE:
        raise OtherStore(*_other(ledger, store))
    return verdict


def ensure_paired(ledger: Ledger, store: ArtifactStore, *, who: str) -> None:
    """Let a run go on only with the store of its ledger; a first run makes them a pair.

    Call it before anything else touches the store. Afterwards the store also sees when it is
    unmounted in the middle of the run.

    Raises:
        LostLedger, OtherStore: nothing was written, sent or fetched.
    """
    if refuse_unless_paired(ledger, store) is Verdict.PAIR:
        pair(ledger, store, who=who)
    else:
        store.expect(ledger.store_link.remembered() or "")


def pair(ledger: Ledger, store: ArtifactStore, *, who: str) -> None:
    """Make the ledger remember this store, and mark the store if it has no marker."""
    detail = {"where": store.where}
    store.expect(ledger.store_link.remember(store.marker.create, who=who, detail=detail))


def count_results(store: ArtifactStore, account: str) -> int:
    """How many results of an account the store has."""
    return sum(path.endswith(f"/{RESULT_NAME}") for path in store.files(account))


def stored_rows_here(ledger: Ledger, files: Mapping[str, int]) -> int:
    """How many of the ledger's stored rows have all their files, whole, among these.

    Args:
        files: size in bytes by path, as `ArtifactStore.files` lists them.
    """
    return sum(
        bool(row) and all(files.get(artifact["path"]) == artifact["bytes"] for artifact in row)
        for row in ledger.store_link.stored_files()
    )


def _lost(ledger: Ledger, store: ArtifactStore) -> tuple[str, str, str]:
    count = count_results(store, ledger.account)
    results = "one result" if count == 1 else f"{count} results"
    return (
        f"the store has {results} of this account, and the ledger {ledger.store_link.where} knows "
        "of none, so all of it would be paid again; nothing was submitted",
        store.where,
        f"If the ledger is lost, {_REBUILD} makes it again from the store; if it is elsewhere, let "
        "TOPVIEW_LEDGER_URL name it.",
    )


def _other(ledger: Ledger, store: ArtifactStore) -> tuple[str, str, str]:
    count = ledger.store_link.count_stored()
    results = "one stored result" if count == 1 else f"{count} stored results"
    return (
        f"this is not the store that the ledger's {results} lie in; nothing was submitted, "
        "fetched or given up",
        store.where,
        "Is it mounted, and is TOPVIEW_ARTIFACTS right? If the store was moved, or is really to be "
        f"a new one, {_REBUILD} tells the ledger so.",
    )
