"""How long a source may take: one that hangs ends in a sentence, not in a run that hangs too."""

import threading
from collections.abc import Callable
from typing import Final, TypeVar

from topview_pipeline.catalogue.errors import CatalogueError

_T = TypeVar("_T")

_hanging: Final[dict[tuple[str, str], threading.Thread]] = {}
"""Readings that ran out of time and did not end: a thread cannot be stopped from outside. The next
look at the same source for the same thing does not begin another one beside it."""


def within(seconds: float, where: str, look: Callable[[], _T], *, what: str = "rows") -> _T:
    """What `look` returns or raises.

    Args:
        where: the source's name.
        look: it reads the source.
        what: it looks for: rows that hang keep nobody from a name.

    Raises:
        CatalogueError: it takes longer than `seconds`, or an earlier one still hangs.
    """
    earlier = _hanging.get((where, what))
    if earlier is not None and earlier.is_alive():
        raise CatalogueError(
            "an earlier look at it still hangs", where, "Check what keeps it from answering."
        )
    _hanging.pop((where, what), None)
    results: list[_T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(look())
        except BaseException as error:  # noqa: BLE001 - it is raised in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=work, name="topview-catalogue", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        _hanging[where, what] = thread
        raise CatalogueError(
            f"it did not answer within {seconds:g} s", where, "Check what keeps it from answering."
        )
    if errors:
        raise errors[0]
    return results[0]
