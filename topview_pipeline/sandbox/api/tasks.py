"""The life of tasks: accepted into a slot, init, running, success or fail, charged on success.

A task's state follows from the clock. Nothing runs per task but the making of its media: `settle`
ends what is due whenever somebody looks, and dates it by when it was due, not by the look.
"""

import heapq
import io
import logging
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from PIL import Image, PngImagePlugin

from topview_pipeline.sandbox.config import SandboxConfig
from topview_pipeline.sandbox.draws import lognormal
from topview_pipeline.sandbox.kinds import Kind
from topview_pipeline.sandbox.media.engine import (
    MediaEngine,
    MediaError,
    SceneInputs,
    VideoInputs,
)

from .faults import RUINS, Faults
from .state import Account, Clock, CreditEntry, File, State, Storage, Task, new_id
from .submissions import Submission
from .wire import ApiError

logger = logging.getLogger(__name__)

_INIT_SHARE = 0.1
"""The part of a task's time in which its status is `init`."""

_MODEL_UNAVAILABLE = "The model service is unavailable, please try again later."


Made = tuple[tuple[File, bytes], ...]


@dataclass(frozen=True)
class Outcome:
    """The end of making a task's media: files, or an `error`. `ready_at` is clock time.

    `video_seconds` is the length that is charged; 0 for pictures.
    """

    ready_at: float
    files: Made = ()
    video_seconds: float = 0.0
    error: str | None = None


class MediaJobs:
    """Makes the media of tasks: in a pool of `workers` threads, or at once when that is 0."""

    def __init__(self, engine: MediaEngine, storage: Storage, clock: Clock, workers: int) -> None:
        self._engine = engine
        self._storage = storage
        self._clock = clock
        self._pool = ThreadPoolExecutor(workers, "sandbox-media") if workers else None
        self._jobs: dict[str, Future[Outcome]] = {}

    def start(self, task: Task) -> None:
        """Begin a task's media; without a pool they are there when this returns."""
        if self._pool is not None:
            self._jobs[task.id] = self._pool.submit(self._make, task)
            return
        done: Future[Outcome] = Future()
        done.set_result(self._make(task))
        self._jobs[task.id] = done

    def take(self, task: Task) -> Outcome | None:
        """A task's outcome, once; None while its media are being made."""
        job = self._jobs[task.id]
        if not job.done():
            return None
        del self._jobs[task.id]
        crash = job.exception()
        if crash is None:
            return job.result()
        logger.error("the media of task %s (%s) crashed", task.id, task.kind.value, exc_info=crash)
        return Outcome(self._clock(), error="Internal error while generating, please try again.")

    def close(self, *, wait: bool = False) -> None:
        """Start nothing more; `wait` until all that was started is made, else give up the rest."""
        if self._pool is not None:
            self._pool.shutdown(wait=wait, cancel_futures=not wait)

    def _make(self, task: Task) -> Outcome:
        files: Made = ()
        video_seconds, error = 0.0, None
        try:
            files, video_seconds = self._media(task)
        except MediaError as refused:
            error = str(refused) or "The input cannot be used."
        # Media that take no time are never what a task waits for, not even after a restart.
        ready_at = task.accepted_at if self._pool is None else self._clock()
        return Outcome(ready_at, files, video_seconds, error)

    def _media(self, task: Task) -> tuple[Made, float]:
        """The outputs of a task, and the length of a video."""
        inputs = {role: self._storage.get(sha256) for role, sha256 in task.inputs.items()}
        mark = f"{task.content}/{task.repeat}"
        if task.kind is Kind.REMOVE_BACKGROUND:
            made = self._engine.cutout(inputs["product"])
            png = _emptied(made.png, mark) if "empty_cutout" in task.ruins else made.png
            cutout = _file(task, 0, "cutout", width=made.width, height=made.height)
            mask = _file(task, 1, "mask", width=made.mask_width, height=made.mask_height)
            return ((cutout, png), (mask, made.mask_png)), 0.0
        # The same for the same work done the same time over, also in a later process.
        seed = (int(task.content[:12], 16) + task.repeat) % 2**31
        if task.kind is Kind.IMAGE_REPLACE:
            given = SceneInputs(
                cutout=inputs.get("cutout") or self._engine.cutout(inputs["product"]).png,
                template=inputs["template"],
                location=task.params.get("location"),
                prompt=task.params["prompt"],
                face=inputs.get("face"),
                count=task.params["count"],
                seed=seed,
            )
            scenes = self._engine.scenes(given)
            pictures = [scene.png for scene in scenes]
            if "no_product" in task.ruins:
                pictures[0] = _without_product(pictures[0], inputs["template"], mark)
            faces = [scene.face_existence and "no_face" not in task.ruins for scene in scenes]
            return tuple(
                (_file(task, index, "scene", face_existence=has_face), png)
                for index, (png, has_face) in enumerate(zip(pictures, faces, strict=True))
            ), 0.0
        asked = VideoInputs(
            scene=inputs["scene"],
            mode=task.params["mode"],
            text=task.params["text"] or None,
            audio=inputs.get("audio"),
            caption_id=task.params["caption_id"],
            seed=seed,
        )
        video = self._engine.video(asked)
        files = (
            (_file(task, 0, "video", "video/mp4"), video.mp4),
            (_file(task, 1, "cover", "image/jpeg"), video.cover_jpg),
            (_file(task, 2, "preview", "video/mp4"), video.mp4),
        )
        return files, video.seconds


