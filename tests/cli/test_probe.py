"""`topview-pipeline probe` against sandboxes that answer in other ways, and within its limit."""

from __future__ import annotations

import errno
import json
import signal
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.cli.conftest import Project, ProjectOf, wait_for
from topview_pipeline.cli.contract import Seen, file_facts, shape
from topview_pipeline.cli.findings import Findings
from topview_pipeline.ledger import TaskState
from topview_pipeline.sandbox.config import Contract

DETAIL, SPACE = "/user/credit/detail", "/user/space"
MEDIANS = {"remove_background": 20.0, "image_replace": 110.0, "image2Video": 130.0}
"""At the speed of these tests paid tasks take so long that the log's dates can be told apart."""


def probe(project: Project, *arguments: str, code: int = 0) -> str:
    """Probe its sandbox; what was said."""
    ran = project.run("probe", *arguments)
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def contract_of(project: Project) -> dict[str, Any]:
    """The file that the probe wrote."""
    found: dict[str, Any] = json.loads((project.folder / "contract.json").read_text())
    return found


def verdicts(project: Project) -> dict[str, str]:
    return {name: one["verdict"] for name, one in contract_of(project)["findings"].items()}


@pytest.fixture
def probed(project_of: ProjectOf) -> ProjectOf:
    """Makes a project whose sandbox takes the seconds of `MEDIANS`."""
    return partial(project_of, sigma=0.0, medians=MEDIANS)


ALTERED: Mapping[str, tuple[dict[str, Any], dict[str, tuple[str, str]]]] = {
    "strict": (
        {"required": ["voiceId", "captionId"], "auth_errors": "code", "bearer_alone": False},
        {
            "captionId": ("different", "both: taken"),
            "C5": ("confirmed", "the voice alone: refused with 4003"),
            "credentials": ("different", "the key alone is refused; a wrong key HTTP 200"),
        },
    ),
    "dear": (
        {
            "prices": {
                "remove_background": 0.1,
                "image_replace": 0.5,
                "image2Video/avatar4Fast": 0.2,
            },
            "images": {"manual": 3, "auto": 1},
            "booked_as": {
                "remove_background": "cut",
                "image_replace": "pa9",
                "image2Video": "pa2_image2video",
            },
        },
        {
            "prices": ("different", "remove_background=0.1, image_replace/manual=1.5"),
            "C1": ("different", "3 images cost 1.5"),
            "v2 image_replace": ("different", "3 images"),
            "C8": ("different", "image_replace as pa9"),
        },
    ),
    "log": (
        {"log_date": "creation", "log_iso": True, "log_newest_first": False},
        {
            "C4": ("confirmed", "dated by creation; ISO 8601"),
            "credit log": ("different", "not newest first"),
        },
    ),
    "words": (
        {
            "submit_status": "init",
            "status_words": {"running": "processing"},
            "codes": {"4003": "4000", "4004": "4006"},
        },
        {
            "submit": ("different", "status init"),
            "status": ("different", "processing"),
            "unknown ids": ("different", "4006"),
            "C17": ("different", "a missing field is 4000"),
            "C5": ("different", "neither: refused with 4000; the voice alone: taken"),
        },
    ),
    "shapes": (
        {
            "required": [],
            "check_before_put": "4004",
            "added": {DETAIL: {"creditOfMonth": None}},
            "dropped": {SPACE: ["uid"]},
        },
        {
            "C5": ("different", "neither: taken"),
            "C9": ("different", "missing: uid"),
            "disk space": ("different", "missing: uid"),
            "C12": ("different", f"GET {DETAIL}: unknown: creditOfMonth"),
            "upload check": ("different", "4004"),
        },
    ),
}
"""Contracts by name: what is other in each, and what the probe must say of it."""

_believed: dict[str, str] = {}


@pytest.fixture
def believed(probed: ProjectOf) -> dict[str, str]:
    """The verdicts on a sandbox as its documents let us believe, found once."""
    if not _believed:
        project = probed()
        probe(project, "--spend", "10")
        _believed.update(verdicts(project))
        (project.folder / "contract.json").unlink()
    return _believed


