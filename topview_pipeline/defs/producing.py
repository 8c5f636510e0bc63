"""The plain generator that drives a producer and yields Dagster events.

Shared by the three assets and the catch_up job. A plain one, because an async op's cleanup never
runs when the run is terminated. What is told of each event is in `telling.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import dagster as dg

from topview_pipeline import syncing
from topview_pipeline.catalogue import Catalogue, CatalogueHeld
from topview_pipeline.defs.event_log import event_log_kept_open
from topview_pipeline.defs.feeding import Feeder
from topview_pipeline.defs.inputs import open_inputs
from topview_pipeline.defs.ordering import place
from topview_pipeline.defs.pausing import pause_observations
from topview_pipeline.defs.reading import read_for_run
from topview_pipeline.defs.recipes import check_recipe, remember_first
from topview_pipeline.defs.resources import (
    ArtifactsResource,
    CatalogueResource,
    LedgerResource,
    TopviewResource,
)
from topview_pipeline.defs.retired import stored_of_retired
from topview_pipeline.defs.runs import is_stopped_by_a_person, withdraw_cancelled
from topview_pipeline.defs.telling import DagsterEvent, Report, Teller
from topview_pipeline.defs.versions import Versions
from topview_pipeline.defs.works import in_turn
from topview_pipeline.ledger import (
    Ledger,
    LedgerUnavailable,
    Order,
    Owner,
    Task,
    TaskState,
    Wanted,
)
from topview_pipeline.pairing import ensure_paired
from topview_pipeline.producer import (
    Desk,
    ProducerConfig,
    ProducerThread,
    Run,
)
from topview_pipeline.settings import Settings
from topview_pipeline.topview.client import TopviewClient

SCHEDULE_NAME_TAG: Final = "dagster/schedule_name"
_RUNNING: Final = (TaskState.PENDING, TaskState.SUCCEEDED)


@dataclass(frozen=True)
class Bench:
    """The resources that producing needs."""

    topview: TopviewResource
    ledger: LedgerResource
    artifacts: ArtifactsResource
    catalogue: CatalogueResource


class Production:
    """One run's producing. Use it once.

    Args:
        explicit: a person or a schedule asked for it, not the sensor.
        least_wait: seconds that the run waits at least for progress.
        credit_limit: the most credits that what this run orders may cost.
        result_for: a product whose stages are told as results of the step's own outputs; only
            then does another asset of the same run go on. Possible in a run of one partition.
        is_of_many: products that nobody named one by one: a changed recipe may hold them.
    """

    def __init__(
        self,
        context: dg.OpExecutionContext | dg.AssetExecutionContext,
        bench: Bench,
        *,
        explicit: bool = True,
        least_wait: float = 0.0,
        credit_limit: float | None = None,
        result_for: str | None = None,
        is_of_many: bool = False,
    ) -> None:
        self._instance = context.instance
        self._log = context.log
        self._bench = bench
        self._settings = Settings.from_environment()
        root = context.run.root_run_id or context.run.run_id
        self._run = Run(context.run.run_id, root, explicit)
        self._config = producer_config(self._settings, least_wait=least_wait)
        self._credit_limit = credit_limit
        self._is_scheduled = SCHEDULE_NAME_TAG in context.run.tags
        self._is_of_many = is_of_many
        self._versions = Versions(context.instance)
        self._inputs = open_inputs()
        self._store = bench.artifacts.store
        self.report = Report()
        self._teller = Teller(
            self.report,
            log=context.log,
            run_id=context.run.run_id,
            settings=self._settings,
            store=self._store,
            versions=self._versions,
            result_for=result_for,
        )

    def events(self, wanted: Sequence[Wanted], *, resume: bool = False) -> Iterator[DagsterEvent]:
        """Order what is wanted and produce it; `report` says what came of it.

        Args:
            wanted: what this run asks for.
            resume: also bring every task home that nobody watches, whoever ordered it.
        """
        catalogue = read_for_run(self._bench.catalogue, self._log, explicit=self._run.explicit)
        ledger = self._bench.ledger.open(uid=self._bench.topview.uid)
        try:
            # Before anything is written: a store that is not mounted must not come to be.
            ensure_paired(ledger, self._store, who=f"run {self._run.run_id}")
            self._store.check_writable()
            self._store.sweep()
            withdraw_cancelled(self._instance, ledger)
            wanted = () if catalogue is None else self._allowed(ledger, catalogue, wanted)
            if catalogue is not None and self._run.explicit:
                wanted = yield from self._tell_of_retired(ledger, catalogue, wanted)
            produced = self._produce(ledger, catalogue, wanted, resume)
            del catalogue, wanted  # of thousands, tens of MiB that nobody needs to the end
            with event_log_kept_open(self._instance, self._run.run_id):
                yield from produced
        finally:
            self._inputs.close()
            ledger.close()

    def _allowed(
        self, ledger: Ledger, catalogue: Catalogue, wanted: Sequence[Wanted]
    ) -> Sequence[Wanted]:
        """What may be made: nothing while the catalogue is held.

        The sensor's run then still brings home what was submitted.

        Raises:
            CatalogueHeld: a person asked, and a person has to look at the catalogue.
        """
        try:
            syncing.check(ledger, catalogue)
        except CatalogueHeld as held:
            if self._run.explicit:
                raise
            self._log.warning(str(held))
            return ()
        if self._is_of_many:
            check_recipe(self._instance, ledger, catalogue, self._bench.catalogue)
        elif wanted and self._run.explicit:
            remember_first(ledger, catalogue)
        return wanted

    def _tell_of_retired(
        self, ledger: Ledger, catalogue: Catalogue, wanted: Sequence[Wanted]
    ) -> Generator[DagsterEvent, None, Sequence[Wanted]]:
        """Tell what is stored of products that left the catalogue; returns what else is wanted."""
        stored = stored_of_retired(wanted, catalogue, ledger, self._store)
        for made in stored:
            yield from self._teller.tell(ledger, made, is_asked=True)
        told = {(made.product_id, made.stage) for made in stored}
        return [want for want in wanted if (want.product_id, want.stage) not in told]

    def _produce(
        self, ledger: Ledger, catalogue: Catalogue | None, wanted: Sequence[Wanted], resume: bool
    ) -> Iterator[DagsterEvent]:
        client = self._bench.topview.client()
        owner = Owner()
        # Registered before it owns an order, and gone only when all its events are stored: else
        # the sensor would take what it has not told yet for the work of a dead run.
        ledger.producers.start(owner, run_id=self._run.run_id)
        try:
            placed = {} if catalogue is None else self._place(ledger, catalogue, wanted, owner)
            strays = _unwatched(ledger, placed.values()) if resume else ()
            products = {} if catalogue is None else catalogue.products
            coming = in_turn(products, placed, ledger.tasks.in_state(_RUNNING))
            del catalogue, wanted, placed, products
            tell = partial(self._teller.tell, ledger)
            thread = ProducerThread(
                client,
                self._desk_of(ledger, owner),
                resume=strays,
                at_exit=lambda: ledger.leave(owner),
            )
            try:
                feeder = Feeder(ledger, self._inputs, self._versions, tell)
                yield from feeder.events(coming, thread)
                for event in thread.events():
                    yield from tell(event)
                yield from pause_observations(ledger, run_id=self._run.run_id)
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
        return place(
            ledger,
            catalogue,
            wanted,
            self._run,
            owner,
            credit_limit=self._credit_limit,
            keep_limits=self._is_scheduled,
            troubles=self.report.troubles,
        )

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


def producer_config(settings: Settings, *, least_wait: float = 0.0) -> ProducerConfig:
    """How a producer works, as the environment says; `least_wait` in seconds."""
    config = ProducerConfig(
        slots=settings.max_concurrent_tasks,
        credits_a_day=settings.credit_limit,
        prices=settings.prices,
        poll_seconds=settings.poll_seconds,
        wait_seconds=settings.wait_seconds,
        deadline_seconds=settings.deadline_seconds,
        account_exclusive=settings.account_exclusive,
        unknown_deadlines=settings.unknown_deadlines,
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
