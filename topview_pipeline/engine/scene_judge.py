"""A judge of one's own: looks at a scene's images beside the photo, before a video is paid."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from topview_pipeline.catalogue import Product, imported
from topview_pipeline.engine.events import Warned
from topview_pipeline.ledger import Task
from topview_pipeline.media import Outcome, Verdict, unmeasured
from topview_pipeline.setting_types import SettingsError
from topview_pipeline.stages import data_version
from topview_pipeline.store import Artifact
from topview_pipeline.text import one_line

if TYPE_CHECKING:
    from topview_pipeline.engine.context import Context
    from topview_pipeline.engine.inputs import Offload

Judge = Callable[["bytes | None", bytes, Sequence[bytes], Product], "Sequence[Verdict | None]"]
"""Takes the photo (None when only Topview has it), the cut-out and the scene's images as bytes of
their files, and the product; returns a verdict for each image, None for one it cannot judge."""
JUDGE_SECONDS: Final = 60.0
_MOST_MISSES: Final = 3
"""Without an answer so often in a row, a judge is not asked again in the run."""
_JUDGED: Final = "judged_images"
"""Number in the verdict of a scene that was judged."""
_NOTE: Final = "by the scene judge"
_FIXED: Final = (Outcome.FAILED, Outcome.DOUBTFUL)


def open_judge(setting: str | None) -> Judge | None:
    """The judge that a setting names: a function, or a class that makes one without arguments.

    Raises SettingsError: without its judge a run would pay for what it should look at.
    """
    if setting is None:
        return None
    try:
        found = imported(setting)
        judge: Any = found() if isinstance(found, type) else found
    except Exception as error:  # the user's own code
        what = f"{setting} cannot be opened ({type(error).__name__}: {error})"
        fix = "Write python:package.module:attribute, importable from the project folder."
        raise SettingsError(what, "TOPVIEW_SCENE_JUDGE", fix) from error
    if not callable(judge):
        what = f"{setting} is no function"
        raise SettingsError(what, "TOPVIEW_SCENE_JUDGE", "docs/costs.md shows one.")
    return judge  # type: ignore[no-any-return]  # checked at each call


class SceneJudge:
    """A judge in one run: it is asked about a scene once, and about one at a time."""

    def __init__(self, context: Context, judge: Judge) -> None:
        self._context = context
        self._judge = judge
        self._alone = asyncio.Semaphore(1)  # a model need not be safe in threads
        self._unanswered: set[int] = set()
        self._misses = 0  # in a row

    def is_open(self, task: Task, verdict: Verdict) -> bool:
        """The scene was not judged, and the judge has not failed at it in this run."""
        return not is_judged(verdict) and task.id not in self._unanswered

    async def verdict(
        self, product: Product, task: Task, cutout: Task | None, verdict: Verdict
    ) -> Verdict:
        stages = self._context.by_key
        images = stages[task.stage].images(task.result)

        def ask() -> object:
            store, files = self._context.store, {}
            rows = [task]
            if cutout and task.inputs.get(cutout.stage) == data_version(cutout.fingerprint):
                rows.append(cutout)
            for row in rows:
                for one in map(Artifact.from_json, row.artifacts or ()):
                    files[one.name] = one
            photo = None
            if product.image is not None:
                photo = self._context.files.read(product.image, kind="image").data
            scenes = [store.read_bytes(files[image.file_name]) for image in images]
            name = stages[str(stages[task.stage].upstream)].main_file
            return self._judge(photo, store.read_bytes(files[name]), scenes, product)

        async with self._alone:
            if self._misses == _MOST_MISSES:
                return without_judge(verdict, len(images), "it is not asked again in this run")
            found = await judged(verdict, len(images), ask, self._context.apart)
        self._misses = 0 if is_judged(found) else self._misses + 1
        if not is_judged(found):
            self._unanswered.add(task.id)
            self._warn(f"{product.product_id} / {task.stage}: {found.not_measured[-1]}")
            if self._misses == _MOST_MISSES:
                self._warn(
                    f"the scene judge gave no answer {_MOST_MISSES} times in a row, and is not "
                    "asked again in this run: its scenes are not measured"
                )
        return found

    def _warn(self, what: str) -> None:
        self._context.emit(Warned(what))


def is_judged(verdict: Verdict) -> bool:
    return _JUDGED in verdict.numbers


async def judged(
    verdict: Verdict,
    images: int,
    ask: Callable[[], object],
    apart: Offload,
    longest: float = JUDGE_SECONDS,
) -> Verdict:
    """The verdict of a scene's check with that of the judge in it.

    An exception, a wrong answer and none in time are no verdict: the images count as not measured.

    Args:
        images: how many the scene has.
        ask: reads the files and asks the judge; it may take `longest` seconds.
    """

    def answered() -> object:
        try:
            return ask()
        except SystemExit as error:  # in a task it would end the process
            raise RuntimeError("it wanted to end the process") from error

    call = asyncio.ensure_future(apart(answered))
    try:
        await asyncio.wait({call}, timeout=longest)
        if not call.done():
            return without_judge(verdict, images, f"it took longer than {longest:g} s")
        answer = call.result()
    except Exception as error:  # noqa: BLE001 - the user's own code
        why = f"{type(error).__name__}: {one_line(str(error))}"
        return without_judge(verdict, images, why)
    finally:
        call.cancel()
    if not isinstance(answer, (list, tuple)) or len(answer) != images:
        return without_judge(verdict, images, f"it did not answer with {images} verdicts")
    if not all(one is None or _is_verdict(one) for one in answer):
        return without_judge(verdict, images, "one of its answers is not a Verdict")
    return _with(
        verdict, answer, "it has no verdict on one of the scenes" if None in answer else None
    )


def _is_verdict(value: object) -> bool:
    return (
        isinstance(value, Verdict)
        and isinstance(value.outcome, Outcome)
        and isinstance(value.why, str)
        and isinstance(value.fix, str)
    )


def without_judge(verdict: Verdict, images: int, why: str) -> Verdict:
    """The verdict of a scene that the judge has not seen: not measured, and why."""
    found = _with(verdict, [None] * images, why)
    return replace(found, numbers={k: v for k, v in found.numbers.items() if k != _JUDGED})


def _with(verdict: Verdict, answers: Sequence[Verdict | None], why_not: str | None) -> Verdict:
    nothing = unmeasured("no check measured it")
    before = verdict.images or [nothing] * len(answers)
    images = tuple(map(_both, before, answers))
    refused = [number for number, one in enumerate(images, 1) if one.is_refused]
    said = tuple(
        f"Scene {number}: {one.why}"
        for number, one in enumerate(images, 1)
        if one.outcome in _FIXED
    )
    if images and len(refused) == len(images):
        outcome = Outcome.FAILED
    elif verdict.outcome in _FIXED:
        outcome = verdict.outcome
    elif said:
        outcome = Outcome.DOUBTFUL
    else:
        is_measured = all(one.outcome is Outcome.PASSED for one in images)
        outcome = Outcome.PASSED if is_measured else Outcome.UNMEASURED
    notes = [note for note in verdict.not_measured if not note.startswith(_NOTE)]
    if why_not is not None:
        notes.append(f"{_NOTE}: {why_not}")
    fixes = dict.fromkeys(one.fix for one in (verdict, *images) if one.fix)
    return Verdict(
        outcome,
        " ".join(said) or verdict.why,
        " ".join(fixes),
        {**verdict.numbers, _JUDGED: len(images)},
        tuple(notes),
        images,
    )


def _both(ours: Verdict, theirs: Verdict | None) -> Verdict:
    """The worse of two; what the judge did not measure is not good."""
    theirs = theirs or unmeasured("the scene judge has no verdict on it")
    if Outcome.FAILED in (ours.outcome, theirs.outcome):
        worse = ours if ours.is_refused else theirs
    elif Outcome.DOUBTFUL in (ours.outcome, theirs.outcome):
        worse = ours if ours.outcome is Outcome.DOUBTFUL else theirs
    else:
        worse = theirs
    return Verdict(worse.outcome, worse.why, worse.fix, ours.numbers, worse.not_measured)