def test_every_point_of_the_contract_gets_a_verdict() -> None:
    names = Findings(Seen()).found
    page = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    table = page.partition("| part |")[2].partition("\n\n")[0].splitlines()[2:]
    parts = {line.split("|")[1].strip().strip("`") for line in table}
    assert len(parts) > 20
    assert names.keys() == parts | {f"C{number}" for number in range(1, 21)}
    assert {one.verdict for one in names.values()} == {"not seen"}


@pytest.mark.slow
def test_without_a_limit_nothing_is_paid(probed: ProjectOf) -> None:
    project = probed(speed=500.0)
    probe(project)
    counters = project.sandbox.counters()
    assert (counters["charged"], counters["accepted"]) == (0, {"remove_background": 1})
    assert contract_of(project)["spent"] == 0
    found = verdicts(project)
    assert [found[point] for point in ("credentials", "C1")] == ["confirmed", "not seen"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ALTERED)
def test_the_probe_finds_each_difference_and_no_other(
    probed: ProjectOf, believed: dict[str, str], name: str
) -> None:
    switches, expected = ALTERED[name]
    project = probed(contract=Contract(**switches))
    said = probe(project, "--spend", "10")
    contract, others = contract_of(project), verdicts(project)
    for point, (verdict, words) in expected.items():
        assert others[point] == verdict, point
        assert words in contract["findings"][point]["seen"]
        assert point in said
    assert {point for point in believed if others[point] != believed[point]} <= {*expected}
    learnt = contract["sandbox"]["contract"]
    assert {field: learnt[field] for field in switches} == switches
    assert project.sandbox.counters()["charged"] <= 10.0


@pytest.mark.slow
def test_a_sandbox_of_the_contract_answers_as_the_probed_one(probed: ProjectOf) -> None:
    switches = {field: value for one, _ in ALTERED.values() for field, value in one.items()}
    project = probed(contract=Contract(**switches))
    probe(project, "--spend", "10")
    first, found = contract_of(project), verdicts(project)
    (project.folder / "contract.json").unlink()
    settings = dict(first["sandbox"])
    settings["contract"] = Contract(**settings["contract"])
    # Its own seconds are those of a sandbox at speed: here they are as they were measured.
    second = probed(**{**settings, "speed": 1.0})
    probe(second, "--spend", "10")
    assert verdicts(second) == found
    assert contract_of(second)["prices"] == first["prices"]


@pytest.mark.slow
def test_the_limit_holds_and_nothing_is_paid_twice(probed: ProjectOf) -> None:
    """Nor does the user's own gate stop the probe behind a paid scene."""
    project = probed()
    project.environment |= {"TOPVIEW_GATE": "approve", "TOPVIEW_CANARY": "1"}

    def charged(limit: str, code: int = 0) -> float:
        probe(project, "--spend", limit, code=code)
        amount: float = project.sandbox.counters()["charged"]
        return amount

    assert charged("0.9", code=3) == 0
    assert charged("1", code=3) == 1
    assert verdicts(project)["C1"] == "not seen"  # one image does not show it
    assert [charged("0.2") for _ in range(2)] == [1.06, 1.06]
    assert [charged(limit) for limit in ("10", "10", "3")] == [3.06, 3.06, 3.06]
    assert verdicts(project)["C1"] == "confirmed"
    counters = project.sandbox.counters()
    assert (counters["duplicates"], counters["orphans"]) == (0, 0)
    assert counters["submits"]["image_replace"] == 2
    assert "the voice alone: taken" in contract_of(project)["findings"]["C5"]["seen"]


@pytest.mark.slow
def test_a_scene_that_is_dearer_than_the_limit_is_the_last_that_is_paid(probed: ProjectOf) -> None:
    """Nobody knows a price before it is booked: the video is not sent any more."""
    project = probed(contract=Contract(prices={"image_replace": 5.0}))
    said = probe(project, "--spend", "3", code=3)
    assert "A price was higher than expected: the limit was 3 credits" in said
    counters = project.sandbox.counters()
    assert (counters["charged"], counters["submits"].get("image2Video", 0)) == (5, 0)
    assert verdicts(project)["prices"] == "different"


