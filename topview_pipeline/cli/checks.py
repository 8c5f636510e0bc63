"""What must be true before `run` starts: settings, catalogue, account, ledger, store.

Nothing is written down and nothing is sent before all of it is.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from topview_pipeline.cli.errors import CannotStart
from topview_pipeline.cli.telling import tell

if TYPE_CHECKING:
    from rich.console import Console

    from topview_pipeline.catalogue import Catalogue, RowProblem
    from topview_pipeline.ledger import Ledger
    from topview_pipeline.settings import Settings

_SHOWN_PROBLEMS = 20


def usable_catalogue(products: Sequence[str], stages: Sequence[str]) -> Catalogue:
    """The catalogue, when it has what is asked for.

    Raises:
        CannotStart: a product or every row is unusable. CatalogueError, SettingsError and
            UnknownStageError pass through.
    """
    from topview_pipeline.defs.resources import CatalogueResource
    from topview_pipeline.stages import stages_named

    stages_named(list(stages))
    catalogue = CatalogueResource().read()
    bad = {problem.product_id for problem in catalogue.problems}
    unknown = [name for name in products if name not in catalogue.products and name not in bad]
    if unknown:
        known = ", ".join(list(catalogue.products)[:10])
        raise CannotStart(
            f"the catalogue {catalogue.source} has no product {', '.join(map(repr, unknown))}; "
            f"it has {len(catalogue.products)}, such as {known}"
        )
    if not catalogue.products:
        reasons = "\n".join(f"  {problem}" for problem in catalogue.problems[:_SHOWN_PROBLEMS])
        raise CannotStart(f"the catalogue {catalogue.source} has no usable row:\n{reasons}")
    return catalogue


def check_account(settings: Settings) -> None:
    """Ask Topview whether it takes our credentials, before anything is written down."""
    from topview_pipeline.settings import SettingsError
    from topview_pipeline.topview.client import TopviewClient

    for name, value in (("TOPVIEW_UID", settings.uid), ("TOPVIEW_API_KEY", settings.api_key)):
        if value is None:
            raise SettingsError(name, "it is not set", "Copy it from Topview's API page.")

    async def ask() -> None:
        try:
            client = TopviewClient(
                base_url=settings.base_url,
                uid=settings.uid or "",
                api_key=settings.api_key or "",
            )
        except ValueError as error:
            raise CannotStart(str(error)) from error
        async with client:
            await client.check_account()

    asyncio.run(ask())


def open_ledger(settings: Settings) -> Ledger:
    """The account's ledger, when the store beside it is its own and can be written, too."""
    from topview_pipeline.artifacts import ArtifactStore
    from topview_pipeline.defs.resources import LedgerResource
    from topview_pipeline.pairing import ensure_paired

    store = ArtifactStore(settings.artifacts)
    ledger = LedgerResource().open()
    try:
        ensure_paired(ledger, store, who="topview-pipeline run")
        store.check_writable()
    except BaseException:
        ledger.close()
        raise
    return ledger


def problems_of(catalogue: Catalogue, products: Sequence[str]) -> list[RowProblem]:
    """The bad rows that concern these products; without any named, all of them."""
    return [
        problem
        for problem in catalogue.problems
        if not products or problem.product_id is None or problem.product_id in products
    ]


def tell_problems(
    console: Console, warnings: Sequence[str], problems: Sequence[RowProblem]
) -> None:
    """Name the bad rows; the good ones go on. Warnings are what may be a slip of the pen."""
    for warning in warnings:
        tell(console, f"catalogue: {warning}")
    for problem in problems[:_SHOWN_PROBLEMS]:
        tell(console, f"catalogue {problem}", style="yellow")
    more = len(problems) - _SHOWN_PROBLEMS
    if more > 0:
        console.print(f"... and {more} more bad rows", style="yellow")


def ask_to_force_everything() -> None:
    """Forcing the whole catalogue pays for all of it again: a person says so.

    Raises:
        CannotStart: there is nobody to ask, or the answer is no.
    """
    what = "--force without --product makes the whole catalogue anew, and pays for all of it again"
    if not sys.stdin.isatty():
        raise CannotStart(f"{what}. Name products, or add --yes.")
    if not click.confirm(f"{what}. Go on?"):
        raise CannotStart("nothing was done")
