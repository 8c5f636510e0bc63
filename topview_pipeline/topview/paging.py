"""Reading all pages of a Topview list: `{total, pageNo, pageSize, data[]}`, pages from 1."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from pydantic import BaseModel, ConfigDict

from topview_pipeline.topview.errors import Unavailable
from topview_pipeline.topview.fields import Lenient


class Page(BaseModel):
    """One page; its entries are read by whoever asked for them."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    total: Lenient[int] = None
    data: list[Any] | None


async def all_entries(fetch: Callable[[int], Awaitable[Page]], *, doing: str) -> AsyncIterator[Any]:
    """Yield the raw entries of every page.

    A list ends when `total` entries were seen, or with an empty page. A short page is no end: a
    server may give fewer than it was asked for. New entries that push older ones to the next page
    meanwhile make duplicates, never gaps.

    Args:
        fetch: Reads the page with the given number.
        doing: What the caller is doing, for errors.

    Raises:
        Unavailable: A page is the same as the one before, so the server ignores the page number and
            the rest of the list cannot be had.
    """
    seen, number, before = 0, 1, None
    while True:
        page = await fetch(number)
        entries = page.data or []
        if entries and entries == before:
            raise Unavailable(f"page {number} repeats page {number - 1}", doing=doing)
        for entry in entries:
            yield entry
        seen += len(entries)
        if not entries or (page.total is not None and seen >= page.total):
            return
        number, before = number + 1, entries
