"""The sensor that follows the catalogue: it spends nothing, and downloads nothing of a product.

What it remembers is in `watching.py`, what it does in `sync.py` and `observing.py`.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import dagster as dg

from topview_pipeline.defs.resources import CatalogueResource, LedgerResource

if TYPE_CHECKING:
    from topview_pipeline.catalogue import Catalogue, CatalogueError
    from topview_pipeline.defs.sync import TakenIn
    from topview_pipeline.producer.preferring import ChosenByProduct

_READ_SECONDS: Final = 25.0
"""For the catalogue; a tick has 60 s before Dagster ends it."""
_HASH_SECONDS: Final = 12.0
"""For files of this machine that were not hashed before; the next tick goes on."""


@dg.sensor(
    name="catalogue_sensor",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Follows the catalogue: makes new products partitions, observes changed inputs of "
    "products already made, and retires products that left. It starts no run, spends nothing and "
    "needs no key. A catalogue that is empty, half read or lost more than 20 % of its products is "
    "not obeyed.",
)
def catalogue_sensor(
    context: dg.SensorEvaluationContext, catalogue: CatalogueResource, ledger: LedgerResource
) -> dg.SensorResult | dg.SkipReason:
    """Look whether the catalogue changed, and follow it."""
    from topview_pipeline.mistakes import users_mistakes

    try:
        return _look(context, catalogue, ledger)
    except users_mistakes() as error:
        return dg.SkipReason(str(error))


def _look(
    context: dg.SensorEvaluationContext, catalogue: CatalogueResource, ledger: LedgerResource
) -> dg.SensorResult | dg.SkipReason:
    from topview_pipeline.catalogue import CatalogueError, CatalogueHeld, CatalogueOvertaken
    from topview_pipeline.defs.sync import choices_of, ledger_of_account, take_in
    from topview_pipeline.defs.watching import Memory

    now = time.time()
    memory = Memory.from_cursor(context.cursor)
    try:
        version = catalogue.version()
    except CatalogueError as error:
        _write_down(catalogue, ledger, error)
        if memory is not None:
            # Back with the version that is known, it must be looked at to be well again.
            context.update_cursor(memory.interrupted(str(error)).to_cursor())
        raise
    if memory is not None and memory.is_enough(version, now=now):
        return dg.SkipReason(memory.trouble or "the catalogue is the one that was last looked at")
    try:
        found = catalogue.read(seconds=_READ_SECONDS)
        with ledger_of_account(ledger) as opened:
            taken = take_in(context.instance, found, opened)
            without_account = opened is None
            chosen = choices_of(opened)
    except CatalogueOvertaken:
        raise
    except CatalogueError as error:
        if not isinstance(error, CatalogueHeld):
            _write_down(catalogue, ledger, error)
        # Read again once it is another one: all of it each minute is much for a source.
        context.update_cursor(Memory(version, now, False, trouble=str(error)).to_cursor())
        return dg.SkipReason(str(error))
    start = 0 if memory is None else memory.place_in(found.version)
    seen = _observed(context, found, chosen, start)
    said = _said(taken, found, seen)
    if without_account:
        said += "; TOPVIEW_UID is not set, so no product is retired"
    return dg.SensorResult(
        asset_events=seen.events,
        skip_reason=said,
        cursor=Memory(found.version, now, seen.is_more, seen.place).to_cursor(),
    )


def _write_down(
    catalogue: CatalogueResource, ledger: LedgerResource, error: "CatalogueError"
) -> None:
    """Leave a note for the standing checks that the catalogue cannot be read."""
    from topview_pipeline.defs.sync import ledger_of_account
    from topview_pipeline.mistakes import users_mistakes

    with suppress(*users_mistakes()), ledger_of_account(ledger) as opened:
        if opened is not None:
            opened.catalogues.hold(catalogue.name(), error.what)


@dataclass(frozen=True)
class _Observed:
    """The observations of a tick.

    Attributes:
        unreadable: why products are not observed.
        is_more: there is more to look at or to observe, from `place` on.
    """

    events: list[dg.AssetObservation]
    unreadable: Mapping[str, str]
    is_more: bool
    place: int


def _observed(
    context: dg.SensorEvaluationContext,
    catalogue: "Catalogue",
    chosen: "ChosenByProduct",
    start: int,
) -> _Observed:
    from topview_pipeline.defs.inputs import opened_inputs
    from topview_pipeline.defs.observing import changed_of_made
    from topview_pipeline.defs.versions import observation
    from topview_pipeline.defs.watching import portion

    ends = time.monotonic() + _HASH_SECONDS
    with opened_inputs(offline=True) as inputs:
        changed, looked = changed_of_made(
            context.instance,
            catalogue,
            inputs,
            chosen,
            start=start,
            is_over=lambda: _is_over(ends),
        )
    some, is_left_over = portion(changed)
    events = [observation(source, product_id, version) for source, product_id, version in some]
    # What is left over is found again only from where this look began.
    place = start if is_left_over else looked.place
    return _Observed(events, looked.unreadable, is_left_over or not looked.is_whole, place)


def _is_over(ends: float) -> bool:
    return time.monotonic() > ends


def _said(taken: "TakenIn", catalogue: "Catalogue", seen: _Observed) -> str:
    """What the tick did, in one line."""
    parts = [
        f"{len(catalogue.products)} products, {len(catalogue.problems)} problems in rows",
        f"{len(taken.new)} new, {len(taken.left)} left, {taken.withdrawn} of their orders "
        "withdrawn",
        f"{len(seen.events)} changes observed{', more in the next tick' if seen.is_more else ''}",
    ]
    if seen.unreadable:
        first = next(iter(seen.unreadable.values()))
        parts.append(f"{len(seen.unreadable)} products not observed: {first}")
    if taken.doubt is not None:
        parts.append(taken.doubt)
    return "; ".join(parts)
