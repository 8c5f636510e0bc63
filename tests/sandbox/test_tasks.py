"""The life of a task over the clock: statuses, durations, slots, forgetting."""

from collections.abc import Callable
from threading import Event

import pytest

from topview_pipeline.sandbox.kinds import Kind
from topview_pipeline.sandbox.media import Cutout
from topview_pipeline.sandbox.tinymedia import TinyMedia

from .conftest import QUERY_PATHS, START, Rig, picture

MakeRig = Callable[..., Rig]
SUBMIT = QUERY_PATHS[Kind.REMOVE_BACKGROUND] + "/submit"


def submit(rig: Rig, shade: int = 0) -> str:
    return rig.submit(Kind.REMOVE_BACKGROUND, {"productImageFileId": rig.upload(picture(shade))})


def status(rig: Rig, task: str) -> str:
    return str(rig.query(Kind.REMOVE_BACKGROUND, task)["result"]["status"])


def test_a_task_is_init_then_running_then_success(rig: Rig) -> None:
    task = submit(rig)
    seen = []
    for seconds in (0.0, 0.2, 0.2, 2.5, 0.2):
        rig.advance(seconds)
        seen.append(status(rig, task))
    assert seen == ["init", "init", "running", "running", "success"]


def test_outputs_and_cost_are_empty_until_success(rig: Rig) -> None:
    task = rig.submit(Kind.IMAGE_REPLACE, rig.scene_body())
    before = rig.query(Kind.IMAGE_REPLACE, task)["result"]
    assert (before["replaceProductResult"], before["costCredit"]) == (None, 0)
    assert rig.finish(Kind.IMAGE_REPLACE, task)["costCredit"] == 1


def test_speed_divides_every_duration(make_rig: MakeRig) -> None:
    rig = make_rig(speed=10.0)
    task = submit(rig)
    rig.advance(0.31)
    assert status(rig, task) == "success"


def test_durations_belong_to_the_work_and_not_to_the_order_of_submits(make_rig: MakeRig) -> None:
    def durations(shades: list[int], seed: int) -> dict[int, float]:
        rig = make_rig(sigma=0.5, seed=seed)
        tasks = {shade: submit(rig, shade) for shade in shades}
        return {shade: rig.world.state.tasks[task].ends_at for shade, task in tasks.items()}

    forward, backward, other = durations([1, 2, 3], 4), durations([3, 2, 1], 4), durations([1], 5)
    assert forward == backward
    assert len(set(forward.values())) == 3
    assert other[1] != forward[1]


def test_full_slots_answer_4007_until_a_task_ends(make_rig: MakeRig) -> None:
    rig = make_rig(concurrency=2)
    photos = [rig.upload(picture(shade)) for shade in range(3)]
    codes = [rig.post(SUBMIT, {"productImageFileId": photo})["code"] for photo in photos]
    assert codes == ["200", "200", "4007"]
    rig.advance(3.1)
    assert rig.post(SUBMIT, {"productImageFileId": photos[2]})["code"] == "200"
    assert rig.counters()["slots"]["peak"] == 2


def test_all_kinds_share_the_slots(make_rig: MakeRig) -> None:
    rig = make_rig(concurrency=1)
    body = rig.scene_body()
    submit(rig, 9)
    assert rig.post(QUERY_PATHS[Kind.IMAGE_REPLACE] + "/submit", body)["code"] == "4007"


def test_a_shrunk_account_takes_less(rig: Rig) -> None:
    rig.request("PUT", "/_sandbox/slots", json={"concurrency": 0})
    body = {"productImageFileId": rig.upload(picture())}
    assert rig.post(SUBMIT, body)["code"] == "4007"


@pytest.mark.parametrize("task", ["", "f00"])
def test_a_query_of_no_task_is_refused(rig: Rig, task: str) -> None:
    code = rig.query(Kind.REMOVE_BACKGROUND, task)["code"]
    assert code == ("4004" if task else "4003")


def test_a_task_is_not_found_under_another_kinds_path(rig: Rig) -> None:
    assert rig.query(Kind.IMAGE2VIDEO, submit(rig))["code"] == "4004"


class _Slow(TinyMedia):
    def __init__(self) -> None:
        self.go_on = Event()

    def cutout(self, image: bytes) -> Cutout:
        assert self.go_on.wait(30)
        return super().cutout(image)


def test_a_task_runs_until_its_media_are_ready_and_holds_its_slot(make_rig: MakeRig) -> None:
    engine = _Slow()
    rig = make_rig(engine=engine, media="real", media_workers=1, concurrency=1)
    task = submit(rig)
    rig.advance(10)
    assert status(rig, task) == "running"
    assert rig.post(SUBMIT, {"productImageFileId": rig.upload(picture(2))})["code"] == "4007"
    engine.go_on.set()
    rig.world.workshop.close(wait=True)
    assert status(rig, task) == "success"
    assert rig.world.state.tasks[task].ended_at == START + 10


def test_forgotten_ids_are_not_found_and_no_longer_named(make_rig: MakeRig) -> None:
    rig = make_rig(forget_after=100.0)
    photo = rig.upload(picture())
    task = rig.submit(Kind.REMOVE_BACKGROUND, {"productImageFileId": photo})
    cutout = rig.finish(Kind.REMOVE_BACKGROUND, task)["bgRemovedImageFileId"]
    scene_task = rig.submit(Kind.IMAGE_REPLACE, rig.scene_body(cutout))
    image_id = rig.finish(Kind.IMAGE_REPLACE, scene_task)["replaceProductResult"][0]["imageId"]
    video_task = rig.submit(Kind.IMAGE2VIDEO, rig.video_body(image_id))
    rig.finish(Kind.IMAGE2VIDEO, video_task)
    rig.advance(101)
    assert rig.post(SUBMIT, {"productImageFileId": photo})["code"] == "4004"
    assert rig.get("/v1/upload/check", fileId=photo)["code"] == "4004"
    scenes = QUERY_PATHS[Kind.IMAGE_REPLACE] + "/submit"
    assert rig.post(scenes, rig.scene_body(cutout))["code"] == "4004"
    videos = QUERY_PATHS[Kind.IMAGE2VIDEO] + "/submit"
    assert rig.post(videos, rig.video_body(image_id))["code"] == "4004"
    gone = rig.query(Kind.IMAGE_REPLACE, scene_task)["result"]
    assert (gone["status"], gone["replaceProductResult"]) == ("success", [])
    assert rig.query(Kind.REMOVE_BACKGROUND, task)["result"]["bgRemovedImageFileId"] is None
    assert rig.query(Kind.IMAGE2VIDEO, video_task)["result"]["finishedVideoUrl"]


def test_a_public_avatar_is_never_forgotten(make_rig: MakeRig) -> None:
    rig = make_rig(forget_after=100.0)
    avatar = rig.get("/v1/product_avatar/public_avatar/query")["result"]["data"][0]["avatarId"]
    rig.advance(1e6)
    assert rig.scenes(templateImageFileId="", avatarId=avatar)


def test_media_are_gone_after_their_retention(make_rig: MakeRig) -> None:
    rig = make_rig(retention_seconds=1000.0, url_seconds=10_000)
    task = rig.submit(Kind.IMAGE_REPLACE, rig.scene_body())
    url = rig.finish(Kind.IMAGE_REPLACE, task)["replaceProductResult"][0]["url"]
    rig.advance(1001)
    gone = rig.query(Kind.IMAGE_REPLACE, task)["result"]
    assert gone["replaceProductResult"][0]["url"] is None
    assert rig.request("GET", url).status_code == 404
