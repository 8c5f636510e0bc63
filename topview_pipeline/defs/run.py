"""Drives the engine for one run and yields Dagster events. Shared by the assets and the jobs.

A plain generator: the cleanup of an async op never runs when the run is terminated.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import dagster as dg

from topview_pipeline.defs.dagster_private import event_log_kept_open, tag_run
from topview_pipeline.defs.events import ACCOUNT_TAG, DagsterEvent, Reporter, RunOutcome, write_line
from topview_pipeline.defs.failures import Trouble
from topview_pipeline.defs.instance import check_alone, check_durable
from topview_pipeline.defs.outline import MANIFEST, OCCASION_TAG
from topview_pipeline.engine import (
    Context,
    EngineThread,
    Event,
    Failed,
    Held,
    Made,
    ProductWork,
    RunInfo,
    Warned,
)
from topview_pipeline.engine.gate import ReviewRules
from topview_pipeline.engine.scene_judge import open_judge
from topview_pipeline.ledger import Ledger, Task, TaskState
from topview_pipeline.settings import Gate
from topview_pipeline.stages import STAGES
from topview_pipeline.store import Artifact, StoreError, check_identity
from topview_pipeline.text import counted

if TYPE_CHECKING:
    from topview_pipeline.catalogue import Catalogue, InputFiles
    from topview_pipeline.defs.resources import TopviewResource
    from topview_pipeline.topview.client import TopviewClient

_REPORT_SECONDS: Final = 5.0
STOPPED = "A person stopped the run."
"""Description of the failure that ends a run that `TopviewResource.stop` stopped."""
Wanted = Mapping[str, Sequence[str]]
"""The keys of the stages that are wanted, by product id."""


class Production:
    """The producing of one run. Use it once.

    Args:
        explicit, credit_limit, gate, canary: see `RunInfo`.
        wait_seconds: the least that the run waits for progress, whatever the configuration says.
        result_for: see `Reporter`.
    """

    def __init__(
        self,
        context: dg.OpExecutionContext | dg.AssetExecutionContext,
        topview: TopviewResource,
        *,
        explicit: bool = True,
        wait_seconds: float = 0.0,
        credit_limit: float | None = None,
        gate: Gate | None = None,
        canary: int | None = None,
        result_for: str | None = None,
    ) -> None:
        self._context = context
        self._topview = topview
        wait_seconds = max(topview.config.wait_seconds, wait_seconds)
        self._config = topview.config.model_copy(update={"wait_seconds": wait_seconds})
        run = context.run
        occasion = run.tags.get(OCCASION_TAG)
        root = occasion or run.root_run_id or run.run_id
        self._run = RunInfo(run.run_id, root, explicit, credit_limit, gate, canary, occasion)
        self._result_for = result_for
        self._judge = open_judge(self._config.scene_judge)
        self.outcome = RunOutcome()
        self._ledger: Ledger
        self._reporter: Reporter

    def make(
        self,
        wanted: Wanted,
        catalogue: Catalogue,
        *,
        asked: Sequence[str] = (),
        force: bool = False,
        keep_made: Collection[str] = (),
    ) -> Iterator[DagsterEvent]:
        """Make what is wanted; `outcome` says what came of it.

        Args:
            asked, force, keep_made: see `ProductWork`; the last one is of these products.
        """
        with self._opened():
            missing = {
                name: keys for name, keys in wanted.items() if name not in catalogue.products
            }
            yield from self._not_in_catalogue(missing, catalogue, force=force)
            works = [
                ProductWork(
                    catalogue.products[name],
                    tuple(keys),
                    tuple(asked),
                    force=force,
                    keep_made=name in keep_made,
                )
                for name, keys in wanted.items()
                if name in catalogue.products
            ]
            # Those with a running task first: of thousands the last ones start minutes later.
            running = self._ledger.tasks.in_state((TaskState.PENDING, TaskState.SUCCEEDED))
            first = {row.product_id for row in running}
            works.sort(key=lambda work: work.product.product_id not in first)
            yield from self._produce(works)

    def resume(
        self, orphans: Sequence[Task], retries: Sequence[Task], catalogue: Catalogue | None
    ) -> Iterator[DagsterEvent]:
        """Collect orphans, and try failed tasks again whose products still want them."""
        with self._opened():
            products = {} if catalogue is None else catalogue.products
            works = [
                ProductWork(products[row.product_id], (row.stage,), retry_of=row)
                for row in retries
                if row.product_id in products
            ]
            yield from self._produce(works, tuple(orphans))

    def _show_outcome(self) -> None:
        """Say in the run's tags what it came to, and what was spent where Dagster plots it."""
        spent, today = round(self.outcome.credits, 2), round(self._ledger.budget.today().booked, 2)
        tags = {"topview/result": self.outcome.summary, "topview/credits": f"{spent:.2f}"}
        tag_run(self._context.instance, self._run.run_id, tags)
        limit = self._config.credit_limit
        of = "" if limit is None else f" of {limit:g}"
        self._context.log_event(
            dg.AssetObservation(
                self._topview.outline.key(MANIFEST),
                description=f"This run paid {counted(spent, 'credit')}; "
                f"{round(today, 2):g}{of} today.",
                metadata={"topview/credits_of_run": spent, "topview/credits_today": today},
            )
        )

    @contextlib.contextmanager
    def _opened(self) -> Iterator[None]:
        """Open the ledger, check that all is ready before anything is written; show the outcome."""
        with self._topview.ledger() as ledger:
            check_ready(self._context.instance, ledger, self._topview, run_id=self._run.run_id)
            self._ledger = ledger
            self._reporter = Reporter(
                self._context, self._topview, ledger, result_for=self._result_for
            )
            self.outcome = self._reporter.outcome
            try:
                with event_log_kept_open(self._context.instance, self._run.run_id):
                    yield
            except BaseException:  # a person stopped it, too
                with contextlib.suppress(Exception):  # what ended the run is what it says
                    self._show_outcome()
                raise
            self._show_outcome()

    def _not_in_catalogue(
        self, missing: Wanted, catalogue: Catalogue, *, force: bool
    ) -> Iterator[DagsterEvent]:
        """Products without a usable row: of those that left, the store's results, free."""
        reasons = {problem.product_id: str(problem) for problem in catalogue.problems}
        for name, keys in missing.items():
            for key in keys:
                is_bad = name in reasons or force
                task = None if is_bad else self._ledger.tasks.last_made(name, key)
                if task is not None and self._is_whole(task):
                    made = Made(name, key, task, dict(task.inputs))
                    yield from self._reporter.dagster_events(made)
                    self._notify(made)
                    continue
                what = reasons.get(name, f"it is not in the catalogue {catalogue.source}")
                fix = "fix or add its row in the catalogue, then run it again"
                self.outcome.troubles.append(Trouble(name, key, "failed", what, fix))
                self._notify(Failed(name, key, what, fix))

    def _is_whole(self, task: Task) -> bool:
        artifacts = [Artifact.from_json(one) for one in task.artifacts or ()]
        try:
            return bool(artifacts) and all(map(self._topview.store.has, artifacts))
        except StoreError:
            return False

    def _produce(
        self, works: Sequence[ProductWork], orphans: tuple[Task, ...] = ()
    ) -> Iterator[DagsterEvent]:
        ledger, reporter = self._ledger, self._reporter
        products = {work.product.product_id: work.product for work in works}
        reporter.expect(products, ReviewRules.of(self._config, self._run.gate))
        client = self._topview.client()
        worker = secrets.token_hex(16)
        ledger.workers.start(worker, run_id=self._run.run_id)
        thread = EngineThread(
            client,
            self._context_of(worker, self._topview.files(ledger, may_trust=False)),
            orphans=orphans,
            leave=lambda: ledger.workers.end(worker),
        )
        try:
            with self._topview.producing(thread.stop):
                for work in works:
                    thread.put(work)
                thread.no_more()
                for event in map(self._worded, thread.events()):
                    yield from reporter.dagster_events(event)
                    self._notify(event)
        finally:
            thread.close()
        if self._topview.is_stopping:
            self._topview.stop_reported.wait(_REPORT_SECONDS)
            raise dg.Failure(STOPPED, allow_retries=False)

    def _notify(self, event: object) -> None:
        self._topview.notify(event)
        if self._config.log_format == "json":
            write_line(event, self._run.run_id)

    def _worded(self, event: Event) -> Event:
        """The event, whose texts name settings and commands as this pipeline has them."""
        worded = self._topview.outline.worded
        if isinstance(event, (Failed, Held)):
            return replace(event, what=worded(event.what), fix=worded(event.fix))
        return replace(event, what=worded(event.what)) if isinstance(event, Warned) else event

    def _context_of(self, worker: str, files: InputFiles) -> Callable[[TopviewClient], Context]:
        # The ledger's times are the database's: on another machine that clock may differ.
        ahead = self._ledger.now() - time.time()

        def context_of(client: TopviewClient) -> Context:
            return Context(
                client=client,
                ledger=self._ledger,
                store=self._topview.store,
                files=files,
                run=self._run,
                config=self._config,
                worker=worker,
                submit_seconds=client.timeouts.submit.whole,
                clock=lambda: time.time() + ahead,
                judge=self._judge,
            )

        return context_of


