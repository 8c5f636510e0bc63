"""`topview-pipeline plan`: what `run` would do with the same options, without the spending.

It asks Topview for the account and the ids that products name, which is free. Without a key, or
a judge that can be opened, it shows the plan all the same, and ends as a run that cannot start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import click
from dagster import DagsterInstance
from rich.console import Console

from topview_pipeline.catalogue import Catalogue, InputFiles
from topview_pipeline.cli.console import (
    NOTHING_COULD_START,
    SOME_FAILED,
    SOME_PENDING,
    say,
    say_json,
    say_rows,
    sign,
)
from topview_pipeline.cli.environment import (
    READING_FILES,
    call_topview,
    open_instance,
    pipeline,
    say_problems,
    usable_catalogue,
)
from topview_pipeline.cli.options import json_option
from topview_pipeline.cli.progress import (
    Refused,
    balance,
    cost_of,
    left_over,
    refused_scenes,
    say_refused,
)
from topview_pipeline.cli.run import run
from topview_pipeline.defs.catalogue_sync import check_losses
from topview_pipeline.defs.jobs import CatchUpConfig, StageKey, plan_run
from topview_pipeline.defs.resources import TopviewResource
from topview_pipeline.defs.run import check_ready
from topview_pipeline.engine.context import Estimator
from topview_pipeline.engine.scene_judge import open_judge
from topview_pipeline.errors import PipelineError
from topview_pipeline.ledger import Ledger
from topview_pipeline.ledger.health import trouble_of
from topview_pipeline.plan import (
    Forecast,
    PlannedStage,
    StageForecast,
    collector_at_rest,
    forecast_plan,
)
from topview_pipeline.plan.trial import Limits, Proved, as_proved, prove, within_limits
from topview_pipeline.setting_types import SettingsError
from topview_pipeline.stages import ProofLists, stages_named
from topview_pipeline.text import counted, in_common, in_few_lines, one_line
from topview_pipeline.topview.client import TopviewClient

_SHOWN: Final = 20
_PATIENCE_SECONDS: Final = 25.0
"""Longer than a server may be silent: what a run fails with is said, where a run does not wait."""
_PROOF_SECONDS: Final = 60.0
_OF_RUN: Final = (
    *("products", "stages", "limit", "force", "credit_limit", "gate", "canary"),
    *("accept_change", "quiet"),
)
_NO_KEY: Final = (
    "TOPVIEW_API_KEY is not set: the account, and the ids of voices and captions, were not checked."
)


@dataclass(frozen=True)
class Plan:
    """A plan that met the proofs and the limits of a run.

    Attributes:
        notes: what was not proved, in sentences.
        credits_left: of the account; None when Topview did not say.
        left: products for the next run.
        refused: what was paid for refused scenes before.
    """

    planned: Sequence[PlannedStage]
    coming: Forecast
    notes: Sequence[str] = ()
    credits_left: float | None = None
    left: int = 0
    refused: Sequence[Refused] = ()

    @property
    def troubles(self) -> list[PlannedStage]:
        """The first of each product: its later stages wait for that one."""
        found: dict[str, PlannedStage] = {}
        for one in self.planned:
            if not one.moves:
                found.setdefault(one.product_id, one)
        return list(found.values())

    def exit_code(self, *, bad_rows: bool) -> int:
        """That of a run: 1 some would fail, else 3 some would be held or could not be looked at."""
        outcomes = {one.outcome for one in self.planned}
        if bad_rows or "failed" in outcomes:
            return SOME_FAILED
        is_open = "held" in outcomes or not all(one.is_read for one in self.planned)
        is_open = is_open or self.left > 0 or self.coming.lasts(self.credits_left) is not None
        return SOME_PENDING if is_open else 0


@click.command(params=[option for option in run.params if option.name in _OF_RUN])
@click.option("--all", "show_all", is_flag=True, help="Show every row, not the first ones.")
@json_option
@click.pass_context
@collector_at_rest()
def plan(
    context: click.Context,
    /,
    products: tuple[str, ...],
    stages: tuple[str, ...],
    show_all: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Show what `run` would do with the same options. Nothing is sent, nothing is paid.

    Exit codes: 0 all would be made, 1 some would fail (bad catalogue rows included), 2 a run could
    not start, 3 some would be held, or could not be checked.
    """
    console = Console(quiet=as_json)
    if quiet:
        sign.end()
    stages_named(stages)
    config = CatchUpConfig(
        products=list(products),
        stages=[StageKey(stage) for stage in stages],
        everything=options["force"] and not products,
        **options,
    )
    topview = pipeline()
    catalogue = usable_catalogue(topview, products)
    credits_left = None
    if topview.config.api_key is not None:
        account = call_topview(topview, lambda client: client.check_account())
        credits_left = account.remain_credit
    with open_instance() as instance, topview.ledger() as ledger:
        check_ready(instance, ledger, topview, write=False)
        problems = say_problems(console, catalogue, products)
        if not products:
            check_losses(ledger, catalogue, accept_change=config.accept_change)
        found, not_accepted = _tried(instance, topview, ledger, catalogue, config)
    found = replace(found, credits_left=credits_left)
    refusal: PipelineError | None = not_accepted
    try:
        topview.config.require_account()
        open_judge(topview.config.scene_judge)
    except SettingsError as error:
        refusal = error
    code = found.exit_code(bad_rows=bool(problems))
    if as_json:
        ends_with = code if refusal is None else NOTHING_COULD_START
        document = _document(found) | {"bad_rows": [asdict(one) for one in problems]}
        notes = [*catalogue.warnings, *found.notes]
        say_json(document | {"notes": notes, "exit_code": ends_with})
    else:
        say_plan(console, found, show_all=show_all, quiet=quiet)
    if refusal is not None:
        raise refusal
    context.exit(code)


