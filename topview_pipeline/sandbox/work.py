"""Making a task's media while it runs: in a pool of threads, or at once for tiny media."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from .kinds import Kind
from .media import MediaEngine, MediaError
from .records import Task
from .storage import Storage

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MadeFile:
    """One output of a task, not yet a file with an id."""

    role: str
    content: bytes
    content_type: str
    width: int = 0
    height: int = 0
    face_existence: bool | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a task's media: files, or an `error`. `ready_at` is clock time.

    `video_seconds` is the length that is charged; 0 for pictures.
    """

    ready_at: float
    files: tuple[MadeFile, ...] = ()
    video_seconds: float = 0.0
    error: str | None = None


class Workshop:
    """Starts the media of tasks and hands out what became of them."""

    def __init__(
        self, engine: MediaEngine, storage: Storage, clock: Callable[[], float], workers: int
    ) -> None:
        self._engine = engine
        self._storage = storage
        self._clock = clock
        self._pool = ThreadPoolExecutor(workers, "sandbox-media") if workers else None
        self._jobs: dict[str, Future[Outcome]] = {}

    def start(self, task: Task) -> None:
        """Begin with a task's media; without a pool they are there when this returns."""
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
        make = {
            Kind.REMOVE_BACKGROUND: self._cutout,
            Kind.IMAGE_REPLACE: self._scenes,
            Kind.IMAGE2VIDEO: self._video,
        }[task.kind]
        try:
            files, video_seconds = make(task)
            error = ""
        except MediaError as refused:
            files, video_seconds, error = (), 0.0, str(refused) or "The input cannot be used."
        # Media that take no time are never what a task waits for, not even after a restart.
        ready_at = self._clock() if self._pool is not None else task.accepted_at
        return Outcome(ready_at, files, video_seconds, error or None)

    def _cutout(self, task: Task) -> tuple[tuple[MadeFile, ...], float]:
        made = self._engine.cutout(self._storage.get(task.inputs["product"]))
        cutout = MadeFile("cutout", made.png, "image/png", made.width, made.height)
        mask = MadeFile("mask", made.mask_png, "image/png", made.mask_width, made.mask_height)
        return (cutout, mask), 0.0

    def _scenes(self, task: Task) -> tuple[tuple[MadeFile, ...], float]:
        inputs = {role: self._storage.get(sha256) for role, sha256 in task.inputs.items()}
        cutout = inputs.get("cutout") or self._engine.cutout(inputs["product"]).png
        scenes = self._engine.scenes(
            cutout=cutout,
            template=inputs["template"],
            location=task.params.get("location"),
            prompt=task.params["prompt"],
            face=inputs.get("face"),
            count=task.params["count"],
            seed=_seed(task),
        )
        return tuple(
            MadeFile("scene", scene.png, "image/png", face_existence=scene.face_existence)
            for scene in scenes
        ), 0.0

    def _video(self, task: Task) -> tuple[tuple[MadeFile, ...], float]:
        audio = task.inputs.get("audio")
        video = self._engine.video(
            scene=self._storage.get(task.inputs["scene"]),
            mode=task.params["mode"],
            text=task.params["text"] or None,
            audio=None if audio is None else self._storage.get(audio),
            caption_id=task.params["caption_id"],
            seed=_seed(task),
        )
        files = (
            MadeFile("video", video.mp4, "video/mp4"),
            MadeFile("cover", video.cover_jpg, "image/jpeg"),
            MadeFile("preview", video.mp4, "video/mp4"),
        )
        return files, video.seconds


def _seed(task: Task) -> int:
    """The same for the same work done the same time over, also in a later process."""
    return (int(task.content[:12], 16) + task.repeat) % 2**31
