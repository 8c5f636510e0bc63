"""The sensor that retries pending tasks: it finishes what was begun and never begins anything.

The thinking is in `pending.py` and `runs.py`; this only asks Dagster and the ledger.
"""

from functools import cache
from typing import TYPE_CHECKING, Final

import dagster as dg

from topview_pipeline.defs.jobs import CATCH_UP, catch_up, catch_up_config
from topview_pipeline.defs.resources import ArtifactsResource, CatalogueResource, LedgerResource

if TYPE_CHECKING:
    from topview_pipeline.ledger import Ledger, Order
    from topview_pipeline.settings import Settings


_NAME_SECONDS: Final = 5.0
"""For the catalogue's name: a source that hangs keeps no paid result from being fetched."""


@dg.sensor(
    name="pending_task_sensor",
    job=catch_up,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Finishes every task that was submitted, also of withdrawn orders, and goes on "
    "with open orders that nobody works on. It submits only for open orders, so it never spends "
    "what nobody asked for.",
)
def pending_task_sensor(
    context: dg.SensorEvaluationContext,
    ledger: LedgerResource,
    artifacts: ArtifactsResource,
    catalogue: CatalogueResource,
) -> dg.RunRequest | dg.SkipReason:
    """Start one catch_up run for what is due, or say why not."""
    from topview_pipeline.mistakes import users_mistakes
    from topview_pipeline.pairing import refuse_unless_paired

    mistakes = users_mistakes()
    try:
        opened = ledger.open()
        try:
            # No run could go on with a store that is not this ledger's.
            refuse_unless_paired(opened, artifacts.store)
            return _look(context, opened, catalogue)
        finally:
            opened.close()
    except mistakes as error:
        return dg.SkipReason(str(error))


def _look(
    context: dg.SensorEvaluationContext, ledger: "Ledger", catalogue: CatalogueResource
) -> dg.RunRequest | dg.SkipReason:
    from topview_pipeline.defs import runs
    from topview_pipeline.defs.pending import Patience, room_under, take_up
    from topview_pipeline.producer.abandoned import take_for_unknown
    from topview_pipeline.settings import Settings
    from topview_pipeline.topview.timeouts import DEFAULT_TIMEOUTS

    settings = Settings.from_environment()
    now = ledger.now()
    runs.end_dead_runs(context.instance, ledger, job=CATCH_UP, now=now)
    runs.withdraw_cancelled(context.instance, ledger)
    take_for_unknown(
        ledger, now=now, submit_seconds=DEFAULT_TIMEOUTS.submit_total, who="pending_task_sensor"
    )
    _settle_lost_answers(context, ledger, settings, now=now)
    busy = runs.unfinished_run(context.instance, CATCH_UP)
    if busy is not None:
        return dg.SkipReason(f"catch_up run {busy} is queued or at work")
    found = take_up(
        _open_orders(ledger, catalogue),
        ledger.tasks.on_their_way(),
        now=now,
        # Thousands of orders have a handful of owners.
        is_alive=cache(ledger.producers.is_alive),
        room=room_under(ledger, settings.credit_limit),
    )
    if found.is_empty:
        return dg.SkipReason(f"nothing to take up: {found}")
    if settings.api_key is None:
        return dg.SkipReason(
            f"TOPVIEW_API_KEY is not set, and without it no run can go on: {found}"
        )
    patience = Patience.from_cursor(context.cursor)
    wait = 0.0 if patience is None else patience.until(found, now=now) - now
    if wait > 0:
        return dg.SkipReason(f"the last run brought nothing forward; next in {wait:.0f} s: {found}")
    patience = Patience.after(patience, found, now=now)
    context.update_cursor(patience.to_cursor())
    context.log.info(f"taking up: {found}")
    return dg.RunRequest(
        # A run key is spent for ever, also when its run failed: each attempt has its own.
        run_key=f"take-up-{found.digest}-attempt-{patience.times}-at-{now:.0f}",
        run_config=catch_up_config(
            orders=[{"product": product, "stage": stage} for product, stage in found.for_one_run],
            explicit=False,
        ),
    )


def _open_orders(ledger: "Ledger", catalogue: CatalogueResource) -> "list[Order]":
    """The open orders but those of products that only another deployment's catalogue has."""
    from topview_pipeline.mistakes import users_mistakes

    orders = ledger.orders.open_orders()
    try:
        name = catalogue.name(seconds=_NAME_SECONDS)
    except users_mistakes():
        # Nobody's orders can be told apart, and results that are paid for are still fetched.
        return orders
    others = ledger.catalogues.of_others(name, {order.product_id for order in orders})
    return [order for order in orders if order.product_id not in others]


def _settle_lost_answers(
    context: dg.SensorEvaluationContext, ledger: "Ledger", settings: "Settings", *, now: float
) -> None:
    """What Topview's credit log settles by itself; trouble at Topview waits for the next look."""
    from topview_pipeline.reconciliation import reconcile_now

    if settings.api_key is None or not ledger.unknowns.is_due(now):
        return
    report = reconcile_now(settings, ledger, who="pending_task_sensor")
    if report.adopted or report.released:
        context.log.info(
            f"lost answers: {len(report.adopted)} adopted, {len(report.released)} released, "
            f"{len(report.left)} left to a person"
        )
