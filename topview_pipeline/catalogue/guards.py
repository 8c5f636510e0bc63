"""Guards against a change of the catalogue or the settings that was not meant. Pure.

A large change is refused until a run with `accept_change`. Not here: memory of the products and of
what is made (`ledger`, `plan`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from topview_pipeline.catalogue.rows import CatalogueError

LARGEST_SHARE: Final = 0.2  # more is more likely half a file or a slip in the settings
FEWEST: Final = 5  # fewer products than these are looked over at a glance and never refused
_ACCEPT: Final = (
    "if the change is intended, run once with accept_change (`topview-pipeline run "
    "--accept-change`)."
)


class ChangeNotAccepted(CatalogueError):
    """So much changed that a person must accept it first; nothing is done until then."""


def check_gone(
    known: Collection[str], now: Collection[str], *, accept_change: bool, where: str
) -> None:
    """Refuse a catalogue in which too many of the products `known` so far are missing.

    Raises:
        ChangeNotAccepted: Five or more are gone, and more than 20 % of those known.
    """
    gone = set(known).difference(now)
    if not accept_change and _is_large(len(gone), len(known)):
        what = f"{len(gone)} of its {len(known)} products are gone, {_such_as(gone)}"
        raise ChangeNotAccepted(what, where, f"Restore them, or {_ACCEPT}")


def check_made_again(made: int, again: Collection[str], *, where: str) -> None:
    """Refuse a plan over the whole catalogue that would make too much of it again.

    Raises:
        ChangeNotAccepted: Five or more would be made again, and more than 20 % of those made.
    """
    if _is_large(len(again), made):
        what = f"{len(again)} of its {made} products with results would be remade"
        fix = "Undo the change of the catalogue or the settings, try it with `--product`, or"
        raise ChangeNotAccepted(f"{what}, {_such_as(again)}", where, f"{fix} {_ACCEPT}")


def _is_large(some: int, whole: int) -> bool:
    return some >= FEWEST and some > LARGEST_SHARE * whole


def _such_as(ids: Collection[str]) -> str:
    return f"such as {', '.join(sorted(ids)[:3])}"