def _tried(
    instance: DagsterInstance,
    topview: TopviewResource,
    ledger: Ledger,
    catalogue: Catalogue,
    config: CatchUpConfig,
) -> tuple[Plan, PipelineError | None]:
    """The plan once it has met what a run meets, and why a run may not carry it out."""
    settings, files = topview.config, topview.files(ledger)
    sign.now(READING_FILES)
    canary = settings.canary if config.canary is None else config.canary
    failing: set[str] = set()
    while True:
        planned, left, not_accepted = plan_run(
            instance,
            topview,
            ledger,
            catalogue,
            config,
            files=files,
            patience=_PATIENCE_SECONDS,
            failing=failing,
        )
        proved, notes = _proved(topview, catalogue, files, planned)
        more = {name for name, _ in proved.failures} - failing
        if not (canary and more):
            break
        failing |= more  # the next products take their places
    estimate = Estimator(ledger, settings.prices)
    limits = Limits(
        a_day=settings.credit_limit,
        of_run=config.credit_limit,
        spent=ledger.budget.today().total,
        now=ledger.now(),
        slots=settings.slots,
    )
    planned = within_limits(as_proved(planned, proved, estimate), limits, estimate)
    coming = forecast_plan(settings, planned, ledger)
    rows = ledger.tasks.of_ids(one.row for one in planned if one.row is not None)
    words = {number: trouble_of(row) for number, row in rows.items()}
    for place, one in enumerate(planned):
        if trouble := words.get(one.row or 0):
            planned[place] = replace(one, reason=trouble[0], fix=trouble[1])
    refused = refused_scenes(settings, ledger, catalogue)
    return Plan(planned, coming, notes, left=left, refused=refused), not_accepted


