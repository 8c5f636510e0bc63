"""The jobs by which a person decides in Dagster what the commands decide in a terminal.

Each is one op with a few fields, keeps who and why in the ledger, and spends nothing.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import dagster as dg
from pydantic import Field

from topview_pipeline.defs.failures import plain_errors
from topview_pipeline.defs.resources import TopviewResource

REVIEW_SCENES: Final = "review_scenes"
CHOOSE_SCENE: Final = "choose_scene"
ACCEPT_CHANGE: Final = "accept_change"
SETTLE_UNKNOWN_TASK: Final = "settle_unknown_task"
ADOPT_STORE: Final = "adopt_store"

_WHO: Any = Field(description="Who decides; kept in the ledger.")
_WHY: Any = Field(default="", description="A reason, kept in the ledger.")
Topview = dg.ResourceParam[TopviewResource]


def _check_person(who: str) -> None:
    """Refuse a decision of nobody."""
    if not who.strip():
        raise dg.Failure("Say who decides, in the field who.", allow_retries=False)


class ReviewConfig(dg.Config):
    """Decisions about the scenes (or cut-outs) that products have now, by product id."""

    approve: list[str] = Field(default=[], description="These go on.")
    reject: list[str] = Field(default=[], description="Nothing more is spent on these.")
    choose: dict[str, int] = Field(
        default={}, description="These go on with this image of their scene, from 1."
    )
    again: list[str] = Field(
        default=[], description="The next run makes, and pays, these scenes again."
    )
    who: str = _WHO
    why: str = _WHY


@dg.op(
    description="Keeps a person's decisions about scenes. Spends nothing: the next catch_up goes "
    "on with what was decided.",
    out=dg.Out(dg.Nothing),
)
def keep_reviews(context: dg.OpExecutionContext, config: ReviewConfig, topview: Topview) -> None:
    """Decide about many products at once."""
    from topview_pipeline.defs.decisions import Decisions, decide

    _check_person(config.who)
    with plain_errors(topview.outline), topview.ledger() as ledger:
        chosen = [f"{name}={image}" for name, image in config.choose.items()]
        decisions = Decisions.of(config.approve, config.reject, chosen, config.again)
        decide(topview, ledger, decisions, who=config.who, why=config.why)
    context.log.info(f"{decisions.summary or 'Nothing was decided'}.")


class ChoiceConfig(dg.Config):
    """Which scene becomes the video of a product."""

    product: str = Field(description="Product id.")
    image: int = Field(description="Number of the image of its scene, from 1.")
    who: str = _WHO
    why: str = _WHY


@dg.op(
    description="Chooses the scene that becomes a product's video. Spends nothing: the video is "
    "stale from then on, and the next catch_up makes, and pays, it from that scene.",
    out=dg.Out(dg.Nothing),
)
def keep_choice(context: dg.OpExecutionContext, config: ChoiceConfig, topview: Topview) -> None:
    """Choose a scene, and say what the next run makes of it."""
    from topview_pipeline.defs.decisions import after_choice, choose_scene

    _check_person(config.who)
    with plain_errors(topview.outline), topview.ledger() as ledger:
        catalogue = topview.catalogue()
        choose_scene(ledger, config.product, config.image, who=config.who, why=config.why)
        context.log.info(f"Scene {config.image} of {config.product} is chosen.")
        planned = after_choice(context.instance, topview, catalogue, ledger, config.product)
    for one in planned:
        cost = "a price not known yet" if one.credits is None else f"about {one.credits:g} credits"
        context.log.info(f"The next catch_up makes {one.stage} ({one.why}), for {cost}.")


class WhoConfig(dg.Config):
    """Who decides, and why."""

    who: str = _WHO
    why: str = _WHY


@dg.op(
    description="Accepts that products are gone from the catalogue as it is now: they are retired, "
    "and keep partition, history and files. Spends nothing. A plan that would make much of the "
    "catalogue again is accepted by catch_up with accept_change instead.",
    out=dg.Out(dg.Nothing),
)
def accept_catalogue_change(
    context: dg.OpExecutionContext, config: WhoConfig, topview: Topview
) -> None:
    """Accept a catalogue that is on hold."""
    from topview_pipeline.defs.catalogue_sync import accept_catalogue

    _check_person(config.who)
    with plain_errors(topview.outline), topview.ledger() as ledger:
        catalogue = topview.catalogue()
        taken = accept_catalogue(
            context.instance, topview.outline, catalogue, ledger, accept_change=True
        )
    context.log.info(
        f"Accepted by {config.who} ({config.why or 'no reason given'}): "
        f"{len(catalogue.products)} products, {len(taken.new)} new, {len(taken.left)} retired."
    )


class SettleConfig(dg.Config):
    """The decision about a task whose answer was lost, or that is overdue: one of the two."""

    row: int = Field(description="Number of the task row; the check tasks_unknown lists them.")
    adopt: str | None = Field(
        default=None,
        description="Id of the Topview task that it is: its result is collected, not paid again.",
    )
    void: bool = Field(
        default=False,
        description="Give it up: its work may then be sent, and paid, again by the next run.",
    )
    who: str = _WHO
    why: str = Field(description="The reason, kept in the ledger.")


@dg.op(
    description="Settles a task whose answer was lost (adopt or void), or that is overdue (void). "
    "Nothing is sent by it.",
    out=dg.Out(dg.Nothing),
)
def settle(context: dg.OpExecutionContext, config: SettleConfig, topview: Topview) -> None:
    """Adopt a task of Topview for a row, or give the row up."""
    from topview_pipeline.defs.decisions import adopt_task, void_task

    _check_person(config.who)
    if (config.adopt is None) is not config.void:
        raise dg.Failure(
            "Give either adopt, a Topview task id, or void: true.", allow_retries=False
        )
    with plain_errors(topview.outline), topview.ledger() as ledger:
        if config.adopt is None:
            void_task(ledger, config.row, who=config.who, why=config.why)
        else:
            adopting = adopt_task(
                topview, ledger, config.row, config.adopt, who=config.who, why=config.why
            )
            asyncio.run(adopting)
    done = "void" if config.adopt is None else f"Topview task {config.adopt}"
    context.log.info(f"Task row {config.row} is {done}.")


@dg.op(
    description="Makes the ledger keep its results in the store that is configured now: after one "
    "of them was lost or moved. Sends nothing. Tasks in flight when a ledger was lost are unknown "
    "to the new one: their work is sent, and paid, again.",
    out=dg.Out(dg.Nothing),
)
def remember_store(context: dg.OpExecutionContext, config: WhoConfig, topview: Topview) -> None:
    """Let ledger and store know each other again."""
    from topview_pipeline.defs.decisions import adopt_store

    _check_person(config.who)
    with plain_errors(topview.outline), topview.ledger() as ledger:
        adopt_store(ledger, topview.store, who=config.who)
    context.log.info(f"The ledger remembers {topview.store.location} ({config.why}).")


def decision_jobs(topview: TopviewResource, options: Mapping[str, Any]) -> list[dg.JobDefinition]:
    """The jobs, whose launchpads have just the fields that a person fills in."""
    who = {"who": "", "why": ""}
    choice = {"product": "", "image": 1, **who}
    review: dict[str, Any] = {"approve": [], "reject": [], "choose": {}, "again": [], **who}
    settling = {"row": 0, "adopt": None, "void": False, **who}
    kinds: dict[str, tuple[dg.OpDefinition, dict[str, Any]]] = {
        REVIEW_SCENES: (keep_reviews, review),
        CHOOSE_SCENE: (keep_choice, choice),
        ACCEPT_CHANGE: (accept_catalogue_change, who),
        SETTLE_UNKNOWN_TASK: (settle, settling),
        ADOPT_STORE: (remember_store, who),
    }
    return [_job(topview, name, *kind, options) for name, kind in kinds.items()]


def _job(
    topview: TopviewResource,
    name: str,
    op: dg.OpDefinition,
    values: dict[str, Any],
    options: Mapping[str, Any],
) -> dg.JobDefinition:
    @dg.job(
        name=topview.outline.of(name),
        description=op.description,
        config={"ops": {op.name: {"config": values}}},
        resource_defs={"topview": topview},
        **options,
    )
    def decision() -> None:
        topview.outline.own(op)()

    return decision
