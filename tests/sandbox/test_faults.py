"""Each fault does what its name says, and the same seed gives the same ones."""

import httpx
import pytest

from topview_pipeline.sandbox.api.calls import AnswerLost
from topview_pipeline.sandbox.api.faults import FAULTS, Faults
from topview_pipeline.sandbox.kinds import Kind

from .conftest import MakeRig, Rig, path_of, picture


def submit_raw(rig: Rig, shade: int = 0) -> httpx.Response:
    """The answer to a submit; no fault strikes the upload before it."""
    rig.world.faults.set({})
    body = {"productImageFileId": rig.upload(picture(shade))}
    rig.world.faults.set(rig.config.faults)
    path = f"{path_of(Kind.REMOVE_BACKGROUND)}/submit"
    return rig.request("POST", path, json=body, headers=rig.headers)


def test_drop_submit_accepts_and_says_nothing(make_rig: MakeRig) -> None:
    rig = make_rig(faults={"drop_submit": 1.0})
    with pytest.raises(AnswerLost) as lost:
        submit_raw(rig)
    assert isinstance(lost.value, httpx.ReadError)
    assert len(rig.world.state.tasks) == 1


def test_busy_and_http429_create_nothing(make_rig: MakeRig) -> None:
    rig = make_rig(faults={"busy": 1.0})
    codes = {submit_raw(rig, shade).json()["code"] for shade in range(12)}
    assert codes == {"5003", "4007"}
    limited = make_rig(faults={"http429": 1.0})
    detail = limited.request("GET", "/user/credit/detail", headers=limited.headers)
    for response in (submit_raw(limited), detail):
        assert response.status_code == 429
        assert response.headers["retry-after"] == "1"
    assert not rig.world.state.tasks
    assert not limited.world.state.tasks


@pytest.mark.parametrize("fault", ["err500", "garbage"])
def test_an_unclear_answer_to_a_submit_hides_a_task_half_of_the_time(
    make_rig: MakeRig, fault: str
) -> None:
    rig = make_rig(faults={fault: 1.0}, concurrency=100)
    for shade in range(16):
        response = submit_raw(rig, shade)
        if fault == "garbage":
            assert response.headers["content-type"].startswith("text/html")
            assert response.text.startswith("<!DOCTYPE html>")
        else:
            assert response.status_code == 500 or response.json()["code"] == "5000"
    assert 2 < len(rig.world.state.tasks) < 14


def test_moderation_refuses_the_same_content_every_time(make_rig: MakeRig) -> None:
    rig = make_rig(faults={"moderation": 0.5}, concurrency=100)
    first, second = (
        [submit_raw(rig, shade).json()["code"] for shade in range(10)] for _ in range(2)
    )
    assert first == second
    assert set(first) == {"200", "6001"}


def test_fail_ends_a_task_in_failure_and_a_new_try_may_succeed(make_rig: MakeRig) -> None:
    rig = make_rig(faults={"fail": 0.5})
    statuses = []
    for _ in range(8):
        task = submit_raw(rig).json()["result"]["taskId"]
        rig.advance(60)
        statuses.append(rig.query(Kind.REMOVE_BACKGROUND, task)["result"]["status"])
    assert set(statuses) == {"success", "fail"}


def test_queries_are_slow_have_a_word_of_no_document_or_no_urls_at_first(
    rig: Rig, done: str
) -> None:
    rig.world.faults.set({"slow_query": 1.0})
    assert rig.query(Kind.REMOVE_BACKGROUND, done)["code"] == "200"
    assert rig.slept == [5.0]
    rig.world.faults.set({"unknown_status": 1.0})
    result = rig.query(Kind.REMOVE_BACKGROUND, done)["result"]
    assert result["status"] not in ("init", "running", "success", "fail")
    assert result["maskImagePath"] is None
    rig.world.faults.set({"nourl": 1.0})
    answers = [rig.query(Kind.REMOVE_BACKGROUND, done)["result"] for _ in range(3)]
    assert [answer["status"] for answer in answers] == ["success"] * 3
    assert [bool(answer["maskImagePath"]) for answer in answers] == [False, False, True]


def test_cut_download_sends_less_than_it_announces_and_counts_as_not_downloaded(
    rig: Rig, done: str
) -> None:
    url = rig.query(Kind.REMOVE_BACKGROUND, done)["result"]["maskImagePath"]
    rig.world.faults.set({"cut_download": 1.0})
    cut = rig.request("GET", url)
    assert len(cut.content) == int(cut.headers["content-length"]) // 2
    assert rig.counters()["downloads"] == {"cut": 1}
    rig.world.faults.set({})
    rest = rig.request("GET", url, headers={"Range": f"bytes={len(cut.content)}-"})
    assert len(cut.content + rest.content) == int(cut.headers["content-length"])


def test_notfound_grace_hides_a_young_task(make_rig: MakeRig) -> None:
    rig = make_rig(faults={"notfound_grace": 1.0})
    task = rig.start_cutout()
    assert rig.query(Kind.REMOVE_BACKGROUND, task)["code"] == "4004"
    rig.advance(2.0)
    assert rig.query(Kind.REMOVE_BACKGROUND, task)["code"] == "200"


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_faults_depend_on_the_seed_and_the_subject_not_on_the_order(fault: str) -> None:
    def strikes(seed: int, subjects: list[str]) -> dict[str, bool]:
        faults = Faults({fault: 0.5}, seed)
        return {subject: faults.strikes(fault, subject) for subject in subjects}

    subjects = [f"subject {number}" for number in range(40)]
    assert strikes(1, subjects) == strikes(1, subjects[::-1])
    assert strikes(1, subjects) != strikes(2, subjects)


def test_a_fault_that_does_not_exist_is_named_with_those_that_do(rig: Rig) -> None:
    response = rig.control("PUT", "faults", drop_sumbit=1)
    assert response.status_code == 400
    assert "drop_submit" in response.json()["error"]
    assert rig.control("PUT", "faults", fail=1.5).status_code == 400
