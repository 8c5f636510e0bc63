"""The key stays with its owner, and connections as they break on real sockets."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from pydantic import SecretStr

from tests.topview.support import (
    BASE,
    KEY,
    PNG,
    TASK,
    UID,
    Answerer,
    Pauses,
    answering,
    http_answer,
    loopback,
    refusing,
)
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.errors import Ambiguous, NotSent, Unavailable
from topview_pipeline.topview.http import CallTimeouts, Timeouts, within
from topview_pipeline.topview.models import RemoveBackgroundRequest, Submitted

REQUEST = RemoveBackgroundRequest(product_image_file_id="dff8")
ACCEPTED = http_answer({"taskId": TASK, "status": "success", "errorMsg": None})
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + PNG[:100]


@pytest.mark.parametrize("base_url", ["http://api.topview.ai", "http://127.0.0.1.evil.test"])
def test_the_key_never_travels_in_the_clear(base_url: str) -> None:
    with pytest.raises(ValueError, match="must be https"):
        TopviewClient(base_url=base_url, uid=UID, api_key=KEY)


def test_a_key_that_is_shown_masked_may_be_ours_unless_the_rest_of_it_differs() -> None:
    ours = ["sk-EXAMPLE", " sk-EXAMPLE ", "sk-****PLE", "sk-...PLE", "********", "sk-\u2026LE"]
    others = ["sk-OTHER", "sk-EXAMPLE2", "sk-****XYZ", "pk-****PLE"]
    http = TopviewClient(base_url=BASE, uid=UID, api_key=SecretStr(KEY))
    assert [key for key in ours + others if http.is_own_key(SecretStr(key))] == ours


# Real sockets


def client(url: str, **limits: float) -> TopviewClient:
    limit = replace(CallTimeouts(), **limits)
    timeouts = Timeouts(submit=limit, query=limit, upload=limit, download=limit)
    return TopviewClient(base_url=url, uid=UID, api_key=KEY, timeouts=timeouts, sleep=Pauses())


async def submit(url: str, **limits: float) -> Submitted:
    async with client(url, **limits) as http:
        return await http.submit("remove_background", REQUEST)


def submitted_to(answer: Answerer, **limits: float) -> list[int]:
    """The requests of each connection of a server to which one submit goes."""

    async def inside() -> list[int]:
        async with loopback(answer) as server:
            await submit(server.url, **limits)
            return server.per_connection

    return asyncio.run(inside())


async def reset(writer: asyncio.StreamWriter, _nth: int) -> None:
    writer.transport.abort()


LOST = [
    *(answering(), reset, answering(HALF), answering(b"SSH-2.0-OpenSSH\r\n")),
    *(answering(stall=60.0), answering(HALF, stall=60.0)),
]


@pytest.mark.parametrize("answer", LOST)
def test_an_answer_that_is_lost_after_sending_may_be_paid_and_is_sent_once(
    answer: Answerer,
) -> None:
    async def inside() -> None:
        async with loopback(answer) as server:
            with pytest.raises(Ambiguous):
                await submit(server.url, read=0.1)
            assert server.per_connection == [1]

    asyncio.run(inside())


def test_a_server_that_trickles_is_cut_at_the_whole_time() -> None:
    async def trickle(writer: asyncio.StreamWriter, _nth: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    with pytest.raises(Ambiguous, match=r"took longer than 0\.2 seconds"):
        submitted_to(trickle, whole=0.2)


def test_a_refused_connection_and_a_failed_tls_handshake_were_not_sent() -> None:
    async def inside() -> None:
        async with loopback(answering()) as server:
            await submit(server.url.replace("http:", "https:"), connect=0.2)

    with refusing() as url, pytest.raises(NotSent):
        asyncio.run(submit(url))
    with pytest.raises(NotSent):
        asyncio.run(inside())


def test_a_server_that_closes_kept_connections_loses_no_submit() -> None:
    """The race of keep-alive: the server closes while the next request is on its way."""

    async def answer_once(writer: asyncio.StreamWriter, nth: int) -> None:
        if nth > 1:
            writer.transport.abort()
        else:
            writer.write(ACCEPTED)

    async def inside() -> list[int]:
        async with loopback(answer_once) as server, client(server.url) as http:
            await http.query("remove_background", TASK)
            for _ in range(3):
                await http.submit("remove_background", REQUEST)
            with pytest.raises(Unavailable):  # a query may reuse its connection: it costs nothing
                await http.query("remove_background", TASK)
            return server.per_connection

    assert asyncio.run(inside()) == [2, 1, 1, 1]


def test_a_cancelled_submit_passes_the_cancellation_on() -> None:
    async def inside() -> None:
        async with loopback(answering(stall=60.0)) as server:
            task = asyncio.create_task(submit(server.url))
            while server.per_connection != [1]:
                await asyncio.sleep(0)
            task.cancel()
            await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(inside())


def test_a_proxy_of_the_environment_is_not_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with refusing() as url:
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.setenv("ALL_PROXY", url)
        assert submitted_to(answering(ACCEPTED, keep=True)) == [1]


def test_a_cancellation_that_comes_with_the_answer_is_not_swallowed() -> None:
    """Otherwise a run that ends waits for a poll that goes on for an hour."""

    async def inside() -> bool:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        caller = asyncio.ensure_future(within(60.0, answer))
        await asyncio.sleep(0)
        answer.set_result("done")
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait({caller})
        return caller.cancelled()

    assert asyncio.run(inside())
