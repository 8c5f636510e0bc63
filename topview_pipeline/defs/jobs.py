"""The jobs, their ops and their configuration.

- `catch_up` brings any list of products up to date: schedule, command line and launchpad use it.
- `resume_tasks` collects submitted tasks and tries failed ones again; the sensor starts it.
- `sync_products` makes products partitions and observes changed inputs.
- `decision_jobs` has those by which a person decides.
- `materialize_products` materializes the assets, for schedules of your own.

The ledger decides about retries of tasks. Dagster's run retries start a run again whose process
died, and nothing else: the tags say so, and `catch_up` continues from its kept plan. The imports
inside the ops keep database and HTTP out of loading the code location.
"""

import time
from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic import Field

from topview_pipeline.defs.assets import CREDIT_LIMIT, check_credit_limit
from topview_pipeline.defs.decision_jobs import DECISIONS, decision_job
from topview_pipeline.defs.failures import failure, mark_failed, plain_errors
from topview_pipeline.defs.io_manager import KeptPlans, planned_elsewhere
from topview_pipeline.defs.outline import OCCASION_TAG, Outline
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.errors import PipelineError
from topview_pipeline.settings import GATES
from topview_pipeline.stages import BY_KEY, STAGES
from topview_pipeline.text import counted

if TYPE_CHECKING:
    from topview_pipeline.catalogue import Catalogue, ChangeNotAccepted, InputFiles
    from topview_pipeline.defs.events import RunOutcome
    from topview_pipeline.ledger import Ledger
    from topview_pipeline.plan import PlannedStage
    from topview_pipeline.settings import Gate

CATCH_UP: Final = "catch_up"
RESUME_TASKS: Final = "resume_tasks"
SYNC_PRODUCTS: Final = "sync_products"
MATERIALIZE_PRODUCTS: Final = "materialize_products"
_LEAST_WAIT_SECONDS: Final = 1800.0
"""With TOPVIEW_WAIT_SECONDS=0 it is the resuming runs that wait for the tasks."""
_NOTHING: Final = {"tasks": 0.0, "credits": 0.0, "seconds": 0.0}

StageKey = Enum("StageKey", {stage.key: stage.key for stage in STAGES}, type=str)  # type: ignore[misc]
"""The assets that are made, by their keys: the launchpad offers just these."""
GateName = Enum("GateName", {name: name for name in GATES}, type=str)  # type: ignore[misc]


class CatchUpConfig(dg.Config):
    """Products and stages to catch up; by default all of the catalogue, and all stages."""

    products: list[str] = Field(
        default=[], description="Product ids; none means the whole catalogue."
    )
    stages: list[StageKey] = Field(
        default=[], description=f"Make only these of {', '.join(BY_KEY)}; none means all."
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        description="Stop after this many products that need work, in the catalogue's order. None: "
        "as many as TOPVIEW_RUN_SIZE says; a forced run takes all.",
    )
    force: bool = Field(
        default=False,
        description="Remake results that exist; Topview charges again. Name the products, or set "
        "everything.",
    )
    everything: bool = Field(
        default=False,
        description="With force and no products: remake, and pay for, the whole catalogue.",
    )
    credit_limit: float | None = CREDIT_LIMIT
    accept_change: bool = Field(
        default=False,
        description="Accept that many products are gone from the catalogue, or that this run "
        "remakes much of it.",
    )
    gate: GateName | None = Field(
        default=None,
        description="What waits for a person before a video is paid. off: nothing. quality: "
        "what failed its check. approve: every scene. Unset: the row's gate or the pipeline's.",
    )
    canary: int | None = Field(
        default=None,
        ge=0,
        description="This many products of each template or avatar, location or prompt, and mode "
        "go first; the others wait until these have passed. 0: all go. Unset: the pipeline's.",
    )

    def contradiction(self) -> str | None:
        """Why this cannot be meant, and what to write instead; None when it can."""
        if self.everything and self.products:
            return "everything goes without products. Leave one of them out."
        if self.force and not (self.products or self.everything):
            return (
                "force without products would pay for the whole catalogue again. Name the "
                "products, or add everything: true."
            )
        return None

    @property
    def gate_name(self) -> "Gate | None":
        return None if self.gate is None else self.gate.value

    @property
    def is_guarded(self) -> bool:
        """A large change waits until a run accepts it."""
        return not (self.products or self.force or self.accept_change)


