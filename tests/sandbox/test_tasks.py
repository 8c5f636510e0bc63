"""The life of a task: statuses, durations, slots, charges, media, forgetting, other processes."""

from pathlib import Path
from threading import Event

import pytest

from topview_pipeline.sandbox.kinds import Kind
from topview_pipeline.sandbox.media.engine import Cutout
from topview_pipeline.sandbox.media.tiny import TinyMedia

from .conftest import QUAD, START, MakeRig, Rig, picture


def status(rig: Rig, task: str) -> str:
    return str(rig.query(Kind.REMOVE_BACKGROUND, task)["result"]["status"])


def remaining(rig: Rig) -> float:
    return float(rig.get("/user/credit/detail")["result"]["remainCredit"])


@pytest.mark.parametrize("speed", [1.0, 10.0])
def test_a_task_is_init_then_running_then_success(make_rig: MakeRig, speed: float) -> None:
    rig = make_rig(speed=speed)
    task = rig.start_cutout()
    seen = []
    for seconds in (0.0, 0.2, 0.2, 2.5, 0.2):
        rig.advance(seconds / speed)
        seen.append(status(rig, task))
    assert seen == ["init", "init", "running", "running", "success"]


def test_a_query_of_no_task_or_under_another_kinds_path_is_refused(rig: Rig) -> None:
    for task, code in (("", "4003"), ("f00", "4004"), (rig.start_cutout(), "4004")):
        assert rig.query(Kind.IMAGE2VIDEO, task)["code"] == code


def test_a_cutout_is_free_and_every_image_costs_a_credit_once_it_is_there(rig: Rig) -> None:
    body = rig.scene_body(generateImageMode="manual", location=QUAD)
    task = rig.submit(Kind.IMAGE_REPLACE, body)
    before = rig.query(Kind.IMAGE_REPLACE, task)["result"]
    assert (before["replaceProductResult"], before["costCredit"]) == (None, 0)
    assert remaining(rig) == rig.config.credits
    assert rig.get("/user/credit/logs")["result"]["total"] == 0
    assert rig.finish(Kind.IMAGE_REPLACE, task)["costCredit"] == 2
    assert remaining(rig) == rig.config.credits - 2


def test_without_credits_paid_kinds_answer_4100_and_the_free_one_goes_on(make_rig: MakeRig) -> None:
    rig = make_rig(credits=1.0)
    cutout = rig.cutout()
    manual = rig.scene_body(cutout, generateImageMode="manual", location=QUAD)
    assert rig.answer(Kind.IMAGE_REPLACE, manual)["code"] == "4100"
    assert rig.answer(Kind.IMAGE_REPLACE, rig.scene_body(cutout))["code"] == "200"
    # The running task will need the credit.
    other = rig.scene_body(cutout, imageEditPrompt="b")
    assert rig.answer(Kind.IMAGE_REPLACE, other)["code"] == "4100"
    assert rig.cutout(3)
    rig.control("PUT", "credits", credits=5)
    assert rig.answer(Kind.IMAGE_REPLACE, manual)["code"] == "200"


class _Slow(TinyMedia):
    def __init__(self) -> None:
        self.go_on = Event()

    def cutout(self, image: bytes) -> Cutout:
        assert self.go_on.wait(30)
        return super().cutout(image)


def test_a_task_runs_until_its_media_are_ready_and_holds_its_slot(make_rig: MakeRig) -> None:
    engine = _Slow()
    rig = make_rig(engine=engine, media="real", media_workers=1, concurrency=1)
    task = rig.start_cutout()
    rig.advance(10)
    assert status(rig, task) == "running"
    body = {"productImageFileId": rig.upload(picture(2))}
    assert rig.answer(Kind.REMOVE_BACKGROUND, body)["code"] == "4007"
    engine.go_on.set()
    rig.world.media.close(wait=True)
    assert status(rig, task) == "success"
    assert rig.world.state.tasks[task].ended_at == START + 10


class _Crashing(TinyMedia):
    def cutout(self, image: bytes) -> Cutout:
        raise ZeroDivisionError(len(image))


