"""The plain generator that drives a producer and yields Dagster events.

Shared by the three assets and the catch_up job. A plain one, because an async op's cleanup never
runs when the run is terminated (Dagster fact 12).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import dagster as dg

from topview_pipeline.catalogue import Catalogue
from topview_pipeline.defs.metadata import made_metadata
from topview_pipeline.defs.pictures import preview_of
from topview_pipeline.defs.resources import (
    ArtifactsResource,
    CatalogueResource,
    LedgerResource,
    TopviewResource,
)
from topview_pipeline.defs.runs import chunks, is_stopped_by_a_person, withdraw_cancelled
from topview_pipeline.defs.troubles import Trouble, not_in_catalogue, trouble_of
from topview_pipeline.defs.versions import Versions, observation
from topview_pipeline.inputs import InputError, InputFiles
from topview_pipeline.ledger import Ledger, LedgerUnavailable, Order, Owner, Task, Wanted
from topview_pipeline.producer import (
    Desk,
    Event,
    Made,
    ProducerConfig,
    ProducerThread,
    Run,
    Work,
    data_version,
)
from topview_pipeline.settings import Settings
from topview_pipeline.stages import BY_KEY, PreconditionError
from topview_pipeline.stages.shapes import Shape, shape_of
from topview_pipeline.topview.client import TopviewClient

_CHUNK: Final = 8
"""Products observed together: few enough that the first ones start at once."""

DagsterEvent = dg.AssetMaterialization | dg.AssetObservation | dg.MaterializeResult[Any]
OrdersOfProduct = Mapping[str, Order]
"""A product's open orders by stage key."""


@dataclass(frozen=True)
class Bench:
    """The resources that producing needs."""

    topview: TopviewResource
    ledger: LedgerResource
    artifacts: ArtifactsResource
    catalogue: CatalogueResource


@dataclass
class Report:
    """What a run came to."""

    made: int = 0
    reused: int = 0
    credits: float = 0.0
    troubles: list[Trouble] = field(default_factory=list)