def catch_up_config(**values: object) -> dict[str, object]:
    """The run config of `catch_up`; `values` are fields of `CatchUpConfig`."""
    return {"ops": {"plan_catch_up": {"config": values}}}


@dg.op(
    description="Reads the catalogue, makes its products partitions and plans: what is missing, "
    "changed, pending or due, with reasons and credits. Spends nothing and does not call Topview.",
    out=dg.Out(dict, io_manager_key="topview_plans", description="What is to be made, and how."),
)
def plan_catch_up(
    context: dg.OpExecutionContext,
    config: CatchUpConfig,
    topview: dg.ResourceParam[TopviewResource],
) -> dict[str, Any]:
    from topview_pipeline.defs import catalogue_sync
    from topview_pipeline.defs.events import Planned
    from topview_pipeline.defs.metadata import forecast_metadata, plan_table
    from topview_pipeline.defs.run import check_ready
    from topview_pipeline.plan import forecast_plan

    contradiction = config.contradiction()
    if contradiction is not None:
        raise dg.Failure(f"the run's config: {contradiction}", allow_retries=False)
    with plain_errors(topview.outline), topview.ledger() as ledger:
        check_credit_limit(config.credit_limit)
        # Before the plan is written into a store that is only a mount point.
        check_ready(context.instance, ledger, topview, run_id=context.run.run_id)
        catalogue = topview.catalogue(run_id=context.run.run_id)
        counts = catalogue_sync.log_problems(context.log, catalogue)
        catalogue_sync.accept_catalogue(
            context.instance,
            topview.outline,
            catalogue,
            ledger,
            accept_change=config.accept_change,
            named=config.products,
        )
        occasion = context.run.tags.get(OCCASION_TAG, "")
        planned, left, refusal = plan_run(
            context.instance, topview, ledger, catalogue, config, occasion=occasion
        )
        if refusal is not None:
            raise refusal
        coming = forecast_plan(topview.config, planned, ledger)
    context.add_output_metadata(
        {
            "topview/plan": plan_table(planned),
            **forecast_metadata(coming),
            "topview/products_left": left,
            **counts,
        }
    )
    wanted: dict[str, list[str]] = {}
    for one in planned:
        wanted.setdefault(one.product_id, []).append(one.stage)
    prints = {(one.product_id, one.stage): one.fingerprint for one in planned if one.fingerprint}
    topview.notify(Planned(wanted, coming, prints, left))
    return {
        "wanted": list(wanted.items()),  # JSON keeps the order of a list
        "asked": [stage.value for stage in config.stages] or list(BY_KEY),
        "force": config.force,
        "keep_made": sorted({one.product_id for one in planned if not one.is_read})
        if config.is_guarded
        else [],
        "left": left,
        "credit_limit": config.credit_limit,
        "gate": config.gate_name,
        "canary": config.canary,
        "planned": {
            "tasks": coming.tasks,
            "credits": coming.credits,
            "seconds": round(coming.seconds, 1),
        },
    }


