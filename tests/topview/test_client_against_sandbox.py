"""Every call of the client against the sandbox, which shares no code with it, over real sockets."""

import hashlib
import io
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.topview.support import Pauses, run
from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.serve import Running, running
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.errors import (
    AccountError,
    Ambiguous,
    Incomplete,
    NotTopview,
    Refused,
    Rejected,
    TaskUnknown,
    TopviewError,
    Unavailable,
    UpstreamGone,
    UrlExpired,
)
from topview_pipeline.topview.media import Media
from topview_pipeline.topview.models import (
    Image2VideoRequest,
    ImageReplaceRequest,
    RemoveBackgroundRequest,
    RemoveBackgroundResult,
    TaskStatus,
)

UNHEARD_OF = "0" * 32
QUAD = ((0.2, 0.5), (0.6, 0.5), (0.6, 0.9), (0.2, 0.9))
DAY = 86_400.0

Act = Callable[[TopviewClient], Awaitable[object]]


class World:
    """A sandbox whose clock moves only when it is told to."""

    def __init__(self, sandbox: Running, now: list[float]) -> None:
        self.sandbox = sandbox
        self._now = now

    def later(self, seconds: float = 3600.0) -> None:
        self._now[0] += seconds

    def client(self, *, api_key: str | None = None) -> TopviewClient:
        return TopviewClient(
            base_url=self.sandbox.base_url,
            uid=self.sandbox.uid,
            api_key=api_key or self.sandbox.api_key,
            sleep=Pauses(),
        )

    def control(self, method: str, path: str, body: object = None) -> Any:
        url = f"{self.sandbox.base_url}/_sandbox/{path}"
        answer = httpx.request(method, url, json=body, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def failure(self, act: Act, *, api_key: str | None = None) -> TopviewError:
        """The error that `act` ends with."""

        async def inside() -> None:
            async with self.client(api_key=api_key) as http:
                await act(http)

        with pytest.raises(TopviewError) as caught:
            run(inside())
        return caught.value


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


async def submit_photo(http: TopviewClient) -> str:
    """Upload a photo, have it cut out, and return the task's id."""
    photo = await http.upload(picture(), format="png")
    request = RemoveBackgroundRequest(product_image_file_id=photo)
    return (await http.submit_remove_background(request, ids_of_ours=[photo])).task_id


async def cut_out(here: World, http: TopviewClient) -> RemoveBackgroundResult:
    task_id = await submit_photo(http)
    here.later()
    return await http.query_remove_background(task_id)


async def download(http: TopviewClient, url: str | None, expect: Media = "image") -> bytes:
    assert url is not None
    into = io.BytesIO()
    got = await http.download(url, into, max_bytes=10_000_000, expect=expect)
    assert got.sha256 == hashlib.sha256(into.getvalue()).hexdigest()
    return into.getvalue()


def test_a_product_goes_from_photo_to_video_and_the_log_shows_what_it_cost() -> None:
    async def inside(here: World) -> None:
        async with here.client() as http:
            before = await http.check_account()
            assert before.uid == here.sandbox.uid

            cut = await cut_out(here, http)
            assert cut.status is TaskStatus.SUCCESS
            await download(http, cut.bg_removed_image_path)
            mask = Image.open(io.BytesIO(await download(http, cut.mask_image_path)))
            assert mask.size == (cut.mask_image_width, cut.mask_image_height)
            assert cut.bg_removed_image_file_id is not None

            replace = ImageReplaceRequest(
                generate_image_mode="manual",
                product_image_without_background_file_id=cut.bg_removed_image_file_id,
                template_image_file_id=await http.upload(picture("blue"), format="png"),
                location=QUAD,
            )
            task = await http.submit_image_replace(replace)
            here.later()
            scenes = await http.query_image_replace(task.task_id)
            for image in scenes.images:
                await download(http, image.url)

            voice = (await http.voices())[0]
            animate = Image2VideoRequest(
                replace_product_task_image_id=scenes.images[0].image_id,
                mode="lite",
                tts_text="Look at this.",
                voice_id=voice.voice_id,
                caption_id=(await http.captions())[0].caption_id,
            )
            task = await http.submit_image2video(animate)
            here.later()
            video = await http.query_image2video(task.task_id)
            await download(http, video.finished_video_url, "video")
            assert video.ai_avatar is not None
            assert video.ai_avatar.voiceover_id_default == voice.voice_id

            log = [entry async for entry in http.credit_log(page_size=1)]
            assert [(entry.task_id, entry.cost_credit) for entry in log] == [
                (video.task_id, video.cost_credit),
                (scenes.task_id, scenes.cost_credit),
            ]
            after = await http.credit_detail()
            assert before.remain_credit is not None
            assert after.remain_credit is not None
            spent = sum(entry.cost_credit or 0.0 for entry in log)
            assert spent > 0
            assert before.remain_credit - after.remain_credit == pytest.approx(spent)

    with world() as here:
        run(inside(here))


def test_auto_mode_takes_a_public_avatar() -> None:
    async def inside(here: World) -> None:
        async with here.client() as http:
            cut = await cut_out(here, http)
            assert cut.bg_removed_image_file_id is not None
            request = ImageReplaceRequest(
                generate_image_mode="auto",
                product_image_without_background_file_id=cut.bg_removed_image_file_id,
                avatar_id=(await http.public_avatars())[0].avatar_id,
                image_edit_prompt="let her hold it",
            )
            task = await http.submit_image_replace(request)
            here.later()
            for image in (await http.query_image_replace(task.task_id)).images:
                await download(http, image.url)

    with world() as here:
        run(inside(here))


def test_a_task_runs_before_it_succeeds_although_the_submit_says_success() -> None:
    async def inside(here: World) -> RemoveBackgroundResult:
        async with here.client() as http:
            return await http.query_remove_background(await submit_photo(http))

    with world() as here:
        result = run(inside(here))
    assert result.status in (TaskStatus.INIT, TaskStatus.RUNNING)
    assert result.bg_removed_image_path is None


def test_ids_that_topview_does_not_know() -> None:
    request = RemoveBackgroundRequest(product_image_file_id=UNHEARD_OF)
    with world() as here:
        ours = here.failure(
            lambda http: http.submit_remove_background(request, ids_of_ours=[UNHEARD_OF])
        )
        catalogues = here.failure(lambda http: http.submit_remove_background(request))
        task = here.failure(lambda http: http.query_remove_background(UNHEARD_OF))
    assert [type(error) for error in (ours, catalogues, task)] == [
        UpstreamGone,
        Rejected,
        TaskUnknown,
    ]


def test_an_account_whose_slots_are_full_is_refused_and_nothing_is_created() -> None:
    with world() as here:
        here.control("PUT", "slots", {"concurrency": 0})
        error = here.failure(submit_photo)
        assert (type(error), error.code) == (Refused, "4007")
        assert here.control("GET", "tasks") == []


def test_a_wrong_key_is_the_accounts_trouble() -> None:
    with world() as here:
        error = here.failure(lambda http: http.check_account(), api_key="wrong")
    assert (type(error), error.http_status) == (AccountError, 401)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("drop_submit", Ambiguous),
        ("busy", Refused),
        ("moderation", Rejected),
    ],
)
def test_faults_of_a_submit(fault: str, expected: type[TopviewError]) -> None:
    with world(**{fault: 1.0}) as here:
        assert type(here.failure(submit_photo)) is expected
        created = len(here.control("GET", "tasks"))
    assert created == (1 if expected is Ambiguous else 0)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [("http429", Unavailable), ("err500", Unavailable), ("garbage", NotTopview)],
)
def test_a_check_of_an_account_behind_a_broken_gateway(
    fault: str, expected: type[TopviewError]
) -> None:
    with world(**{fault: 1.0}) as here:
        assert type(here.failure(lambda http: http.check_account())) is expected


