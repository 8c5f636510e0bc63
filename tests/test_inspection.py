"""A disk that fails for a minute must not make a good result a bad one for good."""

from __future__ import annotations

import builtins
import errno
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from PIL import Image

from tests.portfolios import row
from tests.quality.films import film
from topview_pipeline import inspection
from topview_pipeline.artifacts import Artifact, ArtifactStore
from topview_pipeline.ledger import Ledger, Task
from topview_pipeline.quality import Outcome
from topview_pipeline.stages import BG_REMOVED_IMAGE, FINISHED_VIDEO

TROUBLES: dict[str, Callable[[], Exception]] = {
    "a bad disk": lambda: OSError(errno.EIO, "Input/output error"),
    "no permission": lambda: PermissionError(errno.EACCES, "Permission denied"),
    "too many open files": lambda: OSError(errno.EMFILE, "Too many open files"),
    "a stale mount": lambda: OSError(errno.ESTALE, "Stale file handle"),
    "no memory": lambda: MemoryError(),
}


class Kept:
    """A ledger of which only the verdicts matter."""

    def __init__(self) -> None:
        self.verdicts: dict[int, Mapping[str, Any]] = {}
        self.tasks = SimpleNamespace(measured=self.verdicts.__setitem__)


def picture() -> bytes:
    image, out = Image.new("RGBA", (64, 64)), io.BytesIO()
    image.paste((200, 40, 40, 255), (8, 8, 56, 56))
    image.save(out, "PNG")
    return out.getvalue()


def stored(store: Path, name: str, data: bytes) -> Task:
    (store / name).write_bytes(data)
    file = Artifact(name, name, "0" * 64, len(data), "application/octet-stream")
    return row(BG_REMOVED_IMAGE if name == "cutout.png" else FINISHED_VIDEO, file, mode=None)


def outcome_of(task: Task, kept: Kept, store: Path) -> Outcome:
    return inspection.verdict_of(task, cast(Ledger, kept), ArtifactStore(str(store))).outcome


@pytest.fixture(params=["cutout.png", "video.mp4"])
def task(request: pytest.FixtureRequest, tmp_path: Path) -> Task:
    name: str = request.param
    data = picture() if name == "cutout.png" else film(size=(240, 426), seconds=2.0)
    return stored(tmp_path, name, data)


class Failing(io.FileIO):
    """A file whose disk fails after its first bytes."""

    def __init__(self, path: str, trouble: Exception) -> None:
        super().__init__(path)
        self._trouble = trouble

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= 16:
            raise self._trouble
        return super().read(16)

    def readinto(self, buffer: Any, /) -> int:
        raise self._trouble


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=list(TROUBLES))
@pytest.mark.parametrize("when", ["at opening", "while reading"])
def test_trouble_of_the_machine_is_no_bad_result_and_not_remembered(
    task: Task,
    trouble: Callable[[], Exception],
    when: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept, really_open = Kept(), open

    def failing(path: Any, *rest: Any, **named: Any) -> Any:
        if Path(str(path)).name not in ("cutout.png", "video.mp4"):
            return really_open(path, *rest, **named)
        if when == "at opening":
            raise trouble()
        return Failing(str(path), trouble())

    with monkeypatch.context() as patched:
        patched.setattr(builtins, "open", failing)
        patched.setattr(io, "open", failing)
        store = ArtifactStore(str(tmp_path))
        verdict = inspection.verdict_of(task, cast(Ledger, kept), store)
    assert verdict.outcome is Outcome.UNMEASURED
    assert type(trouble()).__name__ in verdict.why or "memory" in verdict.why
    assert kept.verdicts == {}

    # The next time it is asked, the machine is well.
    assert outcome_of(task, kept, tmp_path) is Outcome.PASSED
    assert set(kept.verdicts) == {task.id}


def test_a_missing_file_may_come_back(task: Task, tmp_path: Path) -> None:
    (file,) = tmp_path.iterdir()
    data, kept = file.read_bytes(), Kept()
    file.unlink()
    assert outcome_of(task, kept, tmp_path) is Outcome.UNMEASURED
    assert kept.verdicts == {}
    file.write_bytes(data)
    assert outcome_of(task, kept, tmp_path) is Outcome.PASSED


@pytest.mark.parametrize("keep", [0, 40, 150])
def test_broken_bytes_are_a_bad_result_for_good(task: Task, keep: int, tmp_path: Path) -> None:
    """Pillow and FFmpeg say OSError of them too."""
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:keep] + b"<html>not here</html>")
    kept = Kept()
    assert outcome_of(task, kept, tmp_path) is Outcome.FAILED
    assert kept.verdicts[task.id]["outcome"] == "failed"
    assert "force" in kept.verdicts[task.id]["mend"]


def test_a_verdict_by_older_rules_is_measured_again(task: Task, tmp_path: Path) -> None:
    """What failed by a rule that was wrong would never be exported."""
    kept = Kept()
    older = {"version": 1, "outcome": "failed", "why": "It breaks off.", "mend": ""}
    values = {name: getattr(task, name) for name in Task.__dataclass_fields__}
    again = Task(**(values | {"quality": older | {"numbers": {}, "not_measured": []}}))
    assert outcome_of(again, kept, tmp_path) is Outcome.PASSED
    assert kept.verdicts[task.id]["outcome"] == "passed"


def test_a_result_without_its_file_is_left_open(tmp_path: Path) -> None:
    kept = Kept()
    assert outcome_of(row(FINISHED_VIDEO), kept, tmp_path) is Outcome.UNMEASURED
    assert kept.verdicts[1]["outcome"] == "unmeasured"
