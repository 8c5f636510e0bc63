"""Looking for lost answers outside a run: what the sensor and the command line call.

One look at Topview's credit log, with a client of its own. What it means is the producer's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from topview_pipeline.ledger import Ledger
from topview_pipeline.producer.findings import Rules
from topview_pipeline.producer.reconciling import Report, reconcile
from topview_pipeline.settings import Settings, SettingsError
from topview_pipeline.topview.client import TopviewClient

SENSOR_SECONDS: Final = 20.0
"""Dagster ends a sensor's tick after 60 s, and looking for lost answers is not all it does."""
_T = TypeVar("_T")


def reconcile_now(
    settings: Settings, ledger: Ledger, *, who: str, seconds: float = SENSOR_SECONDS
) -> Report:
    """Settle the unknown rows that Topview's credit log settles; without any nothing is asked.

    Args:
        who: for the rows' events.
        seconds: the longest that Topview is waited for.

    Returns:
        What came of it; trouble at Topview is in it.

    Raises:
        SettingsError: there are no credentials, or Topview cannot be called with them.
        LedgerError: the ledger cannot be used.
    """
    return with_client(
        settings,
        lambda client: reconcile(client, ledger, rules_of(settings), who=who, seconds=seconds),
    )


def rules_of(settings: Settings) -> Rules:
    """How much is decided without a person."""
    return Rules(exclusive=settings.account_exclusive, deadlines=settings.unknown_deadlines)


def with_client(settings: Settings, act: Callable[[TopviewClient], Awaitable[_T]]) -> _T:
    """Do something with an open client, from synchronous code.

    Raises:
        SettingsError: there are no credentials, or Topview cannot be called with them.
    """
    if settings.uid is None:
        raise _unset("TOPVIEW_UID")
    if settings.api_key is None:
        raise _unset("TOPVIEW_API_KEY")
    try:
        client = TopviewClient(
            base_url=settings.base_url, uid=settings.uid, api_key=settings.api_key
        )
    except ValueError as error:
        raise SettingsError("TOPVIEW_BASE_URL", str(error), "Set it to Topview's API.") from error

    async def with_it() -> _T:
        async with client:
            return await act(client)

    return asyncio.run(with_it())


def _unset(variable: str) -> SettingsError:
    return SettingsError(variable, "it is not set", "Copy it from Topview's API page.")