def plan_run(
    instance: dg.DagsterInstance,
    topview: TopviewResource,
    ledger: "Ledger",
    catalogue: "Catalogue",
    config: CatchUpConfig,
    *,
    files: "InputFiles | None" = None,
    patience: float | None = None,
    occasion: str = "",
    failing: Collection[str] = (),
) -> "tuple[list[PlannedStage], int, ChangeNotAccepted | None]":
    """Plan a catch-up run of an accepted catalogue; `plan_catalogue` explains the options.

    Returns the plan, how many products it leaves to the next run, and why it may not be carried
    out.
    """
    from topview_pipeline.catalogue import ChangeNotAccepted, check_made_again
    from topview_pipeline.defs.data_versions import materialized_versions
    from topview_pipeline.plan import ASKED_AGAIN, PATIENCE_SECONDS, first_products, plan_catalogue

    materialized = materialized_versions(instance, topview.outline, catalogue.products)
    planned = plan_catalogue(
        topview.config,
        catalogue,
        ledger,
        files or topview.files(ledger),
        materialized,
        products=config.products,
        wanted=[stage.value for stage in config.stages],
        force=config.force,
        gate=config.gate_name,
        canary=config.canary,
        patience=PATIENCE_SECONDS if patience is None else patience,
        occasion=occasion,
        failing=failing,
    )
    wanted = first_products(planned, config.limit)
    # A second forced run would pay for the first products again, and never come to the rest.
    size = None if config.limit or config.force else topview.config.run_size
    free = wanted
    if occasion and size is not None:  # two runs with the same products are no faster than one
        others = planned_elsewhere(topview, ledger)
        free = [one for one in wanted if one.product_id not in others]
    of_run = first_products(free, size)
    left = len({one.product_id for one in free[len(of_run) :] if one.moves})
    if config.is_guarded:
        # A person who asked to remake them has named them.
        named = {one.product_id for one in planned if one.reason == ASKED_AGAIN}
        try:
            check_made_again(
                len({product for product, _ in materialized}),
                {one.product_id for one in wanted if one.again} - named,
                where=catalogue.source,
            )
        except ChangeNotAccepted as error:
            return of_run, left, error
    return of_run, left, None


@dg.op(
    description="Submits, polls and stores what was planned, each product on its own. Ends with a "
    "table of what failed or is held.",
    ins={"plan": dg.In(dict, input_manager_key="topview_plans")},
    out=dg.Out(dg.Nothing),
)
def produce(
    context: dg.OpExecutionContext, plan: dict[str, Any], topview: dg.ResourceParam[TopviewResource]
) -> Iterator[Any]:
    from topview_pipeline.defs.run import Production

    if not plan["wanted"]:
        context.log.info("Nothing is left to do for this run.")
        yield dg.Output(None, metadata=planned_and_actual(plan["planned"], _NOTHING))
        return
    began = time.monotonic()
    with plain_errors(topview.outline):
        production = Production(
            context,
            topview,
            credit_limit=plan["credit_limit"],
            gate=plan["gate"],
            canary=plan["canary"],
        )
        catalogue = topview.catalogue(run_id=context.run.run_id)
        yield from production.make(
            dict(plan["wanted"]),
            catalogue,
            asked=plan["asked"],
            force=plan["force"],
            keep_made=plan["keep_made"],
        )
    outcome = production.outcome
    context.log.info(
        f"{outcome.summary}, {counted(round(outcome.credits, 2), 'credit')}. "
        f"{counted(plan['left'], 'product')} left for the next run."
    )
    actual = {"tasks": outcome.made - outcome.reused, "credits": outcome.credits}
    against = planned_and_actual(plan["planned"], actual | {"seconds": time.monotonic() - began})
    yield _end(context, topview.outline, outcome, against)


def _end(
    context: dg.OpExecutionContext,
    outline: Outline,
    outcome: "RunOutcome",
    metadata: Mapping[str, Any],
) -> dg.Output[None]:
    """The output of a producing op; fails it when anything was not made."""
    if outcome.troubles:
        mark_failed(context, outline, outcome.troubles)
        raise failure(outcome.troubles, outline=outline, made=outcome.made, metadata=metadata)
    return dg.Output(None, metadata=metadata)


def planned_and_actual(
    planned: Mapping[str, float], actual: Mapping[str, float]
) -> dict[str, dg.MetadataValue[Any]]:
    """New tasks, credits and seconds: as planned, and as they came."""
    return {
        f"topview/{name}_{what}": dg.MetadataValue.float(round(float(values[name]), 2))
        for name in _NOTHING
        for what, values in (("planned", planned), ("actual", actual))
    }


@dg.op(
    description="Collects every submitted task that no run works on, and tries failed ones "
    "again that are due. It begins nothing new.",
    out=dg.Out(dg.Nothing),
)
def resume(
    context: dg.OpExecutionContext, topview: dg.ResourceParam[TopviewResource]
) -> Iterator[Any]:
    from topview_pipeline.defs.run import Production

    outline, catalogue = topview.outline, None
    with plain_errors(outline):
        with topview.ledger() as ledger:
            orphans, retries = ledger.orphans.all(), ledger.orphans.retries_due()
            retries = [row for row in retries if row.stage in BY_KEY]
        try:
            catalogue = topview.catalogue() if retries else None
        except PipelineError as error:  # what is paid for is fetched all the same
            why = outline.worded(str(error))
            context.log.warning(
                f"Failed tasks are not retried, submitted ones are collected: {why}"
            )
        production = Production(context, topview, explicit=False, wait_seconds=_LEAST_WAIT_SECONDS)
        yield from production.resume(orphans, retries, catalogue)
    yield _end(context, outline, production.outcome, {})