@pytest.mark.slow
def test_a_video_whose_answer_is_lost_leads_to_no_other_try(probed: ProjectOf) -> None:
    """The lost one may be paid: with a voice it would be a second video."""
    project = probed(contract=Contract(required=[]))
    probe(project, "--spend", "1", code=3)  # the scene
    project.sandbox.set_faults(drop_submit=1.0)
    for _ in range(2):
        probe(project, "--spend", "3", code=3)
    assert project.sandbox.counters()["submits"]["image2Video"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_probe_that_ends_in_the_middle_is_gone_on_with(
    project_of: ProjectOf, monkeypatch: pytest.MonkeyPatch, sent: signal.Signals, code: int
) -> None:
    project = project_of(medians={"image_replace": 200.0})
    process = project.command("probe", "--spend", "3")

    def is_known() -> bool:
        """The answer to the submit is written down."""
        if not project.sandbox.counters()["accepted"].get("image_replace"):
            return False
        with closing(project.ledger()) as ledger:
            return ledger.history.page(states=[TaskState.PENDING], limit=1)[1] > 0

    wait_for(is_known, process)
    process.send_signal(sent)
    process.communicate(timeout=60)
    assert process.returncode == code
    monkeypatch.setattr("topview_pipeline.ledger.workers.DEAD_AFTER_SECONDS", 2.0)
    probe(project, "--spend", "3")
    counters = project.sandbox.counters()
    assert counters["submits"]["image_replace"] == 1
    assert (counters["duplicates"], counters["orphans"]) == (0, 0)
    assert counters["charged"] == 1.06


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "no contract"),
        ("[]", "no contract of this Topview"),
        ('{"base_url": "https://api.topview.ai"}', "no contract of this Topview"),
        ('{"prices": 3}', "no contract of this Topview"),
        ('{"sandbox": {"contract": []}}', "no contract of this Topview"),
        ('{"findings": {"C1": {}}}', "no contract of this Topview"),
    ],
)
def test_a_file_that_is_no_contract_is_left_alone(project: Project, text: str, said: str) -> None:
    file = project.folder / "contract.json"
    file.write_text(text)
    assert said in probe(project, code=2)
    assert project.sandbox.counters()["submits"] == {}
    assert file.read_text() == text


def test_a_full_disk_costs_no_earlier_finding(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, write = project.folder / "contract.json", Path.write_text
    file.write_text("{}")

    def full(path: Path, text: str, **options: Any) -> int:
        if not path.name.startswith(file.name):
            return write(path, text, **options)
        write(path, text[:9], **options)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert "contract.json: it cannot be written" in probe(project, code=2)
    assert file.read_text() == "{}"
    assert not list(project.folder.glob("*.part"))


def test_no_value_of_an_answer_is_kept() -> None:
    """The account's map of keys has the keys as names."""
    data = [{"sk-123": 1, "a": None}]
    answer = {"uid": "u1", "apiKeyMap": {"skABC": {"name": "x"}}, "data": data}
    assert dict(shape(answer)) == {
        "uid": "string",
        "apiKeyMap": "object",
        "apiKeyMap.*": "object",
        "apiKeyMap.*.name": "string",
        "data": "list",
        "data.*": "number",
        "data.a": "null",
    }


def test_marks_in_a_file_are_named(tmp_path: Path) -> None:
    picture = tmp_path / "scene.png"
    Image.new("RGB", (4, 6)).save(picture)
    plain = picture.read_bytes()
    assert file_facts("scene.png", plain).marks == ()
    facts = file_facts("scene.png", plain + b"jumb c2pa trainedAlgorithmicMedia")
    assert (facts.codec, facts.width, facts.height) == ("PNG", 4, 6)
    assert facts.marks == ("C2PA", "says that it is made by a model")
