"""A sandbox with a state directory goes on where an earlier process, however it ended, was."""

from pathlib import Path

import pytest

from topview_pipeline.sandbox.api.state import DiskStorage
from topview_pipeline.sandbox.kinds import Kind

from .conftest import MakeRig, picture


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


def test_bytes_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    storage = DiskStorage(tmp_path)
    sha256 = storage.put(picture())
    assert storage.put(picture()) == sha256
    assert [path.name for path in (tmp_path / "blobs").iterdir()] == [sha256]
    assert storage.get(sha256) == picture()
    with pytest.raises(KeyError):
        storage.get("0" * 64)
    storage.close()