@dg.op(
    description="Makes the catalogue's new products partitions, observes what changed of the "
    "sources of products already made, and retires products that left: they stay partitions with "
    "their history, and are no longer made. Spends nothing and needs no key.",
    out=dg.Out(dg.Nothing),
)
def sync_with_catalogue(
    context: dg.OpExecutionContext, topview: dg.ResourceParam[TopviewResource]
) -> Iterator[Any]:
    from topview_pipeline.defs import catalogue_sync

    with plain_errors(topview.outline):
        catalogue = topview.catalogue()
        counts = catalogue_sync.log_problems(context.log, catalogue)
        with catalogue_sync.ledger_or_none(topview) as ledger:
            if ledger is not None:
                ledger.catalogue.check_source(topview.config.catalogue)
            new, left = catalogue_sync.accept_catalogue(
                context.instance, topview.outline, catalogue, ledger
            )
            looked = catalogue_sync.changed_inputs(context.instance, topview, catalogue, ledger)
        catalogue_sync.log_unreadable(context.log, looked.unreadable)
        yield from looked.observations(context.instance, topview, catalogue)
    yield dg.Output(
        None,
        metadata={
            "topview/products": len(catalogue.products),
            "topview/new_products": len(new),
            "topview/products_that_left": len(left),
            "topview/observed_changes": len(looked.changed),
            **counts,
        },
    )


def jobs(topview: TopviewResource, assets: dg.AssetSelection) -> list[Any]:
    """The pipeline's jobs; `assets` are those that are made."""
    outline = topview.outline
    own = outline.own
    options: dict[str, Any] = {"executor_def": dg.in_process_executor, "tags": outline.tags}
    # In a full queue results that are paid for go before new work.
    first = options | {"tags": outline.tags | {"dagster/priority": "1"}}
    resources = {"topview": topview, "topview_plans": KeptPlans(topview)}

    @dg.job(
        name=outline.of(CATCH_UP),
        description="Brings products of the catalogue up to date, any list of them: plans what is "
        "missing, changed, pending or due, then makes just that. Running it again is free for what "
        "exists.\n\nThe defaults make all that is missing or changed. To see a plan and spend "
        "nothing, launch only the op plan_catch_up.",
        resource_defs=resources,
        config=catch_up_config(
            products=[], stages=[], limit=None, credit_limit=None, force=False, accept_change=False
        ),
        **options,
    )
    def catch_up() -> None:
        own(produce)(own(plan_catch_up)())

    @dg.job(
        name=outline.of(RESUME_TASKS),
        description="Finishes what was begun: collects submitted tasks, and tries failed ones "
        "again that are due. The pending_task_sensor starts it.",
        resource_defs=resources,
        **first,
    )
    def resume_tasks() -> None:
        own(resume)()

    @dg.job(
        name=outline.of(SYNC_PRODUCTS),
        description="Reads the catalogue: new products become partitions, changed inputs are "
        "observed, so that the UI shows what is missing and what is stale. Spends nothing and "
        "needs no account.",
        resource_defs=resources,
        **options,
    )
    def sync_products() -> None:
        own(sync_with_catalogue)()

    materialize_products = dg.define_asset_job(
        name=outline.of(MATERIALIZE_PRODUCTS),
        selection=assets,
        description="Materializes all assets of one product, or of a range of products in one run."
        "\n\nIts page Partitions, with *Show per-asset status*, is the matrix of products and "
        "stages.",
        config={"ops": {outline.of("product_videos"): {"config": {"credit_limit": None}}}},
        **options,
    )
    decided = [decision_job(topview, name, one, options) for name, one in DECISIONS.items()]
    return [catch_up, resume_tasks, materialize_products, sync_products, *decided]
