"""`topview-pipeline probe` against sandboxes that answer in other ways, and within its limit."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.cli.conftest import ProjectOf, wait_for
from topview_pipeline.cli import main
from topview_pipeline.cli.contract import Seen, file_facts, shape
from topview_pipeline.cli.findings import findings
from topview_pipeline.ledger import TaskState
from topview_pipeline.sandbox.api.control import Control
from topview_pipeline.sandbox.config import Contract, SandboxConfig
from topview_pipeline.sandbox.serve import running
from topview_pipeline.settings import VARIABLES

DETAIL, SPACE = "/user/credit/detail", "/user/space"
MEDIANS = {"remove_background": 20.0, "image_replace": 110.0, "image2Video": 130.0}
"""At the speed of these tests paid tasks take so long that the log's dates can be told apart."""


class Probed:
    """A project folder, its sandbox, and probes of it."""

    def __init__(self, folder: Path, settings: Mapping[str, str], base_url: str) -> None:
        self.folder = folder
        self._settings = settings
        self._base_url = base_url

    def probe(self, *arguments: str) -> Result:
        environment = {**dict.fromkeys(VARIABLES), **self._settings}
        out = str(self.folder / "contract.json")
        return CliRunner().invoke(main, ["probe", "--out", out, *arguments], env=environment)

    @property
    def contract(self) -> dict[str, Any]:
        """What the probe wrote."""
        found: dict[str, Any] = json.loads((self.folder / "contract.json").read_text())
        return found

    @property
    def verdicts(self) -> dict[str, str]:
        return {name: one["verdict"] for name, one in self.contract["findings"].items()}

    def counters(self) -> dict[str, Any]:
        with Control(self._base_url) as control:
            return control.counters()


@contextmanager
def probed(folder: Path, own: Mapping[str, str] = {}, **settings: Any) -> Iterator[Probed]:
    """`own`: settings of the user beside those."""
    config = SandboxConfig(
        **{"media": "tiny", "speed": 50.0, "sigma": 0.0, "medians": MEDIANS, **settings}
    )
    with running(config) as sandbox:
        environment = {
            "TOPVIEW_BASE_URL": sandbox.base_url,
            "TOPVIEW_UID": sandbox.uid,
            "TOPVIEW_API_KEY": sandbox.api_key,
            "TOPVIEW_HOME": str(folder / "home"),
            "TOPVIEW_POLL_SECONDS": "0.05",
            "DAGSTER_HOME": str(folder / "dagster"),
        }
        yield Probed(folder, {**environment, **own}, sandbox.base_url)