class Tasks:
    """Accepts submits and knows the state of every task. Call `settle` before asking anything.

    Tasks that the state brings from an earlier process go on by the clock.
    """

    def __init__(
        self,
        config: SandboxConfig,
        state: State,
        media: MediaJobs,
        faults: Faults,
        clock: Clock,
    ) -> None:
        self._config = config
        self._state = state
        self._media = media
        self._faults = faults
        self._clock = clock
        self.concurrency = config.concurrency
        self._due: list[tuple[float, str]] = []
        self._late: list[Task] = []
        self._live: dict[str, Task] = {}
        self._repeats: Counter[str] = Counter()
        for task in state.tasks.values():
            self._repeats[task.content] += 1
            if task.ended_at is None:
                self._begin(task)

    def accept(self, submission: Submission, account: Account, base: str) -> Task:
        """Turn a valid submit into a task.

        Raises ApiError 4007 when the account's slots are full and 4100 when its credits, less
        what its unfinished tasks will cost, are too few.
        """
        live = [task for task in self._live.values() if task.uid == account.uid]
        if len(live) >= self.concurrency:
            raise ApiError("4007")
        free = account.credits - sum(task.estimate for task in live)
        if submission.estimate > free:
            raise ApiError("4100", f"{submission.estimate} needed, {max(free, 0.0):g} left")
        task = self._task(submission, account, base)
        self._state.save_task(task)
        self._begin(task)
        return task

    def _task(self, submission: Submission, account: Account, base: str) -> Task:
        content = submission.content(account.uid)
        repeat = self._repeats[content]
        self._repeats[content] += 1
        now = self._clock()
        config = self._config
        median = config.median_seconds(submission.kind)
        seconds = lognormal(median, config.sigma, config.seed, "duration", content, repeat)
        subject = f"{content}/{repeat}"
        fails = self._faults.strikes("fail", subject)
        ruins = [
            name for name in RUINS.get(submission.kind, ()) if self._faults.strikes(name, subject)
        ]
        return Task(
            id=new_id(),
            kind=submission.kind,
            version=submission.version,
            uid=account.uid,
            content=content,
            repeat=repeat,
            inputs={role: file.sha256 or "" for role, file in submission.inputs.items()},
            params=submission.params,
            ruins=ruins,
            accepted_at=now,
            ends_at=now + seconds / config.speed,
            estimate=submission.estimate,
            planned_error=_MODEL_UNAVAILABLE if fails else None,
            base=base,
            notice_url=submission.notice_url,
            notice_uuid=new_id() if submission.notice_url else None,
        )

    def _begin(self, task: Task) -> None:
        self._live[task.id] = task
        heapq.heappush(self._due, (task.ends_at, task.id))
        if task.planned_error is None:
            self._media.start(task)

    def settle(self) -> list[Task]:
        """End every task that is due and whose media are ready; returns those that ended."""
        now = self._clock()
        if not self._late and (not self._due or self._due[0][0] > now):
            return []
        candidates, self._late = self._late, []
        while self._due and self._due[0][0] <= now:
            candidates.append(self._live[heapq.heappop(self._due)[1]])
        return [task for task in candidates if self._end(task)]

    def _end(self, task: Task) -> bool:
        if task.planned_error is not None:
            outcome: Outcome | None = Outcome(task.ends_at, error=task.planned_error)
        else:
            outcome = self._media.take(task)
        if outcome is None:
            self._late.append(task)
            return False
        del self._live[task.id]
        task.ended_at = max(task.ends_at, outcome.ready_at)
        task.error = outcome.error
        if outcome.error is None:
            for file, content in outcome.files:
                file.created_at = task.ended_at
                self._state.save_file(file, content)
                task.outputs.append(file.id)
            self._charge(task, outcome, task.ended_at)
        self._state.save_task(task)
        return True

    def _charge(self, task: Task, outcome: Outcome, at: float) -> None:
        contract = self._config.contract
        word = contract.word_of(task.kind)
        if word is None:
            return
        if task.kind is Kind.IMAGE_REPLACE:
            task.cost = contract.image_replace_credits(task.version, len(outcome.files))
        elif task.kind is Kind.IMAGE2VIDEO:
            task.cost = contract.video_credits(task.params["mode"], outcome.video_seconds)
        else:
            task.cost = contract.prices[task.kind.value]
        if contract.log_date == "creation":
            at = task.accepted_at
        account = self._state.account_of(task.uid)
        account.credits = round(account.credits - task.cost, 4)
        self._state.save_account(account)
        self._state.save_entry(
            CreditEntry(account.uid, account.api_key, at, task.cost, task.id, word)
        )

    def status(self, task: Task) -> str:
        """`init`, `running`, `success` or `fail`, as of the last `settle`."""
        if task.ended_at is not None:
            return "success" if task.error is None else "fail"
        init_ends = task.accepted_at + _INIT_SHARE * (task.ends_at - task.accepted_at)
        return "init" if self._clock() < init_ends else "running"