def _proved(
    topview: TopviewResource,
    catalogue: Catalogue,
    files: InputFiles,
    planned: Sequence[PlannedStage],
) -> tuple[Proved, list[str]]:
    """The outcome of a run's proofs, and what was not proved, in sentences."""
    config = topview.config
    notes: list[str] = []

    async def proofs(client: TopviewClient | None = None) -> Proved:
        return await prove(
            planned,
            catalogue.products,
            files,
            ProofLists(
                client,
                refuse=config.unknown_ids == "fail",
                when_no_face=config.when_no_face,
                warn=notes.append,
            ),
            longest_seconds=_PROOF_SECONDS,
        )

    if not any(one.is_made for one in planned):
        return Proved({}, {}, ()), notes
    if config.api_key is None:
        notes.append(_NO_KEY)
        proved = asyncio.run(proofs())
    else:
        proved = call_topview(topview, proofs)
    if proved.left:
        left = counted(len(proved.left), "product")
        notes.append(
            f"Not checked within {_PROOF_SECONDS:g} s: {left}, such as "
            f"{', '.join(proved.left[:3])}. A run checks them before it pays."
        )
    return proved, notes


def say_plan(console: Console, found: Plan, *, show_all: bool, quiet: bool = False) -> None:
    """Print what is planned for each product, the sums of each stage, and the troubles."""
    if not quiet:
        _say_stages(console, found.planned, found.coming, show_all)
        if words := balance(found.coming, found.credits_left).strip():
            say(words, console)
        say_refused(console, found.refused)
    if found.left:
        say(left_over(found.left).strip(), console)
    for note in found.notes:
        say(note, console)
    for line in in_few_lines(
        found.troubles,
        _in_words,
        one=lambda one: f"{one.product_id} {one.stage} {_in_words(one)}",
        many=lambda some: (
            f"{len(some)} {in_common(map(_in_words, some))} "
            f"({', '.join(one.product_id for one in some)})"
        ),
    ):
        say(one_line(line), console)


def _say_stages(
    console: Console, planned: Sequence[PlannedStage], coming: Forecast, show_all: bool
) -> None:
    if not planned:
        say("Everything is up to date: there is nothing to make.", console)
        return
    shown = planned if show_all else planned[:_SHOWN]
    say_rows(
        console,
        ("product", "stage", "why", "credits"),
        [(one.product_id, one.stage, one.why, _price(one)) for one in shown],
        right=["credits"],
    )
    if len(shown) < len(planned):
        say(f"... and {len(planned) - len(shown)} more (--all shows them)\n", console)
    columns = ("stage", "products", "new tasks", "credits", "why")
    say_rows(console, columns, map(_stage_row, coming.stages), right=columns[1:4])
    say(f"{cost_of(coming)} at the account's slots.", console)


def _in_words(one: PlannedStage) -> str:
    words = {"failed": "would fail", "held": "would be held"}
    fix = f" What to do: {one.fix}" if one.fix else ""
    return f"{words[one.outcome or 'held']}: {one.reason}.{fix}"


def _price(planned: PlannedStage) -> str:
    if not planned.submits:
        return "-"
    return "unknown" if planned.credits is None else f"{round(planned.credits, 2):g}"


def _stage_row(stage: StageForecast) -> tuple[str, str, str, str, str]:
    unpriced = f" + {stage.unpriced} unknown" if stage.unpriced else ""
    why = ", ".join(f"{count} {reason}" for reason, count in stage.reasons.items())
    price = f"{round(stage.credits, 2):g}{unpriced}"
    return stage.stage, str(stage.products), str(stage.tasks), price, why


def _document(found: Plan) -> dict[str, Any]:
    """The plan for another program: rows, sums and troubles."""
    coming = found.coming
    return {
        "rows": [asdict(one) for one in found.planned],
        "tasks": coming.tasks,
        "credits": coming.credits,
        "tasks_of_unknown_price": coming.unpriced,
        "seconds": round(coming.seconds, 1),
        "credits_left": found.credits_left,
        "products_left": found.left,
        "credits_last_seconds": coming.lasts(found.credits_left),
        "stages": [asdict(stage) for stage in coming.stages],
        "refused": [asdict(one) for one in found.refused],
        "troubles": [
            {
                "product_id": one.product_id,
                "stage": one.stage,
                "outcome": one.outcome,
                "what": one.reason,
                "fix": one.fix,
            }
            for one in found.troubles
        ],
    }
