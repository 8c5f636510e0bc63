"""The httpx clients behind TopviewClient, and the single exchange with the API. No endpoints here.

Three clients: submits get a fresh connection each, because one that the server has closed in the
meantime looks like a lost answer, and a lost answer blocks paid work. Reads keep connections alive.
Media (storage PUTs and downloads) carry no API headers; signed storage URLs refuse them. None
follows redirects.
"""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

import httpx

from topview_pipeline.redaction import forms_of, hide_queries_in_http_logs
from topview_pipeline.topview.account import Account
from topview_pipeline.topview.classify import Call, classify
from topview_pipeline.topview.origins import is_loopback
from topview_pipeline.topview.timeouts import CallTimeouts, Timeouts, within
from topview_pipeline.topview.wire import Answer, read_answer

_FRESH = httpx.Limits(max_keepalive_connections=0)
_KEPT = httpx.Limits(max_keepalive_connections=50, max_connections=200, keepalive_expiry=30.0)


class Connections:
    """The open clients of one TopviewClient."""

    def __init__(
        self,
        account: Account,
        *,
        timeouts: Timeouts,
        transport: httpx.AsyncBaseTransport | None,
        media_transport: httpx.AsyncBaseTransport | None,
        now: Callable[[], datetime],
    ) -> None:
        # Proxies of the environment are for the world outside; a loopback base is the sandbox.
        outside = not is_loopback(account.base_url)
        verify = httpx.create_ssl_context(trust_env=outside)
        self._secrets = forms_of(account.api_key)
        self._timeouts = timeouts
        self._now = now
        self.server_time: datetime | None = None
        """When the server last answered a read, by its own clock; None until it says so."""
        self._submits = httpx.AsyncClient(
            base_url=account.base_url,
            headers=account.headers,
            verify=verify,
            trust_env=outside,
            limits=_FRESH,
            transport=transport,
        )
        self._reads = httpx.AsyncClient(
            base_url=account.base_url,
            headers=account.headers,
            verify=verify,
            trust_env=outside,
            limits=_KEPT,
            transport=transport,
        )
        self.media = httpx.AsyncClient(
            verify=verify, trust_env=outside, limits=_KEPT, transport=media_transport
        )

    async def open(self, stack: AsyncExitStack) -> None:
        """Open all clients; `stack` closes them."""
        hide_queries_in_http_logs()
        for client in (self._submits, self._reads, self.media):
            await stack.enter_async_context(client)

    async def post(self, call: Call, path: str, body: Mapping[str, Any]) -> Answer:
        """Submit once. See `_exchange`."""
        timeouts = self._timeouts.submit
        request = self._submits.build_request(
            "POST", path, json=body, timeout=timeouts.httpx_timeout()
        )
        return await self._exchange(call, self._submits, request, timeouts)

    async def get(self, call: Call, path: str, params: Mapping[str, str | int]) -> Answer:
        """Read once. See `_exchange`."""
        timeouts = self._timeouts.query
        request = self._reads.build_request(
            "GET", path, params=params, timeout=timeouts.httpx_timeout()
        )
        answer = await self._exchange(call, self._reads, request, timeouts)
        self.server_time = answer.date
        return answer

    async def _exchange(
        self, call: Call, http: httpx.AsyncClient, request: httpx.Request, timeouts: CallTimeouts
    ) -> Answer:
        """Send `request` once and return a good answer, whose envelope says 200.

        Raises:
            TopviewError: As classify() decides. Cancellation passes through: whoever cancels a
                submit must take it for a lost answer.
        """
        try:
            response = await within(timeouts.whole, http.send(request))
        except Exception as broken:
            # Whatever it was, the request may have left; classify() knows which exceptions prove
            # that it did not.
            raise classify(call, broken) from broken
        answer = read_answer(response, now=self._now(), hide=self._secrets)
        error = classify(call, answer)
        if error is not None:
            raise error
        return answer