def _file(task: Task, index: int, role: str, content_type: str = "image/png", **facts: Any) -> File:
    """An output of a task. Its lineage is the work and the position, never bytes.

    Its key has the form of those in the documents' examples.
    """
    name = new_id()
    key = {
        "cutout": f"analyzed_video/task/background_removed/{task.id}/cropped_image.png",
        "mask": f"analyzed_video/task/background_removed/{task.id}/mask.png",
        "scene": f"analyzed_video/task/object_replace_llm/{name}/{name}_{index + 1}.png",
        "video": f"analyzed_video/task/export/{name}_topview.ai.mp4",
        "cover": f"analyzed_video/task/custom_aiavatar/{task.uid}/product_avatar/{name}.jpg",
        "preview": f"aiavatar/user_instant_model/{task.uid}/{task.id}/result/{name}.mp4",
    }[role]
    return File(
        new_id(),
        task.uid,
        role,
        key,
        content_type,
        lineage=f"{task.content}#{role}{index}",
        task_id=task.id,
        **facts,
    )


# Pictures as a model gives them on a bad day: what a client has to notice before it pays more.


def _emptied(cutout: bytes, mark: str) -> bytes:
    """A cut-out of the same size in which nothing was found.

    `mark` goes into the file, so that every task has its own bytes.
    """
    with Image.open(io.BytesIO(cutout)) as image:
        return _png(Image.new("RGBA", image.size), mark)


def _without_product(scene: bytes, template: bytes, mark: str) -> bytes:
    """The template alone, in the scene's size."""
    with Image.open(io.BytesIO(scene)) as image, Image.open(io.BytesIO(template)) as empty:
        return _png(empty.convert("RGB").resize(image.size), mark)


def _png(image: Image.Image, mark: str) -> bytes:
    out, info = io.BytesIO(), PngImagePlugin.PngInfo()
    info.add_text("Mark", mark)
    image.save(out, "PNG", pnginfo=info)
    return out.getvalue()
