"""The jobs by which a person decides in Dagster what the commands decide in a terminal.

Each is one op with a few fields, keeps who and why, and spends nothing.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic import Field, ValidationError

from topview_pipeline.defs.failures import plain_errors
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.text import counted

if TYPE_CHECKING:
    from topview_pipeline.ledger import Ledger

REVIEW_SCENES: Final = "review_scenes"


class Decision(dg.Config):
    """A job's fields, and what it does; the docstring of each is the job's description."""

    who: str = Field(default="", description="Who decides; kept in the ledger.")
    why: str = Field(default="", description="A reason, kept in the ledger.")

    def keep(
        self, context: dg.OpExecutionContext, topview: TopviewResource, ledger: "Ledger"
    ) -> str:
        """Keep the decision; returns what the run logs of it."""
        raise NotImplementedError


class ReviewScenes(Decision):
    """Keeps your decisions about scenes. Spends nothing: the next catch_up follows them."""

    approve: list[str] = Field(default=[], description="Their videos may be made.")
    reject: list[str] = Field(default=[], description="Nothing more is spent on these.")
    choose: dict[str, int] = Field(
        default={}, description="Their videos are made from this one of their scenes, from 1."
    )
    again: list[str] = Field(
        default=[], description="The next run remakes these scenes, and pays again."
    )

    def keep(self, _: dg.OpExecutionContext, topview: TopviewResource, ledger: "Ledger") -> str:
        from topview_pipeline.defs.decisions import Decisions, decide

        chosen = [f"{name}={image}" for name, image in self.choose.items()]
        decisions = Decisions.of(self.approve, self.reject, chosen, self.again)
        decide(topview, ledger, decisions, who=self.who, why=self.why)
        return f"{decisions.summary or 'Nothing was decided'}."


class ChooseScene(Decision):
    """Chooses the scene that becomes a product's video. Spends nothing: the video is then stale,
    and the next catch_up remakes it from that scene, and pays for it.
    """

    product: str = Field(default="", description="Product id.")
    image: int = Field(default=1, description="Number of its scene, from 1.")

    def keep(
        self, context: dg.OpExecutionContext, topview: TopviewResource, ledger: "Ledger"
    ) -> str:
        from topview_pipeline.defs.decisions import after_choice, choose_scene

        catalogue = topview.catalogue()
        choose_scene(ledger, self.product, self.image, who=self.who, why=self.why)
        said = [f"Scene {self.image} of {self.product} is chosen."]
        for one in after_choice(context.instance, topview, catalogue, ledger, self.product):
            cost = "a price not known yet"
            if one.credits is not None:
                cost = f"about {counted(round(one.credits, 2), 'credit')}"
            said.append(f"The next catch_up makes the video ({one.why}), for {cost}.")
        return " ".join(said)


class AcceptChange(Decision):
    """Accepts that products are gone from the catalogue as it is now: they are retired, and keep
    partition, history and files. Spends nothing. To accept a plan that would remake much of the
    catalogue, run catch_up with accept_change instead.
    """

    who: str = Field(default="", description="Who decides; kept in the run's log.")
    why: str = Field(default="", description="A reason, kept in the run's log.")

    def keep(
        self, context: dg.OpExecutionContext, topview: TopviewResource, ledger: "Ledger"
    ) -> str:
        from topview_pipeline.defs.catalogue_sync import accept_catalogue

        catalogue, outline = topview.catalogue(), topview.outline
        new, left = accept_catalogue(
            context.instance, outline, catalogue, ledger, accept_change=True
        )
        return (
            f"Accepted by {self.who} ({self.why or 'no reason given'}): "
            f"{len(catalogue.products)} products, {len(new)} new, {len(left)} retired."
        )


class SettleUnknownTask(Decision):
    """Settles a task whose answer was lost (adopt or void), or that is overdue (void). Sends
    nothing.
    """

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

    def keep(self, _: dg.OpExecutionContext, topview: TopviewResource, ledger: "Ledger") -> str:
        from topview_pipeline.defs.decisions import adopt_task, row_in
        from topview_pipeline.ledger import TaskState

        if (self.adopt is None) is not self.void:
            raise dg.Failure(
                "Give either adopt, a Topview task id, or void: true.", allow_retries=False
            )
        if self.adopt is None:
            row_in(ledger, self.row, TaskState.UNKNOWN, TaskState.OVERDUE)
            ledger.tasks.void(self.row, who=self.who, why=self.why)
            return f"Task row {self.row} is void."
        asyncio.run(adopt_task(topview, ledger, self.row, self.adopt, who=self.who, why=self.why))
        return f"Task row {self.row} is Topview task {self.adopt}."


class AdoptStore(Decision):
    """Makes the ledger keep its results in the store that is configured now: after one of them was
    lost or moved. Sends nothing. Tasks in flight when a ledger was lost are unknown to the new one:
    their work is sent, and paid, again.
    """

    def keep(self, _: dg.OpExecutionContext, topview: TopviewResource, ledger: "Ledger") -> str:
        from topview_pipeline.defs.decisions import adopt_store

        adopt_store(ledger, topview.store, who=self.who, why=self.why)
        why = self.why or "no reason given"
        return f"The ledger remembers {topview.store.location} ({why})."


class Purge(Decision):
    """Forgets products that left the catalogue long ago: their partitions and the decisions about
    them, with media also their files and tasks. By default it only logs what would go.
    """

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

    def keep(
        self, context: dg.OpExecutionContext, topview: TopviewResource, ledger: "Ledger"
    ) -> str:
        from topview_pipeline.defs.catalogue_sync import forget, forgettable

        going, staying = forgettable(
            context.instance, topview, ledger, days=self.retired_for_days, media=self.media
        )
        named = f": {', '.join(going)}" if going else ""
        stay = ""
        if staying:
            stay = f" {counted(len(staying), 'product')} stay, with tasks on their way."
        if self.dry_run:
            return f"{counted(len(going), 'product')} would be forgotten{named}.{stay}"
        forget(context.instance, topview, ledger, going, who=self.who, why=self.why)
        return f"{counted(len(going), 'product')} forgotten{named}.{stay}"


DECISIONS: Final[Mapping[str, type[Decision]]] = {
    REVIEW_SCENES: ReviewScenes,
    "choose_scene": ChooseScene,
    "accept_change": AcceptChange,
    "settle_unknown_task": SettleUnknownTask,
    "adopt_store": AdoptStore,
    "purge": Purge,
}
"""By the name of its job."""


def decision_job(
    topview: TopviewResource, name: str, decision: type[Decision], options: Mapping[str, Any]
) -> dg.JobDefinition:
    """The job of a decision, whose launchpad has just the fields that a person fills in."""
    outline, description = topview.outline, " ".join(str(decision.__doc__).split())

    @dg.op(
        name=outline.of(f"{name}_op"),
        description=description,
        config_schema=decision.to_fields_dict(),
        out=dg.Out(dg.Nothing),
    )
    def keep(context: dg.OpExecutionContext) -> None:
        try:
            decided = decision(**context.op_config)
        except ValidationError as error:
            said = "; ".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors())
            raise dg.Failure(f"Correct the config: {said}.", allow_retries=False) from None
        if not decided.who.strip():
            raise dg.Failure("Say who decides, in the field who.", allow_retries=False)
        with plain_errors(outline), topview.ledger() as ledger:
            context.log.info(decided.keep(context, topview, ledger))

    @dg.job(
        name=outline.of(name),
        description=description,
        config={"ops": {"decide": {"config": decision().model_dump()}}},
        **options,
    )
    def job() -> None:
        keep.alias("decide")()

    return job
