"""The client against the sandbox's faults, which shares no code with it, over real sockets.

A product's whole way is run by the tests of the engine.
"""

import io
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from PIL import Image

from tests.topview.support import Pauses, using
from topview_pipeline.testing import Sandbox, sandbox
from topview_pipeline.topview import errors, models
from topview_pipeline.topview.client import TopviewClient

UNHEARD_OF = "0" * 32
DAY = 86_400.0
_T = TypeVar("_T")
Act = Callable[[Sandbox, TopviewClient], Awaitable[_T]]


def run(here: Sandbox, act: Act[_T]) -> _T:
    """The result of `act`, which gets the sandbox and an open client."""
    url, uid, key = here.base_url, here.uid, here.api_key
    client = TopviewClient(base_url=url, uid=uid, api_key=key, sleep=Pauses())
    return using(client, lambda http: act(here, http))


def failure(here: Sandbox, act: Act[Any]) -> errors.TopviewError:
    with pytest.raises(errors.TopviewError) as caught:
        run(here, act)
    return caught.value


async def submit_photo(_here: Sandbox, http: TopviewClient) -> str:
    """Upload a photo, have it cut out, and return the task's id."""
    out = io.BytesIO()
    Image.new("RGB", (60, 60), "white").save(out, "PNG")
    photo = await http.upload(out.getvalue(), format="png")
    request = models.RemoveBackgroundRequest(product_image_file_id=photo)
    return (await http.submit("remove_background", request, ids_of_ours=[photo])).task_id


async def query_at_once(here: Sandbox, http: TopviewClient) -> Any:
    return await http.query("remove_background", await submit_photo(here, http))


async def cut_out(here: Sandbox, http: TopviewClient) -> Any:
    task_id = await submit_photo(here, http)
    here.advance_clock(3600)
    return await http.query("remove_background", task_id)


async def download(http: TopviewClient, url: str | None) -> None:
    await http.download(url or "", io.BytesIO(), max_bytes=10_000_000, expect="image")


async def download_mask(here: Sandbox, http: TopviewClient) -> None:
    await download(http, (await cut_out(here, http)).mask_image_path)


async def check(_here: Sandbox, http: TopviewClient) -> str | None:
    return (await http.check_account()).uid


def test_ids_that_topview_does_not_know_and_full_slots() -> None:
    request = models.RemoveBackgroundRequest(product_image_file_id=UNHEARD_OF)
    acts: list[Act[Any]] = [
        lambda _, http: http.submit("remove_background", request, ids_of_ours=[UNHEARD_OF]),
        lambda _, http: http.submit("remove_background", request),
        lambda _, http: http.query("remove_background", UNHEARD_OF),
        submit_photo,
    ]
    with sandbox(speed=1.0) as here:
        here.set_slots(0)
        found = [failure(here, act) for act in acts]
        assert here.tasks() == []
    kinds = [errors.UpstreamGone, errors.Rejected, errors.TaskUnknown, errors.Refused]
    assert [type(error) for error in found] == kinds
    assert found[-1].code == "4007"


@pytest.mark.parametrize(
    ("fault", "act", "expected", "tasks"),
    [
        ("drop_submit", submit_photo, errors.Ambiguous, 1),
        ("busy", submit_photo, errors.Refused, 0),
        ("moderation", submit_photo, errors.Rejected, 0),
        ("notfound_grace", query_at_once, errors.TaskUnknown, 1),
        ("cut_download", download_mask, errors.Incomplete, 1),
        ("http429", check, errors.Unavailable, 0),
        ("err500", check, errors.Unavailable, 0),
        ("garbage", check, errors.NotTopview, 0),
    ],
)
def test_a_fault_has_its_class(
    fault: str, act: Act[Any], expected: type[errors.TopviewError], tasks: int
) -> None:
    with sandbox(speed=1.0, faults={fault: 1.0}) as here:
        assert type(failure(here, act)) is expected
        assert len(here.tasks()) == tasks


def test_a_signature_that_ran_out_is_renewed_by_a_query() -> None:
    async def act(here: Sandbox, http: TopviewClient) -> None:
        cut = await cut_out(here, http)
        here.advance_clock(2 * DAY)
        with pytest.raises(errors.UrlExpired):
            await download(http, cut.mask_image_path)
        again = await http.query("remove_background", cut.task_id)
        await download(http, again.mask_image_path)

    with sandbox(speed=1.0) as here:
        run(here, act)
