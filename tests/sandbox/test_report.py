"""The counters that other tests and benches trust: they count what is there, and nothing else."""

import pytest

from topview_pipeline.sandbox.api.report import slot_use
from topview_pipeline.sandbox.kinds import Kind

from .conftest import QUAD, START, Rig


def test_a_clean_run_has_no_duplicate_and_no_orphan(rig: Rig) -> None:
    (image,) = rig.scenes()
    video = rig.submit(Kind.IMAGE2VIDEO, rig.video_body(image["imageId"]))
    for url in (image["url"], rig.finish(Kind.IMAGE2VIDEO, video)["finishedVideoUrl"]):
        assert rig.request("GET", url).status_code == 200
    report = rig.counters()
    assert (report["duplicates"], report["orphans"], report["repeats"]) == (0, 0, 0)
    assert report["accepted"] == report["succeeded"]
    assert report["succeeded"] == {"remove_background": 1, "image_replace": 1, "image2Video": 1}


def test_the_same_work_is_a_duplicate_whatever_the_ids_of_its_inputs(rig: Rig) -> None:
    scenes, videos = [], []
    for _ in range(2):
        scenes.append(rig.submit(Kind.IMAGE_REPLACE, rig.scene_body()))
        (image,) = rig.finish(Kind.IMAGE_REPLACE, scenes[-1])["replaceProductResult"]
        videos.append(rig.submit(Kind.IMAGE2VIDEO, rig.video_body(image["imageId"])))
        rig.finish(Kind.IMAGE2VIDEO, videos[-1])
    report = rig.counters()
    assert report["duplicate_tasks"] == [scenes[1], videos[1]]
    assert report["repeats"] == 1  # the free cut-out, made twice


def test_a_cutout_that_is_downloaded_and_uploaded_again_is_still_that_cutout(rig: Rig) -> None:
    cutout = rig.finish(Kind.REMOVE_BACKGROUND, rig.start_cutout())
    bytes_again = rig.request("GET", cutout["bgRemovedImagePath"]).content
    for file_id in (cutout["bgRemovedImageFileId"], rig.upload(bytes_again)):
        rig.scenes(cutout=file_id)
    assert rig.counters()["duplicates"] == 1


@pytest.mark.parametrize("change", [{"ttsText": "another"}, {"mode": "lite"}, {"captionId": ""}])
def test_other_work_is_no_duplicate(rig: Rig, change: dict[str, str]) -> None:
    image_id = rig.scenes()[0]["imageId"]
    for fields in ({}, change):
        rig.submit(Kind.IMAGE2VIDEO, rig.video_body(image_id, **fields))
    rig.advance(60)
    assert rig.counters()["duplicates"] == 0


def test_a_failed_task_and_its_retry_are_no_duplicate(rig: Rig) -> None:
    cutout = rig.cutout()
    for faults in ({"fail": 1.0}, {}):
        rig.world.faults.set(faults)
        rig.submit(Kind.IMAGE_REPLACE, rig.scene_body(cutout))
        rig.advance(60)
    assert rig.counters()["accepted"]["image_replace"] == 2
    assert rig.counters()["duplicates"] == 0


def test_a_paid_result_is_an_orphan_until_every_image_was_sent_whole(rig: Rig) -> None:
    body = rig.scene_body(generateImageMode="manual", location=QUAD)
    task = rig.submit(Kind.IMAGE_REPLACE, body)
    assert rig.counters()["orphans"] == 0  # not finished
    images = rig.finish(Kind.IMAGE_REPLACE, task)["replaceProductResult"]
    rig.request("GET", images[0]["url"])
    rig.request("GET", images[1]["url"], headers={"Range": "bytes=0-9"})
    assert rig.counters()["orphan_tasks"] == [task]
    rig.request("GET", images[1]["url"], headers={"Range": "bytes=10-"})
    assert rig.counters()["orphans"] == 0


def test_slot_use_is_the_integral_of_busy_slots(rig: Rig) -> None:
    rig.start_cutout()
    rig.advance(1)
    rig.start_cutout()
    rig.advance(2.5)  # the first ended at 3, the second runs until 4
    slots = rig.counters()["slots"]
    assert slots["busy_seconds"] == pytest.approx(3 + 2.5)
    assert slots["changes"] == [[START, 1], [START + 1, 2], [START + 3, 1]]
    assert (slots["busy"], slots["peak"], slots["concurrency"]) == (1, 2, 4)
    assert slot_use([], 5.0, 2)["busy_seconds"] == 0


def test_lag_is_from_success_to_the_first_answer_that_shows_it(rig: Rig) -> None:
    task = rig.start_cutout()
    rig.query(Kind.REMOVE_BACKGROUND, task)
    rig.advance(3.5)
    for _ in range(2):
        rig.query(Kind.REMOVE_BACKGROUND, task)
        rig.advance(10)
    lag = rig.counters()["lag_seconds"]["remove_background"]
    assert (lag["count"], lag["max"]) == (1, pytest.approx(0.5))
    assert rig.counters()["queries"] == {"remove_background": 3}


def test_reset_forgets_everything_but_the_configuration(rig: Rig) -> None:
    rig.scenes()
    assert rig.control("POST", "reset").status_code == 200
    report = rig.counters()
    assert (report["accepted"], report["submits"], report["charged"]) == ({}, {}, 0)
    assert report["credits"] == {rig.config.uid: rig.config.credits}
    assert len(rig.scenes()) == 1
