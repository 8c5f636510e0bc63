"""The jobs by which a person decides in Dagster what the commands decide in a terminal.

Each is one op with a few fields, keeps who and why, and spends nothing.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic import Field, ValidationError

from topview_pipeline.defs.failures import plain_errors
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.text import counted

if TYPE_CHECKING:
    from topview_pipeline.ledger import Ledger

REVIEW_SCENES: Final = "review_scenes"


class Who(dg.Config):
    """Who decides, and why."""

    who: str = Field(default="", description="Who decides; kept in the ledger.")
    why: str = Field(default="", description="A reason, kept in the ledger.")


class _ReviewConfig(Who):
    """Decisions about the scenes (or cut-outs) that products have now, by product id."""

    approve: list[str] = Field(default=[], description="Their videos may be made.")
    reject: list[str] = Field(default=[], description="Nothing more is spent on these.")
    choose: dict[str, int] = Field(
        default={}, description="Their videos are made from this one of their scenes, from 1."
    )
    again: list[str] = Field(
        default=[], description="The next run remakes these scenes, and pays again."
    )


def _review(
    _: dg.OpExecutionContext, config: _ReviewConfig, topview: TopviewResource, ledger: "Ledger"
) -> str:
    from topview_pipeline.defs.decisions import Decisions, decide

    chosen = [f"{name}={image}" for name, image in config.choose.items()]
    decisions = Decisions.of(config.approve, config.reject, chosen, config.again)
    decide(topview, ledger, decisions, who=config.who, why=config.why)
    return f"{decisions.summary or 'Nothing was decided'}."


class _ChoiceConfig(Who):
    """Which scene becomes the video of a product."""

    product: str = Field(default="", description="Product id.")
    image: int = Field(default=1, description="Number of its scene, from 1.")


def _choose(
    context: dg.OpExecutionContext,
    config: _ChoiceConfig,
    topview: TopviewResource,
    ledger: "Ledger",
) -> str:
    from topview_pipeline.defs.decisions import after_choice, choose_scene

    catalogue = topview.catalogue()
    choose_scene(ledger, config.product, config.image, who=config.who, why=config.why)
    said = [f"Scene {config.image} of {config.product} is chosen."]
    for one in after_choice(context.instance, topview, catalogue, ledger, config.product):
        cost = "a price not known yet"
        if one.credits is not None:
            cost = f"about {counted(round(one.credits, 2), 'credit')}"
        said.append(f"The next catch_up makes the video ({one.why}), for {cost}.")
    return " ".join(said)


class _AcceptConfig(Who):
    """Who accepts the catalogue, and why; the ledger has no event of it."""

    who: str = Field(default="", description="Who decides; kept in the run's log.")
    why: str = Field(default="", description="A reason, kept in the run's log.")


def _accept(
    context: dg.OpExecutionContext,
    config: _AcceptConfig,
    topview: TopviewResource,
    ledger: "Ledger",
) -> str:
    from topview_pipeline.defs.catalogue_sync import accept_catalogue

    catalogue, outline = topview.catalogue(), topview.outline
    taken = accept_catalogue(context.instance, outline, catalogue, ledger, accept_change=True)
    return (
        f"Accepted by {config.who} ({config.why or 'no reason given'}): "
        f"{len(catalogue.products)} products, {len(taken.new)} new, {len(taken.left)} retired."
    )


class _SettleConfig(Who):
    """The decision about a task whose answer was lost, or that is overdue: one of the two."""

    row: int = Field(
        default=0, description="Number of the task row; the check tasks_unknown lists them."
    )
    adopt: str | None = Field(
        default=None,
        description="Id of the Topview task that it is: its result is collected, not paid again.",
    )
    void: bool = Field(
        default=False,
        description="Give it up: its work may then be sent, and paid, again by the next run.",
    )


def _settle(
    _: dg.OpExecutionContext, config: _SettleConfig, topview: TopviewResource, ledger: "Ledger"
) -> str:
    from topview_pipeline.defs.decisions import adopt_task, void_task

    if (config.adopt is None) is not config.void:
        raise dg.Failure(
            "Give either adopt, a Topview task id, or void: true.", allow_retries=False
        )
    said = {"who": config.who, "why": config.why}
    if config.adopt is None:
        void_task(ledger, config.row, **said)
        return f"Task row {config.row} is void."
    asyncio.run(adopt_task(topview, ledger, config.row, config.adopt, **said))
    return f"Task row {config.row} is Topview task {config.adopt}."


def _adopt(
    _: dg.OpExecutionContext, config: Who, topview: TopviewResource, ledger: "Ledger"
) -> str:
    from topview_pipeline.defs.decisions import adopt_store

    adopt_store(ledger, topview.store, who=config.who, why=config.why)
    return f"The ledger remembers {topview.store.location} ({config.why or 'no reason given'})."


class _PurgeConfig(Who):
    """Which products are forgotten."""

    retired_for_days: int = Field(
        default=180,
        ge=7,
        description="Products that left the catalogue at least this many days ago.",
    )
    media: bool = Field(
        default=False,
        description="Delete their files and tasks too, for good: a product that comes back is "
        "paid for again.",
    )
    dry_run: bool = Field(default=True, description="Only log what would go.")


def _purge(
    context: dg.OpExecutionContext,
    config: _PurgeConfig,
    topview: TopviewResource,
    ledger: "Ledger",
) -> str:
    from topview_pipeline.defs.retirement import forget, forgettable

    days, media = config.retired_for_days, config.media
    going, staying = forgettable(context.instance, topview, ledger, days=days, media=media)
    named = f": {', '.join(going)}" if going else ""
    stay = f" {counted(len(staying), 'product')} stay, with tasks on their way." if staying else ""
    if config.dry_run:
        return f"{counted(len(going), 'product')} would be forgotten{named}.{stay}"
    forget(context.instance, topview, ledger, going, who=config.who, why=config.why)
    return f"{counted(len(going), 'product')} forgotten{named}.{stay}"


@dataclass(frozen=True)
class Decision:
    """A job of one op; `keep` keeps what was decided, and returns what the run logs of it."""

    name: str
    config: type[Who]
    keep: Callable[[dg.OpExecutionContext, Any, TopviewResource, "Ledger"], str]
    description: str


DECISIONS: Final = (
    Decision(
        REVIEW_SCENES,
        _ReviewConfig,
        _review,
        "Keeps your decisions about scenes. Spends nothing: the next catch_up follows them.",
    ),
    Decision(
        "choose_scene",
        _ChoiceConfig,
        _choose,
        "Chooses the scene that becomes a product's video. Spends nothing: the video is "
        "then stale, and the next catch_up remakes it from that scene, and pays for it.",
    ),
    Decision(
        "accept_change",
        _AcceptConfig,
        _accept,
        "Accepts that products are gone from the catalogue as it is now: they are retired, and "
        "keep partition, history and files. Spends nothing. To accept a plan that would remake "
        "much of the catalogue, run catch_up with accept_change instead.",
    ),
    Decision(
        "settle_unknown_task",
        _SettleConfig,
        _settle,
        "Settles a task whose answer was lost (adopt or void), or that is overdue (void). Sends "
        "nothing.",
    ),
    Decision(
        "adopt_store",
        Who,
        _adopt,
        "Makes the ledger keep its results in the store that is configured now: after one of them "
        "was lost or moved. Sends nothing. Tasks in flight when a ledger was lost are unknown to "
        "the new one: their work is sent, and paid, again.",
    ),
    Decision(
        "purge",
        _PurgeConfig,
        _purge,
        "Forgets products that left the catalogue long ago: their partitions and the decisions "
        "about them, with media also their files and tasks. By default it only logs what would go.",
    ),
)


def decision_job(
    topview: TopviewResource, decision: Decision, options: Mapping[str, Any]
) -> dg.JobDefinition:
    """The job of a decision, whose launchpad has just the fields that a person fills in."""
    outline = topview.outline

    @dg.op(
        name=f"{decision.name}_op",
        description=decision.description,
        config_schema=decision.config.to_fields_dict(),
        out=dg.Out(dg.Nothing),
    )
    def keep(context: dg.OpExecutionContext) -> None:
        try:
            config = decision.config(**context.op_config)
        except ValidationError as error:
            said = "; ".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors())
            raise dg.Failure(f"Correct the config: {said}.", allow_retries=False) from None
        if not config.who.strip():
            raise dg.Failure("Say who decides, in the field who.", allow_retries=False)
        with plain_errors(outline), topview.ledger() as ledger:
            context.log.info(decision.keep(context, config, topview, ledger))

    @dg.job(
        name=outline.of(decision.name),
        description=decision.description,
        config={"ops": {"decide": {"config": decision.config().model_dump()}}},
        **options,
    )
    def job() -> None:
        keep.with_replaced_properties(outline.of(keep.name)).alias("decide")()

    return job
