"""The sensor that follows the catalogue: it spends nothing, and downloads nothing of a product.

What it remembers is in `watching.py`, what it does in `sync.py` and `observing.py`.
"""

import time
from typing import TYPE_CHECKING, Final

import dagster as dg

from topview_pipeline.defs.resources import CatalogueResource, LedgerResource

if TYPE_CHECKING:
    from topview_pipeline.catalogue import Catalogue
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
    from topview_pipeline.defs.sync import choices_of, ledger_of_account, take_in
    from topview_pipeline.defs.watching import Memory

    now = time.time()
    version = catalogue.version()
    memory = Memory.from_cursor(context.cursor)
    if memory is not None and memory.is_enough(version, now=now):
        return dg.SkipReason("the catalogue is the one that was last looked at")
    found = catalogue.read(seconds=_READ_SECONDS)
    with ledger_of_account(ledger) as opened:
        taken = take_in(context.instance, found, opened)
        without_account = opened is None
        chosen = choices_of(opened)
    events, is_more = _observed(context, found, chosen)
    said = _said(taken, len(found.products), len(found.problems), len(events), is_more=is_more)
    if without_account:
        said += "; TOPVIEW_UID is not set, so no product is retired"
    return dg.SensorResult(
        asset_events=events,
        skip_reason=said,
        cursor=Memory(found.version, now, is_more).to_cursor(),
    )


def _observed(
    context: dg.SensorEvaluationContext, catalogue: "Catalogue", chosen: "ChosenByProduct"
) -> tuple[list[dg.AssetObservation], bool]:
    """The observations of this tick, and whether there is more to look at or to observe."""
    from topview_pipeline.defs.inputs import opened_inputs
    from topview_pipeline.defs.observing import changed_of_made
    from topview_pipeline.defs.versions import observation
    from topview_pipeline.defs.watching import portion

    ends = time.monotonic() + _HASH_SECONDS
    with opened_inputs(offline=True) as inputs:
        changed, looked = changed_of_made(
            context.instance, catalogue, inputs, chosen, is_over=lambda: time.monotonic() > ends
        )
    some, is_more = portion(changed)
    events = [observation(source, product_id, version) for source, product_id, version in some]
    return events, is_more or not looked.is_whole


def _said(taken: "TakenIn", products: int, problems: int, observed: int, *, is_more: bool) -> str:
    """What the tick did, in one line."""
    return (
        f"{products} products, {problems} problems in rows; {len(taken.new)} new, "
        f"{len(taken.left)} left, {taken.withdrawn} of their orders withdrawn; "
        f"{observed} changes observed{', more in the next tick' if is_more else ''}"
    )
