"""`topview-pipeline tasks rebuild`: a lost ledger's rows, made again from the artifact store.

It is also how a ledger is told that its store was moved, or is really to be a new one. It asks
nobody at Topview and needs no key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from topview_pipeline.cli.errors import SOME_FAILED, CannotStart
from topview_pipeline.cli.tasks.opening import ask, opened, person, say

if TYPE_CHECKING:
    from topview_pipeline.artifacts import ArtifactStore
    from topview_pipeline.ledger import KeptResult, Ledger
    from topview_pipeline.recovery import Survey

_SHOWN = 20
_NOT_IN_THE_STORE = (
    "The store knows nothing of uploads (they are made again when they are needed), of failures, "
    "and of tasks that Topview was still working on: what you order again of those is paid again."
)


@click.command()
@click.option("--verify", is_flag=True, help="Read every file and compare its hash.")
@click.option(
    "--new-store",
    is_flag=True,
    help="Take a store that has none of the ledger's files: it is really to be a new one.",
)
@click.option("--why", default="", metavar="TEXT", help="A reason, kept in the ledger.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def rebuild(context: click.Context, verify: bool, new_store: bool, why: str, yes: bool) -> None:
    """Make the ledger's rows again from the results in the store (TOPVIEW_ARTIFACTS).

    For a ledger that was lost, and for a store that was moved or is new. Nothing is sent, and what
    the ledger has already stays as it is.

    Exit codes: 0 done, 1 done without results that cannot be read, 2 nothing was done.
    """
    from topview_pipeline.artifacts import ArtifactStore
    from topview_pipeline.recovery import survey

    with opened() as here:
        store = ArtifactStore(here.settings.artifacts)
        plan = _plan(here.ledger, store, survey(store, here.ledger.account, verify=verify))
        for line in plan.lines():
            say(line)
        if plan.is_unmounted and not new_store:
            raise CannotStart(plan.not_mounted())
        if plan.is_needed:
            ask("The ledger will be written, and remember this store.", yes=yes)
            say(_carry_out(plan, why))
    context.exit(SOME_FAILED if plan.survey.damaged else 0)


@dataclass(frozen=True)
class _Plan:
    """What a rebuild would do.

    Attributes:
        added: results that get a row.
        stored: stored rows that the ledger has now.
        here: those of them whose files are in the store.
        is_paired: whether ledger and store know each other already.
    """

    ledger: Ledger
    store: ArtifactStore
    survey: Survey
    added: Sequence[KeptResult]
    stored: int
    here: int
    is_paired: bool

    @property
    def is_needed(self) -> bool:
        """Whether anything would change."""
        return bool(self.added) or not self.is_paired

    @property
    def is_unmounted(self) -> bool:
        """Whether the store looks like one that is not mounted."""
        return self.stored > 0 and self.here == 0 and not self.is_paired

    def not_mounted(self) -> str:
        """Why nothing is done."""
        return (
            f"{self.store.where}: none of the ledger's {_count(self.stored, 'stored result')} is "
            "in this store. Is it mounted? If it is really to be a new one, add --new-store."
        )

    def lines(self) -> Iterator[str]:
        """What is found, and what would be done."""
        found = self.survey
        where = self.ledger.store_link.where
        results = _count(len(found.results), "result")
        yield f"{self.store.where} has {results} of this account; ledger {where}."
        yield from _some("cannot be read and is left out", found.damaged)
        yield from _some(
            "has lost files; it is fetched again for nothing while Topview has it", found.gone
        )
        if found.of_others:
            others = _count(found.of_others, "result")
            yield f"{others} of other accounts: left alone."
        if self.added:
            yield _sum_of(self.added)
            yield _NOT_IN_THE_STORE
        lost = self.stored - self.here
        if lost and not self.is_paired:
            yield (
                f"{_count(lost, 'stored result')} of the ledger would not be in its store: each is "
                "fetched again for nothing when it is needed and Topview still has it (7 days); "
                "what is older is held, and only force makes and pays it again."
            )
        if not self.is_needed:
            yield "The ledger has all of it: nothing to do."
        elif not self.added:
            yield "The ledger would remember this store as its own."


def _plan(ledger: Ledger, store: ArtifactStore, found: Survey) -> _Plan:
    from topview_pipeline.pairing import stored_rows_here

    marker = store.marker.read()
    return _Plan(
        ledger,
        store,
        found,
        added=ledger.rebuilding.missing(found.results),
        stored=ledger.store_link.count_stored(),
        here=stored_rows_here(ledger, found.files),
        is_paired=marker is not None and marker == ledger.store_link.remembered(),
    )


def _carry_out(plan: _Plan, why: str) -> str:
    from topview_pipeline.pairing import pair

    who = person()
    done = plan.ledger.rebuilding.rebuild(
        plan.survey.results, plan.survey.uses, who=who, why=why or "rebuilt from the store"
    )
    pair(plan.ledger, plan.store, who=who)
    return (
        f"Added {_count(done.tasks, 'task')}, {_count(done.orders, 'order')} and "
        f"{_count(done.choices, 'chosen image')}. Ledger and store belong together now."
    )


def _sum_of(added: Sequence[KeptResult]) -> str:
    from topview_pipeline.cli.tasks.wording import moment

    paid = sum(kept.cost_credits or 0.0 for kept in added)
    stored = sorted(kept.stored_at for kept in added)
    return (
        f"{_count(len(added), 'task')} would be added to the ledger: {paid:g} credits paid, "
        f"stored from {moment(stored[0])} to {moment(stored[-1])} UTC."
    )


def _some(what: str, named: Sequence[str]) -> Iterator[str]:
    if named:
        yield f"{_count(len(named), 'result')}, each of which {what}:"
    yield from (f"  {one}" for one in named[:_SHOWN])
    if len(named) > _SHOWN:
        yield f"  ... and {len(named) - _SHOWN} more"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