def check_ready(
    instance: dg.DagsterInstance,
    ledger: Ledger,
    topview: TopviewResource,
    *,
    write: bool = True,
    run_id: str | None = None,
) -> None:
    """Check that ledger, store and pipeline know each other; new ones get to know each other.

    Args:
        write: False: what is new stays new. The store must take a file all the same.
        run_id: what is ready for this run in this process is not checked again. The command that
            executes a run, its plan and its producing may each be the first there.
    """
    if run_id is not None and topview.ready_for == run_id:
        return
    check_durable(instance, topview.config)
    ledger.catalogue.check_source(topview.config.catalogue)
    check_alone(instance, topview.outline)
    is_new = check_store(instance, ledger, topview)
    topview.store.check_writable(ledger.account)
    if write and (is_new or not ledger.knows_pipeline()):
        identity = topview.store.identity(create=True)
        if identity is not None:
            ledger.remember_store(identity, who="first run")
    topview.ready_for = run_id


def check_store(instance: dg.DagsterInstance, ledger: Ledger, topview: TopviewResource) -> bool:
    """Check that ledger, store and Dagster belong together; True for a new store. One read.

    Raises StoreError if one of them was lost or replaced.
    """
    store = topview.store
    return check_identity(
        remembered=ledger.store_id(),
        found=store.identity(),
        ledger_is_empty=not ledger.has_tasks(),
        knows_pipeline=ledger.knows_pipeline(),
        has_results=lambda: store.has_results(ledger.account),
        has_materializations=lambda: any(
            _is_of_account(instance, topview.outline.key(stage.key), ledger.account)
            for stage in STAGES
        ),
        store=store.location,
        ledger=ledger.where,
    )


def _is_of_account(instance: dg.DagsterInstance, asset: dg.AssetKey, account: str) -> bool:
    """Dagster's newest materialization of the asset was made with this account."""
    event = instance.get_latest_materialization_event(asset)
    made = None if event is None else event.asset_materialization
    return made is not None and (made.tags or {}).get(ACCOUNT_TAG) == account
