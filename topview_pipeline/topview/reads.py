"""Reads of any shape: one object, a list, all pages of a list. Each read is repeated a few times.

Which endpoints there are is in client.py. Queries of tasks do not come through here.
"""

from collections.abc import AsyncIterator, Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from topview_pipeline.topview.classify import Call, Phase
from topview_pipeline.topview.connections import Connections
from topview_pipeline.topview.errors import Unavailable
from topview_pipeline.topview.fields import what_is_wrong
from topview_pipeline.topview.paging import Page, all_entries
from topview_pipeline.topview.retrying import Sleep, retrying

_M = TypeVar("_M", bound=BaseModel)

Params = Mapping[str, str | int]


def parsed(result: object, model: type[_M], doing: str) -> _M:
    """Read an envelope's result.

    Raises:
        Unavailable: It is not what is documented; garbage may be better the next time.
    """
    try:
        return model.model_validate(result)
    except ValidationError as error:
        raise Unavailable(f"unreadable: {what_is_wrong(error)}", doing=doing) from error


class Reads:
    """Reads over the connections of one client. All raise QueryError."""

    def __init__(self, connections: Connections, *, sleep: Sleep) -> None:
        self._connections = connections
        self._sleep = sleep

    async def result(self, call: Call, path: str, params: Params) -> object:
        """Return the result of a good envelope, whatever it is."""

        async def once() -> object:
            return (await self._connections.get(call, path, params)).result

        return await retrying(once, sleep=self._sleep)

    async def one(self, doing: str, path: str, params: Params, model: type[_M]) -> _M:
        """Return an object."""

        async def once() -> _M:
            answer = await self._connections.get(Call(Phase.READ, doing), path, params)
            return parsed(answer.result, model, doing)

        return await retrying(once, sleep=self._sleep)

    async def whole_list(self, doing: str, path: str, model: type[_M]) -> list[_M]:
        """Return a list that has no pages."""
        entries = await self.result(Call(Phase.READ, doing), path, {})
        if not isinstance(entries, list):
            raise Unavailable("the result is no list", doing=doing)
        return [parsed(entry, model, doing) for entry in entries]

    async def pages(
        self, doing: str, path: str, params: Params, model: type[_M]
    ) -> AsyncIterator[_M]:
        """Yield the entries of all pages."""

        async def page(number: int) -> Page:
            return await self.one(doing, path, {**params, "pageNo": number}, Page)

        async for entry in all_entries(page, doing=doing):
            yield parsed(entry, model, doing)
