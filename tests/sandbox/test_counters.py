"""The counters that other tests and benches trust: they count what is there, and nothing else."""

from typing import Any

import pytest

from topview_pipeline.sandbox.kinds import Kind
from topview_pipeline.sandbox.records import Task
from topview_pipeline.sandbox.report import slot_use

from .conftest import QUERY_PATHS, START, VOICE, Rig, picture


def scene_task(rig: Rig, **fields: Any) -> str:
    task = rig.submit(Kind.IMAGE_REPLACE, rig.scene_body(**fields))
    rig.advance(60)
    return task


def download(rig: Rig, kind: Kind, task: str) -> None:
    result = rig.query(kind, task)["result"]
    images = result.get("replaceProductResult") or [{"url": result.get("finishedVideoUrl")}]
    for image in images:
        assert rig.request("GET", image["url"]).status_code == 200


def test_a_clean_run_has_no_duplicate_and_no_orphan(rig: Rig) -> None:
    scenes = scene_task(rig)
    download(rig, Kind.IMAGE_REPLACE, scenes)
    image_id = rig.query(Kind.IMAGE_REPLACE, scenes)["result"]["replaceProductResult"][0]["imageId"]
    video = rig.submit(Kind.IMAGE2VIDEO, rig.video_body(image_id))
    rig.advance(60)
    download(rig, Kind.IMAGE2VIDEO, video)
    report = rig.counters()
    assert (report["duplicates"], report["orphans"], report["repeats"]) == (0, 0, 0)
    assert report["accepted"] == report["succeeded"]
    assert report["succeeded"] == {"remove_background": 1, "image_replace": 1, "image2Video": 1}


def test_the_same_photos_uploaded_again_are_the_same_work(rig: Rig) -> None:
    first, second = scene_task(rig), scene_task(rig)
    report = rig.counters()
    assert report["duplicate_tasks"] == [second]
    assert report["repeats"] == 1  # the free cut-out, made twice
    assert first not in report["duplicate_tasks"]


def test_a_duplicate_is_seen_through_the_ids_of_its_upstream(rig: Rig) -> None:
    image_ids = [rig.scenes()[0]["imageId"] for _ in range(2)]
    assert image_ids[0] != image_ids[1]
    videos = [rig.submit(Kind.IMAGE2VIDEO, rig.video_body(image_id)) for image_id in image_ids]
    rig.advance(60)
    assert videos[1] in rig.counters()["duplicate_tasks"]


def test_a_cutout_that_is_downloaded_and_uploaded_again_is_still_that_cutout(rig: Rig) -> None:
    task = rig.submit(Kind.REMOVE_BACKGROUND, {"productImageFileId": rig.upload(picture())})
    cutout = rig.finish(Kind.REMOVE_BACKGROUND, task)
    bytes_again = rig.request("GET", cutout["bgRemovedImagePath"]).content
    scene_task(rig, cutout=cutout["bgRemovedImageFileId"])
    second = scene_task(rig, cutout=rig.upload(bytes_again))
    assert rig.counters()["duplicate_tasks"] == [second]


@pytest.mark.parametrize(
    "change",
    [
        {"ttsText": "another"},
        {"mode": "lite"},
        {"captionId": ""},
        {"scriptMode": "text", "ttsText": "again", "voiceId": VOICE},
    ],
)
def test_other_work_is_no_duplicate(rig: Rig, change: dict[str, str]) -> None:
    image_id = rig.scenes()[0]["imageId"]
    for fields in ({}, change):
        rig.submit(Kind.IMAGE2VIDEO, rig.video_body(image_id, **fields))
    rig.advance(60)
    assert rig.counters()["duplicates"] == 0


def test_a_failed_task_and_its_retry_are_no_duplicate(rig: Rig) -> None:
    cutout = rig.cutout()
    rig.world.faults.set({"fail": 1.0})
    scene_task(rig, cutout=cutout)
    rig.world.faults.set({})
    scene_task(rig, cutout=cutout)
    report = rig.counters()
    assert report["accepted"]["image_replace"] == 2
    assert report["duplicates"] == 0


def test_a_paid_result_is_an_orphan_until_every_image_was_sent_whole(rig: Rig) -> None:
    body = rig.scene_body(generateImageMode="manual", location=[[0, 0], [1, 0], [1, 1], [0, 1]])
    task = rig.submit(Kind.IMAGE_REPLACE, body)
    assert rig.counters()["orphans"] == 0  # not finished
    images = rig.finish(Kind.IMAGE_REPLACE, task)["replaceProductResult"]
    rig.request("GET", images[0]["url"])
    rig.request("GET", images[1]["url"], headers={"Range": "bytes=0-9"})
    assert rig.counters()["orphan_tasks"] == [task]
    rig.request("GET", images[1]["url"], headers={"Range": "bytes=10-"})
    assert rig.counters()["orphans"] == 0


def test_slot_use_is_the_integral_of_busy_slots(rig: Rig) -> None:
    body = {"productImageFileId": rig.upload(picture())}
    rig.submit(Kind.REMOVE_BACKGROUND, body)
    rig.advance(1)
    rig.submit(Kind.REMOVE_BACKGROUND, body)
    rig.advance(2.5)  # the first ended at 3, the second runs until 4
    slots = rig.counters()["slots"]
    assert slots["busy_seconds"] == pytest.approx(3 + 2.5)
    assert slots["changes"] == [[START, 1], [START + 1, 2], [START + 3, 1]]
    assert (slots["busy"], slots["peak"], slots["concurrency"]) == (1, 2, 4)


def test_slot_use_without_tasks_is_nothing() -> None:
    tasks: list[Task] = []
    assert slot_use(tasks, 5.0, 2)["busy_seconds"] == 0


def test_lag_is_from_success_to_the_first_answer_that_shows_it(rig: Rig) -> None:
    task = rig.submit(Kind.REMOVE_BACKGROUND, {"productImageFileId": rig.upload(picture())})
    rig.query(Kind.REMOVE_BACKGROUND, task)
    rig.advance(3.5)
    for _ in range(2):
        rig.query(Kind.REMOVE_BACKGROUND, task)
        rig.advance(10)
    lag = rig.counters()["lag_seconds"]["remove_background"]
    assert (lag["count"], lag["max"]) == (1, pytest.approx(0.5))
    assert rig.counters()["queries"] == {"remove_background": 3}


def test_submits_are_counted_whether_or_not_they_are_taken(rig: Rig) -> None:
    path = QUERY_PATHS[Kind.REMOVE_BACKGROUND] + "/submit"
    rig.post(path, {})
    rig.post(path, {"productImageFileId": rig.upload(picture())})
    report = rig.counters()
    assert report["submits"] == {"remove_background": 2}
    assert report["refused"] == {"4003": 1}
    assert report["tasks"] == {"init": 1}


def test_reset_forgets_everything_but_the_configuration(rig: Rig) -> None:
    rig.scenes()
    assert rig.request("POST", "/_sandbox/reset").status_code == 200
    report = rig.counters()
    assert (report["accepted"], report["submits"], report["charged"]) == ({}, {}, 0)
    assert report["credits"] == {rig.config.uid: rig.config.credits}
    assert len(rig.scenes()) == 1
