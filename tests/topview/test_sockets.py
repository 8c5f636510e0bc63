"""Broken connections as they are on real sockets: what is lost, what never left, what is cut."""

import asyncio
import io
from dataclasses import replace

import pytest

from tests.topview.loopback import Answerer, http_answer, loopback, refusing
from tests.topview.support import KEY, PNG, TASK, UID, Pauses, run
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.errors import (
    Ambiguous,
    DownloadError,
    Incomplete,
    NotSent,
    SubmitError,
    TopviewError,
    Unavailable,
)
from topview_pipeline.topview.models import RemoveBackgroundRequest, Submitted
from topview_pipeline.topview.timeouts import CallTimeouts, Timeouts

REQUEST = RemoveBackgroundRequest(product_image_file_id="dff8")
ACCEPTED = http_answer({"taskId": TASK, "status": "success", "errorMsg": None})
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + PNG[:100]


def client(url: str, **limits: float) -> TopviewClient:
    limit = replace(CallTimeouts(), **limits)
    timeouts = Timeouts(submit=limit, query=limit, upload=limit, download=limit)
    return TopviewClient(base_url=url, uid=UID, api_key=KEY, timeouts=timeouts, sleep=Pauses())


async def submit(url: str, **limits: float) -> Submitted:
    async with client(url, **limits) as http:
        return await http.submit_remove_background(REQUEST)


async def close(writer: asyncio.StreamWriter, _nth: int) -> None:
    writer.close()


async def reset(writer: asyncio.StreamWriter, _nth: int) -> None:
    writer.transport.abort()


async def stall_in_the_body(writer: asyncio.StreamWriter, _nth: int) -> None:
    writer.write(HALF)
    await asyncio.sleep(60)


async def stall(writer: asyncio.StreamWriter, _nth: int) -> None:
    await asyncio.sleep(60)


async def cut_the_body(writer: asyncio.StreamWriter, _nth: int) -> None:
    writer.write(HALF)
    writer.close()


async def speak_no_http(writer: asyncio.StreamWriter, _nth: int) -> None:
    writer.write(b"SSH-2.0-OpenSSH\r\n")
    writer.close()


@pytest.mark.parametrize(
    "answer", [close, reset, stall, stall_in_the_body, cut_the_body, speak_no_http]
)
def test_an_answer_that_is_lost_after_sending_may_be_paid(answer: Answerer) -> None:
    async def inside() -> list[int]:
        async with loopback(answer) as server:
            with pytest.raises(SubmitError) as caught:
                await submit(server.url, read=0.1)
            assert type(caught.value) is Ambiguous
            return server.per_connection

    assert run(inside()) == [1]


def test_a_server_that_trickles_is_cut_at_the_whole_time() -> None:
    async def trickle(writer: asyncio.StreamWriter, _nth: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    async def inside() -> None:
        async with loopback(trickle) as server:
            await submit(server.url, whole=0.2)

    with pytest.raises(Ambiguous, match=r"took longer than 0\.2 seconds"):
        run(inside())


def test_a_refused_connection_was_not_sent() -> None:
    with refusing() as url, pytest.raises(NotSent):
        run(submit(url))


def test_a_failed_tls_handshake_was_not_sent() -> None:
    async def inside() -> list[int]:
        async with loopback(close) as server:
            with pytest.raises(NotSent):
                await submit(server.url.replace("http:", "https:"), connect=0.2)
            return server.per_connection

    assert run(inside()) == [0]


def test_a_server_that_closes_kept_connections_loses_no_submit() -> None:
    """The race of keep-alive: the server closes while the next request is on its way."""

    async def answer_once(writer: asyncio.StreamWriter, nth: int) -> None:
        if nth > 1:
            writer.transport.abort()
        else:
            writer.write(ACCEPTED)

    async def inside() -> list[int]:
        async with loopback(answer_once) as server, client(server.url) as http:
            await http.query_remove_background(TASK)
            for _ in range(3):
                await http.submit_remove_background(REQUEST)
            with pytest.raises(Unavailable):  # a query may reuse its connection: it costs nothing
                await http.query_remove_background(TASK)
            return server.per_connection

    assert run(inside()) == [2, 1, 1, 1]


def test_a_cancelled_submit_passes_the_cancellation_on() -> None:
    async def inside() -> None:
        async with loopback(stall) as server:
            task = asyncio.create_task(submit(server.url))
            while server.per_connection != [1]:
                await asyncio.sleep(0)
            task.cancel()
            await task

    with pytest.raises(asyncio.CancelledError):
        run(inside())


def test_a_proxy_of_the_environment_is_not_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def accept(writer: asyncio.StreamWriter, _nth: int) -> None:
        writer.write(ACCEPTED)

    async def inside() -> Submitted:
        async with loopback(accept) as server:
            return await submit(server.url)

    with refusing() as url:
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.setenv("ALL_PROXY", url)
        assert run(inside()).task_id == TASK


async def download(url: str) -> TopviewError:
    async with client(url, read=0.1) as http:
        with pytest.raises(TopviewError) as caught:
            await http.download(f"{url}/x.png", io.BytesIO(), max_bytes=1000, expect="image")
        return caught.value


@pytest.mark.parametrize("url", ["https://127.0.0.1:99999/x.png", f"https://{'a' * 70}.test/x.png"])
def test_a_url_that_cannot_be_connected_to_is_an_error_of_the_download(url: str) -> None:
    async def inside() -> None:
        async with client("http://127.0.0.1:1") as http:
            await http.download(url, io.BytesIO(), max_bytes=1000, expect="image")

    with pytest.raises(DownloadError):
        run(inside())


async def cut_chunked(writer: asyncio.StreamWriter, _nth: int) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n"
    writer.write(head + PNG[:100] + b"\r\n")
    writer.close()


async def end_with_the_connection(writer: asyncio.StreamWriter, _nth: int) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + PNG)
    writer.close()


@pytest.mark.parametrize(
    "answer", [cut_the_body, cut_chunked, stall_in_the_body, end_with_the_connection]
)
def test_a_cut_download_is_incomplete(answer: Answerer) -> None:
    async def inside() -> TopviewError:
        async with loopback(answer) as server:
            return await download(server.url)

    assert type(run(inside())) is Incomplete
