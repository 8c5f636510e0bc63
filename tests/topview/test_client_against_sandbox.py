"""Every call of the client against the sandbox, which shares no code with it, over real sockets."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, TypeVar

import httpx
import pytest
from PIL import Image

from tests.topview.support import Pauses, using
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.serve import Running, running
from topview_pipeline.topview import errors, models
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.transfers import Media

UNHEARD_OF = "0" * 32
QUAD = ((0.2, 0.5), (0.6, 0.5), (0.6, 0.9), (0.2, 0.9))
DAY = 86_400.0
LONG_AGO = datetime(2025, 1, 1, tzinfo=timezone.utc)
_T = TypeVar("_T")


class World:
    """A sandbox whose clock moves only by `later`."""

    def __init__(self, sandbox: Running, now: list[float]) -> None:
        self.sandbox = sandbox
        self._now = now

    def later(self, seconds: float = 3600.0) -> None:
        self._now[0] += seconds

    def run(self, act: Act[_T]) -> _T:
        """The result of `act`, which gets this world and an open client."""
        url, uid, key = self.sandbox.base_url, self.sandbox.uid, self.sandbox.api_key
        client = TopviewClient(base_url=url, uid=uid, api_key=key, sleep=Pauses())
        return using(client, lambda http: act(self, http))

    def failure(self, act: Act[Any]) -> errors.TopviewError:
        with pytest.raises(errors.TopviewError) as caught:
            self.run(act)
        return caught.value

    def control(self, method: str, path: str, body: object = None) -> Any:
        url = f"{self.sandbox.base_url}/_sandbox/{path}"
        answer = httpx.request(method, url, json=body, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.json()


Act = Callable[[World, TopviewClient], Awaitable[_T]]


@contextmanager
def world(**faults: float) -> Iterator[World]:
    now = [time.time()]
    config = SandboxConfig(media="tiny", faults=faults, forget_after=10 * DAY)
    with running(config, clock=lambda: now[0]) as sandbox:
        yield World(sandbox, now)


def picture(colour: str = "white") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (60, 60), colour).save(out, "PNG")
    return out.getvalue()


async def submit_photo(_here: World, http: TopviewClient) -> str:
    """Upload a photo, have it cut out, and return the task's id."""
    photo = await http.upload(picture(), format="png")
    request = models.RemoveBackgroundRequest(product_image_file_id=photo)
    return (await http.submit("remove_background", request, ids_of_ours=[photo])).task_id


async def query_at_once(here: World, http: TopviewClient) -> Any:
    return await http.query("remove_background", await submit_photo(here, http))


async def cut_out(here: World, http: TopviewClient) -> Any:
    task_id = await submit_photo(here, http)
    here.later()
    return await http.query("remove_background", task_id)


async def download(http: TopviewClient, url: str | None, expect: Media = "image") -> bytes:
    assert url is not None
    into = io.BytesIO()
    got = await http.download(url, into, max_bytes=10_000_000, expect=expect)
    assert got.sha256 == hashlib.sha256(into.getvalue()).hexdigest()
    return into.getvalue()


async def download_mask(here: World, http: TopviewClient) -> bytes:
    return await download(http, (await cut_out(here, http)).mask_image_path)


async def check(_here: World, http: TopviewClient) -> str | None:
    return (await http.check_account()).uid


async def photo_to_video(here: World, http: TopviewClient) -> None:
    before = await http.check_account()
    cut = await cut_out(here, http)
    assert cut.status is models.TaskStatus.SUCCESS
    await download(http, cut.bg_removed_image_path)
    await download(http, cut.mask_image_path)
    assert cut.bg_removed_image_file_id is not None

    replace = models.ImageReplaceRequest(
        generate_image_mode="manual",
        product_image_without_background_file_id=cut.bg_removed_image_file_id,
        template_image_file_id=await http.upload(picture("blue"), format="png"),
        location=QUAD,
    )
    task = await http.submit("image_replace", replace)
    here.later()
    scenes = await http.query("image_replace", task.task_id)
    for image in scenes.images:
        await download(http, image.url)

    voice = (await http.voices())[0]
    animate = models.Image2VideoRequest(
        replace_product_task_image_id=scenes.images[0].image_id,
        mode="lite",
        tts_text="Look at this.",
        voice_id=voice.voice_id,
        caption_id=(await http.captions())[0].caption_id,
    )
    task = await http.submit("image2Video", animate)
    here.later()
    video = await http.query("image2Video", task.task_id)
    await download(http, video.finished_video_url, "video")
    assert video.ai_avatar is not None
    assert video.ai_avatar.model_dump(by_alias=True)["voiceoverIdDefault"] == voice.voice_id

    log = [entry async for entry in http.credit_log(start=LONG_AGO)]
    assert [(entry.task_id, entry.cost_credit) for entry in log] == [
        (video.task_id, video.cost_credit),
        (scenes.task_id, scenes.cost_credit),
    ]
    left = (await http.check_account()).remain_credit or 0.0
    spent = sum(entry.cost_credit or 0.0 for entry in log)
    assert spent > 0
    assert (before.remain_credit or 0.0) - left == pytest.approx(spent)


def test_a_product_goes_its_way_and_the_log_shows_what_it_cost() -> None:
    with world() as here:
        here.run(photo_to_video)


def test_a_task_runs_before_it_succeeds_although_the_submit_says_success() -> None:
    with world() as here:
        result = here.run(query_at_once)
    assert result.status in (models.TaskStatus.INIT, models.TaskStatus.RUNNING)
    assert result.bg_removed_image_path is None


def test_ids_that_topview_does_not_know() -> None:
    request = models.RemoveBackgroundRequest(product_image_file_id=UNHEARD_OF)
    acts: list[Act[Any]] = [
        lambda _, http: http.submit("remove_background", request, ids_of_ours=[UNHEARD_OF]),
        lambda _, http: http.submit("remove_background", request),
        lambda _, http: http.query("remove_background", UNHEARD_OF),
    ]
    with world() as here:
        got = [type(here.failure(act)) for act in acts]
    assert got == [errors.UpstreamGone, errors.Rejected, errors.TaskUnknown]


def test_an_account_whose_slots_are_full_is_refused_and_nothing_is_created() -> None:
    with world() as here:
        here.control("PUT", "slots", {"concurrency": 0})
        error = here.failure(submit_photo)
        assert (type(error), error.code) == (errors.Refused, "4007")
        assert here.control("GET", "tasks") == []


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
    with world(**{fault: 1.0}) as here:
        assert type(here.failure(act)) is expected
        assert len(here.control("GET", "tasks")) == tasks


def test_a_signature_that_ran_out_is_renewed_by_a_query() -> None:
    async def act(here: World, http: TopviewClient) -> None:
        cut = await cut_out(here, http)
        here.later(2 * DAY)
        with pytest.raises(errors.UrlExpired):
            await download(http, cut.mask_image_path)
        again = await http.query("remove_background", cut.task_id)
        await download(http, again.mask_image_path)

    with world() as here:
        here.run(act)
