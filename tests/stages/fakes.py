"""Products, answers and a client for the tests of the stages."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from typing import Any, cast

from topview_pipeline.catalogue import Product
from topview_pipeline.ledger import Task, TaskState
from topview_pipeline.stages import Stage, Upstream, WorkItem
from topview_pipeline.store import Artifact
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.models import Avatar, Caption, Voice

QUAD = ((0.1, 0.1), (0.4, 0.1), (0.4, 0.5), (0.1, 0.5))
SIGNED = "https://aigc.s3.amazonaws.com/folder/file?X-Amz-Signature=secret&X-Amz-Expires=86400"
CUTOUT = Artifact("cutout.png", "p/cutout.png", "c" * 64, 9, "image/png")
CUT_OUT_MADE = Upstream("up", {"bgRemovedImageFileId": "cutout-id"}, (CUTOUT,))
PLAIN = Product(
    product_id="a",
    image="photo",
    product_image_file_id=None,
    template_image="template",
    template_image_file_id=None,
    avatar_id=None,
    location=None,
    image_edit_prompt="put it into the hand",
    user_face_image=None,
    user_face_image_file_id=None,
    script="Hello.",
    audio=None,
    audio_file_id=None,
    voice_id="voice",
    caption_id="caption",
    mode="avatar2",
    chosen_image=None,
    gate=None,
)


def product(**changes: Any) -> Product:
    return replace(PLAIN, **changes)


def hash_of(ref: str) -> str:
    """Stands for the bytes behind a reference: equal names before a colon have equal bytes."""
    return hashlib.sha256(ref.partition(":")[0].encode()).hexdigest()


def scene_result(*faces: bool | None) -> dict[str, Any]:
    """A kept answer of a scene with an image for each of these faces."""
    images = [
        {"imageId": f"image-{number}", "faceExistence": face}
        for number, face in enumerate(faces, 1)
    ]
    return {"taskId": "scene-task", "replaceProductResult": images}


def scene(*faces: bool | None) -> Upstream:
    return Upstream("s" * 64, scene_result(*faces))


def item_of(stage: Stage, one: Product, upstream: Upstream | None, **options: Any) -> WorkItem:
    return stage.item(one, stage.inputs(one, hash_of), upstream, account="account", **options)


def row(**values: Any) -> Task:
    """A stored row of the ledger."""
    given = {"topview_task_id": "t1", "cost_credits": 1.5, **values}
    names = "pipeline", "stage", "product_id", "work", "fingerprint", "run_id", "root_run_id"
    moments = dict.fromkeys(("queued_at", "reserved_at", "deadline_at"), 0.0)
    numbers = {"id": 1, "generation": 0, "attempt": 1}
    return Task(
        **{**dict.fromkeys(names, "x"), **moments, **numbers, **given}, state=TaskState.STORED
    )


class FakeClient:
    """A client that gives these answers: each a value or an error, the last one for ever."""

    def __init__(self, **answers: Any) -> None:
        self._answers = {name: list(given) for name, given in answers.items()}
        self.calls: list[str] = []

    @property
    def client(self) -> TopviewClient:
        return cast(TopviewClient, self)

    async def voices(self, *, custom: bool = False) -> list[Voice]:
        found: list[Voice] = await self._next("own_voices" if custom else "voices")
        return found

    async def captions(self) -> list[Caption]:
        found: list[Caption] = await self._next("captions")
        return found

    async def avatars(self) -> list[Avatar]:
        found: list[Avatar] = await self._next("avatars")
        return found

    async def query(self, _endpoint: str, task_id: str) -> Any:
        return await self._next(f"query {task_id}", "queries")

    async def _next(self, call: str, name: str = "") -> Any:
        self.calls.append(call)
        await asyncio.sleep(0)
        answers = self._answers.get(name or call) or [[]]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer
