"""A judge of the user's own: what it refuses is not animated, and its silence is not good."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.catalogue.conftest import FileServer, serving
from tests.engine.test_review import PLACED, SCENE, VIDEO
from tests.engine.test_upstream import images_sent
from tests.engine.world import World, everything, fates, holds, product
from topview_pipeline.catalogue import Product
from topview_pipeline.engine import HoldReason
from topview_pipeline.engine.inputs import in_thread
from topview_pipeline.engine.scene_judge import is_judged, judged, open_judge
from topview_pipeline.ledger import Task, TaskState
from topview_pipeline.media import Outcome, Verdict, unmeasured
from topview_pipeline.setting_types import SettingsError
from topview_pipeline.store import StoreError

GUIDE = Path(__file__).parents[2] / "docs" / "costs.md"
GOOD, BAD = Verdict(Outcome.PASSED, "Alike."), Verdict(Outcome.FAILED, "Another mug.")
WELL = Verdict(Outcome.PASSED, "2 images.", images=(GOOD, GOOD))


class Looks:
    """Says the same of every scene, and remembers what it was asked."""

    def __init__(self, *said: Any) -> None:
        self.said = list(said)
        self.asked: list[tuple[bytes | None, bytes, Sequence[bytes], Product]] = []

    def __call__(self, *given: Any) -> Any:
        self.asked.append(given)
        return self.said


def _scene(world: World) -> Task:
    return next(row for row in world.rows(TaskState.STORED) if row.stage == SCENE)


def test_it_is_asked_once_with_all_it_needs_and_what_it_refuses_does_not_speak(
    world: World,
) -> None:
    looks, one = Looks(BAD, GOOD), product("a", **PLACED)
    for _ in range(2):
        assert fates(world.run([one], judge=looks)) == everything("made", "a")
    ((photo, cutout, images, asked_of),) = looks.asked
    assert photo == world.files.data("photo of a")
    assert (cutout[:4], [image[:4] for image in images]) == (b"\x89PNG", [b"\x89PNG"] * 2)
    assert asked_of == one
    assert images_sent(world) == [2]


def test_a_scene_that_it_refuses_is_held_and_its_video_is_not_paid(world: World) -> None:
    (hold,) = holds(world.run([product("a")], judge=Looks(BAD)))
    assert (hold.reason, hold.stage) == (HoldReason.REVIEW, VIDEO)
    assert "Scene 1: Another mug." in hold.what
    assert world.counters()["succeeded"].get("image2Video", 0) == 0


def test_a_scene_made_alone_is_judged_as_well(world: World) -> None:
    world.run([product("a")], judge=Looks(BAD), stages=["bgRemovedImage", SCENE])
    assert (_scene(world).quality or {})["outcome"] == "failed"


def test_an_outage_of_the_store_is_no_verdict_that_lasts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge's word would stand beside it for ever, and buy the video of a flat scene."""
    world.set_faults(no_product=1.0)

    def away(*_: Any) -> Any:
        raise StoreError("the bucket does not answer")

    with monkeypatch.context() as outage:
        outage.setattr(world.store, "local_copy", away)
        world.run([product("a")], judge=Looks(GOOD), stages=["bgRemovedImage", SCENE])
    assert holds(world.run([product("a")], judge=Looks(GOOD)))
    assert world.counters()["succeeded"].get("image2Video", 0) == 0


def test_a_judge_that_raises_is_warned_of_and_asked_again(world: World) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("no GPU")

    world.run([product("a")], judge=broken, stages=["bgRemovedImage", SCENE])
    assert "a / replacedImages: by the scene judge: RuntimeError: no GPU" in world.warnings
    assert (_scene(world).quality or {})["outcome"] == "unmeasured"
    looks = Looks(GOOD)
    world.run([product("a")], judge=looks)
    assert len(looks.asked) == 1
    assert (_scene(world).quality or {})["outcome"] == "passed"
    assert "scene judge" not in str((_scene(world).quality or {})["not_measured"])