ALTERED: Mapping[str, tuple[dict[str, Any], dict[str, tuple[str, str]]]] = {
    "strict": (
        {"required": ["voiceId", "captionId"], "auth_errors": "code", "bearer_alone": False},
        {
            "captionId": ("different", "both: taken"),
            "C5": ("confirmed", "the voice alone: refused with 4003"),
            "credentials": ("different", "the key alone is refused; a wrong key HTTP 200"),
        },
    ),
    "dear, with another log": (
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
            "log_date": "creation",
            "log_iso": True,
            "log_newest_first": False,
        },
        {
            "prices": ("different", "remove_background=0.1, image_replace/manual=1.5"),
            "C1": ("different", "3 images cost 1.5"),
            "v2 image_replace": ("different", "3 images"),
            "C8": ("different", "image_replace as pa9"),
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
def believed(tmp_path: Path) -> dict[str, str]:
    """The verdicts on a sandbox as its documents let us believe, found once."""
    if not _believed:
        folder = tmp_path / "believed"
        folder.mkdir()
        with probed(folder) as project:
            assert project.probe("--spend", "10").exit_code == 0
            _believed.update(project.verdicts)
    return _believed


def test_every_point_of_the_contract_gets_a_verdict() -> None:
    names = findings(Seen())
    page = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    table = page.partition("| part |")[2].partition("\n\n")[0].splitlines()[2:]
    parts = {line.split("|")[1].strip().strip("`") for line in table}
    assert len(parts) > 20
    assert names.keys() == parts | {f"C{number}" for number in range(1, 21)}
    assert {one.verdict for one in names.values()} == {"not seen"}


@pytest.mark.slow
def test_without_a_limit_nothing_is_paid(tmp_path: Path) -> None:
    with probed(tmp_path, speed=500.0) as project:
        ran = project.probe()
        assert ran.exit_code == 0, ran.output
        counters = project.counters()
        assert (counters["charged"], counters["accepted"]) == (0, {"remove_background": 1})
        assert project.contract["spent"] == 0
        found = [project.verdicts[point] for point in ("credentials", "C1")]
        assert found == ["confirmed", "not seen"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ALTERED)
def test_the_probe_finds_each_difference_and_no_other(
    tmp_path: Path, believed: dict[str, str], name: str
) -> None:
    switches, expected = ALTERED[name]
    contract = Contract(**switches)
    with probed(tmp_path, contract=contract) as project:
        ran = project.probe("--spend", "10")
        assert ran.exit_code == 0, ran.output
        found = project.contract["findings"]
        for point, (verdict, words) in expected.items():
            assert found[point]["verdict"] == verdict, point
            assert words in found[point]["seen"]
            assert point in ran.output
        others = project.verdicts
        assert {point for point in believed if others[point] != believed[point]} <= {*expected}
        learnt = project.contract["sandbox"]["contract"]
        assert {field: learnt[field] for field in switches} == switches
        assert project.counters()["charged"] <= 10.0


@pytest.mark.slow
def test_a_sandbox_of_the_contract_answers_as_the_probed_one(tmp_path: Path) -> None:
    switches = {field: value for one, _ in ALTERED.values() for field, value in one.items()}
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    with probed(folders[0], contract=Contract(**switches)) as first:
        assert first.probe("--spend", "10").exit_code == 0
        settings = first.contract["sandbox"]
        contract = Contract(**settings.pop("contract"))
        # Its own seconds are those of a sandbox at speed: here they are as they were measured.
        with probed(folders[1], contract=contract, **{**settings, "speed": 1.0}) as second:
            assert second.probe("--spend", "10").exit_code == 0
            assert second.verdicts == first.verdicts
            assert second.contract["prices"] == first.contract["prices"]


@pytest.mark.slow
def test_the_limit_holds_and_nothing_is_paid_twice(tmp_path: Path) -> None:
    """Nor does the user's own gate stop the probe behind a paid scene."""
    own = {"TOPVIEW_GATE": "approve", "TOPVIEW_CANARY": "1"}
    with probed(tmp_path, own) as project:
        ran = project.probe("--spend", "0.9")
        assert (ran.exit_code, project.counters()["charged"]) == (3, 0)
        assert "limit" in ran.output
        ran = project.probe("--spend", "1")
        assert (ran.exit_code, project.counters()["charged"]) == (3, 1)
        assert project.verdicts["C1"] == "not seen"  # one image does not show it
        for _ in range(2):
            ran = project.probe("--spend", "0.2")
            assert (ran.exit_code, project.counters()["charged"]) == (0, 1.06)
        for limit in ("10", "10", "3"):
            ran = project.probe("--spend", limit)
            assert (ran.exit_code, project.counters()["charged"]) == (0, 3.06)
        assert project.verdicts["C1"] == "confirmed"
        counters = project.counters()
        assert (counters["duplicates"], counters["orphans"]) == (0, 0)
        assert counters["submits"]["image_replace"] == 2
        assert "the voice alone: taken" in project.contract["findings"]["C5"]["seen"]


@pytest.mark.slow
def test_a_scene_that_is_dearer_than_the_limit_is_the_last_that_is_paid(tmp_path: Path) -> None:
    """Nobody knows a price before it is booked: the video is not sent any more."""
    with probed(tmp_path, contract=Contract(prices={"image_replace": 5.0})) as project:
        ran = project.probe("--spend", "3")
        assert ran.exit_code == 3
        assert "A price was higher than expected: the limit was 3 credits" in ran.output
        counters = project.counters()
        assert (counters["charged"], counters["submits"].get("image2Video", 0)) == (5, 0)
        assert project.verdicts["prices"] == "different"


@pytest.mark.slow
def test_a_video_whose_answer_is_lost_leads_to_no_other_try(tmp_path: Path) -> None:
    """The lost one may be paid: with a voice it would be a second video."""
    with probed(tmp_path, contract=Contract(required=[])) as project:
        assert project.probe("--spend", "1").exit_code == 3  # the scene
        with Control(project._base_url) as control:
            control.set_faults(drop_submit=1.0)
        for _ in range(2):
            ran = project.probe("--spend", "3")
            assert ran.exit_code == 3, ran.output
        assert project.counters()["submits"]["image2Video"] == 1


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
    again = project.run("probe", "--spend", "3")
    assert again.returncode == 0, again.stdout + again.stderr
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
    ],
)
def test_a_file_that_is_no_contract_is_left_alone(tmp_path: Path, text: str, said: str) -> None:
    with probed(tmp_path) as project:
        (tmp_path / "contract.json").write_text(text)
        ran = project.probe()
        assert (ran.exit_code, project.counters()["submits"]) == (2, {})
        assert said in ran.output
        assert (tmp_path / "contract.json").read_text() == text


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