def test_an_unknown_status_word_is_still_running() -> None:
    async def inside(here: World) -> RemoveBackgroundResult:
        async with here.client() as http:
            return await cut_out(here, http)

    with world(unknown_status=1.0) as here:
        result = run(inside(here))
    assert result.status is TaskStatus.RUNNING
    assert result.raw_status not in {status.value for status in TaskStatus}


def test_a_task_that_is_not_found_right_after_its_submit_is_unknown() -> None:
    async def query_at_once(http: TopviewClient) -> None:
        await http.query_remove_background(await submit_photo(http))

    with world(notfound_grace=1.0) as here:
        assert type(here.failure(query_at_once)) is TaskUnknown


def test_a_download_that_the_server_cuts_is_incomplete() -> None:
    with world(cut_download=1.0) as here:

        async def act(http: TopviewClient) -> None:
            await download(http, (await cut_out(here, http)).mask_image_path)

        assert type(here.failure(act)) is Incomplete


def test_a_signature_that_ran_out_is_mended_by_a_query() -> None:
    async def inside(here: World) -> None:
        async with here.client() as http:
            cut = await cut_out(here, http)
            here.later(2 * DAY)
            with pytest.raises(UrlExpired):
                await download(http, cut.mask_image_path)
            again = await http.query_remove_background(cut.task_id)
            await download(http, again.mask_image_path)

    with world() as here:
        run(inside(here))