@pytest.mark.parametrize(
    ("answer", "outcome", "images"),
    [
        ([GOOD, GOOD], "passed", ["passed", "passed"]),
        ([BAD, GOOD], "doubtful", ["failed", "passed"]),
        ([BAD, BAD], "failed", ["failed", "failed"]),
        ([None, GOOD], "unmeasured", ["unmeasured", "passed"]),
        ([None, BAD], "doubtful", ["unmeasured", "failed"]),
        ([GOOD], "unmeasured", ["unmeasured"] * 2),
        ([True, True], "unmeasured", ["unmeasured"] * 2),
        (["passed", "passed"], "unmeasured", ["unmeasured"] * 2),
        ([Verdict("passed", "."), GOOD], "unmeasured", ["unmeasured"] * 2),  # type: ignore[arg-type]
        (None, "unmeasured", ["unmeasured"] * 2),
        (ZeroDivisionError("0"), "unmeasured", ["unmeasured"] * 2),
        (SystemExit(), "unmeasured", ["unmeasured"] * 2),
    ],
)
def test_only_a_verdict_is_a_verdict(answer: Any, outcome: str, images: list[str]) -> None:
    def ask() -> object:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    found = asyncio.run(judged(WELL, 2, ask, in_thread))
    assert (found.outcome.value, [one.outcome.value for one in found.images]) == (outcome, images)
    assert bool(found.not_measured) is ("unmeasured" in images)


@pytest.mark.parametrize("answers", [0, 2])
def test_a_judge_that_is_out_of_order_does_not_hold_up_a_whole_catalogue(
    world: World, answers: int
) -> None:
    """Each answer that does not come may take a minute, and scenes are judged one by one."""
    asked: list[Product] = []

    def broken(*given: Any) -> Any:
        asked.append(given[-1])
        if len(asked) == answers:
            return [GOOD]
        raise TimeoutError("no answer")

    names = "abcdef"
    products = [product(name, template_image=name) for name in names]
    assert fates(world.run(products, judge=broken)) == everything("made", *names)
    assert len(asked) == len({one.product_id for one in asked}) == answers + 3
    assert sum("is not asked again in this run: " in one for one in world.warnings) == 1
    scenes = [row for row in world.rows(TaskState.STORED) if row.stage == SCENE]
    seen = [(row.quality or {})["outcome"] for row in scenes]
    assert seen.count("unmeasured") == len(names) - bool(answers)


def test_what_our_own_check_refused_no_judge_makes_good() -> None:
    flat = Verdict(Outcome.FAILED, "It is one flat colour.")
    whole = Verdict(Outcome.FAILED, "Every scene is one flat colour.", images=(flat, flat))
    found = asyncio.run(judged(whole, 2, lambda: [GOOD, GOOD], in_thread))
    assert found.is_refused
    assert all(one.is_refused for one in found.images)


def test_a_judge_that_hangs_holds_up_a_scene_for_a_minute_and_not_for_ever() -> None:
    free = threading.Event()
    began = time.monotonic()
    found = asyncio.run(judged(unmeasured("a stand-in"), 1, free.wait, in_thread, longest=0.05))
    free.set()
    assert time.monotonic() - began < 10.0
    assert not is_judged(found)
    assert found.not_measured[-1] == "by the scene judge: it took longer than 0.05 s"


@pytest.mark.parametrize("setting", ["python:nowhere:judge", "python:os:nothing", "python:os:sep"])
def test_a_judge_that_cannot_be_opened_is_said_before_anything_is_paid(setting: str) -> None:
    with pytest.raises(SettingsError, match="TOPVIEW_SCENE_JUDGE"):
        open_judge(setting)


class Model(FileServer):
    """A model behind a URL."""

    def __init__(self, likeness: float | None) -> None:
        super().__init__()
        self.likeness = likeness

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        assert body.count(b"\x89PNG") == 2
        request.send_response(200)
        request.end_headers()
        request.wfile.write(json.dumps({"likeness": self.likeness}).encode())


@pytest.mark.parametrize(
    ("likeness", "outcome"), [(0.9, "passed"), (0.3, "failed"), (None, "unmeasured")]
)
def test_the_example_of_the_guide_runs(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    likeness: float | None,
    outcome: str,
) -> None:
    (code,) = re.findall(r"```python\n(.+?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    name = f"looks_{outcome}"
    (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with serving(Model(likeness)) as model:
        monkeypatch.setenv("LOOKS_URL", model.url)
        world.run([product("a")], judge=open_judge(f"python:{name}:judge"))
    assert (_scene(world).quality or {})["outcome"] == outcome
    assert world.counters()["succeeded"].get("image2Video", 0) == (outcome != "failed")