def test_a_crash_of_the_media_fails_the_task_and_is_logged(
    make_rig: MakeRig, caplog: pytest.LogCaptureFixture
) -> None:
    rig = make_rig(engine=_Crashing(), media="real", media_workers=1)
    task = rig.start_cutout()
    rig.world.media.close(wait=True)
    rig.advance(60)
    assert status(rig, task) == "fail"
    assert "ZeroDivisionError" in caplog.text


def test_what_is_no_image_and_a_task_that_fails_cost_nothing(rig: Rig) -> None:
    task = rig.submit(Kind.REMOVE_BACKGROUND, {"productImageFileId": rig.upload(b"text")})
    scene = rig.submit(Kind.IMAGE_REPLACE, rig.scene_body(templateImageFileId=rig.upload(b"text")))
    body = rig.scene_body()
    rig.world.faults.set({"fail": 1.0})
    unlucky = rig.submit(Kind.IMAGE_REPLACE, body)
    rig.advance(60)
    cutout = rig.query(Kind.REMOVE_BACKGROUND, task)["result"]
    assert (cutout["status"], cutout["bgRemovedImageFileId"]) == ("fail", None)
    assert "cannot be read as an image" in cutout["errorMsg"]
    for one in (scene, unlucky):
        failed = rig.query(Kind.IMAGE_REPLACE, one)["result"]
        assert (failed["status"], failed["costCredit"]) == ("fail", 0)
        assert failed["errorMsg"]
    assert remaining(rig) == rig.config.credits
    assert rig.get("/user/credit/logs")["result"]["data"] == []


# A state directory: a sandbox goes on where an earlier process, however it ended, was.


def test_tasks_files_credits_and_signatures_survive(make_rig: MakeRig, tmp_path: Path) -> None:
    before = make_rig(state_dir=tmp_path)
    image = before.scenes()[0]
    running = before.submit(Kind.IMAGE2VIDEO, before.video_body(image["imageId"]))
    # Nothing is closed: the first process was killed.
    after = make_rig(state_dir=tmp_path)
    assert after.world.clock() == before.world.clock()
    for path in ("/user/credit/detail", "/user/credit/logs"):
        assert after.get(path) == before.get(path)
    assert after.request("GET", image["url"]).status_code == 200
    assert after.query(Kind.IMAGE2VIDEO, running)["result"]["status"] == "init"
    after.advance(44)
    assert after.query(Kind.IMAGE2VIDEO, running)["result"]["status"] == "running"
    after.advance(2)
    assert after.query(Kind.IMAGE2VIDEO, running)["result"]["finishedVideoUrl"]
    assert after.counters()["orphan_tasks"] == [running]
    after.scenes()  # the same work as the first process did
    assert after.counters()["duplicates"] == 1


def test_a_task_that_ended_between_two_processes_is_dated_when_it_was_due(
    make_rig: MakeRig, tmp_path: Path
) -> None:
    before = make_rig(state_dir=tmp_path)
    task = before.submit(Kind.IMAGE_REPLACE, before.scene_body())
    due = before.world.state.tasks[task].ends_at
    after = make_rig(state_dir=tmp_path)
    after.advance(3600)
    assert after.query(Kind.IMAGE_REPLACE, task)["result"]["status"] == "success"
    assert after.world.state.tasks[task].ended_at == due


def test_control_changes_survive(make_rig: MakeRig, tmp_path: Path) -> None:
    before = make_rig(state_dir=tmp_path)
    before.control("PUT", "credits", credits=7)
    before.control("PUT", "credentials", revoked=True)
    before.control("POST", "clock", seconds=500)
    after = make_rig(state_dir=tmp_path)
    assert after.counters()["credits"] == {after.config.uid: 7}
    assert after.get("/user/credit/detail")["code"] == "401"
    assert after.world.clock() == before.world.clock()


def test_reset_on_disk_is_a_new_sandbox(make_rig: MakeRig, tmp_path: Path) -> None:
    before = make_rig(state_dir=tmp_path)
    url = before.scenes()[0]["url"]
    before.control("POST", "reset")
    after = make_rig(state_dir=tmp_path)
    assert after.counters()["accepted"] == {}
    assert after.request("GET", url).status_code == 403