class Production:
    """One run's producing. Use it once.

    Args:
        explicit: a person or a schedule asked for it, not the sensor.
        least_wait: seconds that the run waits at least for progress.
        result_for: a product whose stages are told as results of the step's own outputs; only
            then does another asset of the same run go on. Possible in a run of one partition.
    """

    def __init__(
        self,
        context: dg.OpExecutionContext | dg.AssetExecutionContext,
        bench: Bench,
        *,
        explicit: bool = True,
        least_wait: float = 0.0,
        result_for: str | None = None,
    ) -> None:
        self._instance = context.instance
        self._log = context.log
        self._bench = bench
        self._settings = Settings.from_environment()
        root = context.run.root_run_id or context.run.run_id
        self._run = Run(context.run.run_id, root, explicit)
        self._config = producer_config(self._settings, least_wait=least_wait)
        self._result_for = result_for
        self._versions = Versions(context.instance)
        self._inputs = InputFiles()
        self._store = bench.artifacts.store
        self.report = Report()

    def events(self, wanted: Sequence[Wanted], *, resume: bool = False) -> Iterator[DagsterEvent]:
        """Order what is wanted and produce it; `report` says what came of it.

        Args:
            wanted: what this run asks for.
            resume: also bring every task home that nobody watches, whoever ordered it.
        """
        self._store.check_writable()
        self._store.sweep()
        catalogue = self._bench.catalogue.read()
        ledger = self._bench.ledger.open(uid=self._bench.topview.uid)
        try:
            withdraw_cancelled(self._instance, ledger)
            yield from self._produce(ledger, catalogue, wanted, resume)
        finally:
            ledger.close()

    def _produce(
        self, ledger: Ledger, catalogue: Catalogue, wanted: Sequence[Wanted], resume: bool
    ) -> Iterator[DagsterEvent]:
        client = self._bench.topview.client()
        owner = Owner()
        # Registered before it owns an order, and gone only when all its events are stored: else
        # the sensor would take what it has not told yet for the work of a dead run.
        ledger.producers.start(owner, run_id=self._run.run_id)
        try:
            placed = self._place(ledger, catalogue, wanted, owner)
            strays = _unwatched(ledger, placed.values()) if resume else ()
            thread = ProducerThread(
                client,
                self._desk_of(ledger, owner),
                resume=strays,
                at_exit=lambda: ledger.leave(owner),
            )
            try:
                yield from self._feed(ledger, catalogue, _by_product(placed), thread)
                for event in thread.events():
                    yield from self._tell(ledger, event)
            except BaseException:
                thread.stop()
                if is_stopped_by_a_person(self._instance, self._run.run_id):
                    ledger.orders.withdraw_runs([self._run.run_id], who="terminated")
                raise
            finally:
                thread.close()
        finally:
            # A ledger in trouble has been told of already; the end of this process says the rest.
            with contextlib.suppress(LedgerUnavailable):
                ledger.leave(owner)

    def _place(
        self, ledger: Ledger, catalogue: Catalogue, wanted: Sequence[Wanted], owner: Owner
    ) -> Mapping[tuple[str, str], Order]:
        """The open orders of this run; what cannot be ordered is among its troubles."""
        self._refuse(ledger, list(not_in_catalogue(wanted, catalogue)))
        placed = ledger.orders.place(
            [want for want in wanted if want.product_id in catalogue.products],
            run_id=self._run.run_id,
            root_run_id=self._run.root_run_id,
            owner=owner.id,
            # The sensor listed open orders: one that a person withdrew since is not made anew.
            only_open=not self._run.explicit,
        )
        for (product_id, stage), reason in placed.refused.items():
            refused = Trouble(product_id, stage, "failed", reason, "run again without force")
            self.report.troubles.append(refused)
        if not self._run.explicit:
            taken_up = [order.id for order in placed.orders.values()]
            ledger.orders.take_up(
                taken_up, run_id=self._run.run_id, is_at_work=ledger.producers.is_at_work
            )
        return placed.orders

    def _refuse(self, ledger: Ledger, troubles: Sequence[Trouble]) -> None:
        """End the orders of products that the catalogue no longer has; nothing can be sent."""
        self.report.troubles += troubles
        by_key = {(trouble.product, trouble.stage): trouble for trouble in troubles}
        for order in ledger.orders.open_orders() if troubles else ():
            trouble = by_key.get((order.product_id, order.stage))
            if trouble is not None:
                ledger.orders.failed(order.id, {"what": trouble.what, "mend": trouble.mend})

    def _desk_of(self, ledger: Ledger, owner: Owner) -> Callable[[TopviewClient], Desk]:
        def desk_of(client: TopviewClient) -> Desk:
            return Desk(
                client=client,
                ledger=ledger,
                store=self._store,
                inputs=self._inputs,
                run=self._run,
                config=self._config,
                owner=owner,
                submit_seconds=client.timeouts.submit_total,
            )

        return desk_of

    def _feed(
        self,
        ledger: Ledger,
        catalogue: Catalogue,
        orders: Mapping[str, OrdersOfProduct],
        thread: ProducerThread,
    ) -> Iterator[DagsterEvent]:
        """Observe what each product is made from, and let it start."""
        for chunk in chunks(orders, _CHUNK):
            works = [self._work(catalogue, product_id, orders[product_id]) for product_id in chunk]
            versions = {
                (BY_KEY[stage].source, work.product.product_id): shape.version
                for work in works
                for stage, shape in work.shapes.items()
            }
            for source, product_id, version in self._versions.unobserved(versions):
                yield observation(source, product_id, version)
            self._versions.remember(versions)
            for work in works:
                thread.put(work)
            for event in thread.ready():
                yield from self._tell(ledger, event)
        thread.no_more()

    def _work(self, catalogue: Catalogue, product_id: str, orders: OrdersOfProduct) -> Work:
        product = catalogue.products[product_id]
        shapes: dict[str, Shape] = {}
        problems: dict[str, PreconditionError] = {}
        for stage in orders:
            try:
                shapes[stage] = shape_of(BY_KEY[stage], product, self._inputs.sha256)
            except InputError as error:
                problem = PreconditionError(f"{error.where}: {error.what}", error.mend)
                problems[stage] = problem
        return Work(product, orders, shapes, problems)

    def _tell(self, ledger: Ledger, event: Event) -> Iterator[DagsterEvent]:
        if not isinstance(event, Made):
            trouble = trouble_of(event)
            self.report.troubles.append(trouble)
            self._log.warning(
                f"{trouble.product} / {trouble.stage} {trouble.outcome}: {trouble.what}"
            )
            return
        task = ledger.tasks.get(event.task.id)
        reused = task.materialized_at is not None
        yield self._event_of(event, task, reused=reused)
        # From here on Dagster has the event: only now is the order done.
        if event.order_id is None:
            ledger.tasks.materialized(task.id)
        else:
            ledger.orders.done(event.order_id, task.id)
        self.report.made += 1
        self.report.reused += reused
        self.report.credits += 0.0 if reused else task.cost_credits or 0.0

    def _event_of(self, made: Made, task: Task, *, reused: bool) -> DagsterEvent:
        preview = preview_of(task, self._store) if self._settings.previews else None
        metadata = made_metadata(task, self._store, reused=reused, preview=preview)
        version = data_version(task.fingerprint)
        tags = self._versions.tags(BY_KEY[made.stage], made.product_id, version, made.inputs)
        # An order is of this run's own step; what was only brought home may be any asset's.
        if made.order_id is not None and made.product_id == self._result_for:
            return dg.MaterializeResult(
                asset_key=made.stage,
                metadata=metadata,
                tags=tags,
                data_version=dg.DataVersion(version),
            )
        return dg.AssetMaterialization(
            asset_key=made.stage, partition=made.product_id, metadata=metadata, tags=tags
        )


def producer_config(settings: Settings, *, least_wait: float = 0.0) -> ProducerConfig:
    """How a producer works, as the environment says; `least_wait` in seconds."""
    config = ProducerConfig(
        slots=settings.max_concurrent_tasks,
        poll_seconds=settings.poll_seconds,
        wait_seconds=settings.wait_seconds,
        deadline_seconds=settings.deadline_seconds,
        when_no_face=settings.when_no_face,
    )
    return replace(config, wait_seconds=max(config.wait_seconds, least_wait))


def _unwatched(ledger: Ledger, orders: Iterable[Order]) -> tuple[Task, ...]:
    """Tasks on their way home that no living producer watches and no order here goes on with."""
    gone_on_with = {order.task_id for order in orders}
    return tuple(
        row
        for row in ledger.tasks.on_their_way()
        if row.id not in gone_on_with and not ledger.producers.is_alive(row.owner)
    )


def _by_product(orders: Mapping[tuple[str, str], Order]) -> dict[str, dict[str, Order]]:
    found: dict[str, dict[str, Order]] = {}
    for (product_id, stage), order in orders.items():
        found.setdefault(product_id, {})[stage] = order
    return found
