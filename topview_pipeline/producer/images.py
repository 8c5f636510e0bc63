"""Whether a 4004 at a video's submit is about the scene's image, which cannot be uploaded again.

It counts as dead only when the query of its task no longer gives it and the free lists know the
row's voice and caption; otherwise the request itself is to blame. What follows from a dead image
is `flow.py`'s.
"""

from __future__ import annotations

import asyncio
from typing import Final

from topview_pipeline.ledger import HeldReason
from topview_pipeline.producer.desk import Desk
from topview_pipeline.producer.outcomes import DeadImageError, HeldError
from topview_pipeline.producer.work import Piece
from topview_pipeline.stages import FINISHED_VIDEO
from topview_pipeline.stages.scenes import ChosenImage
from topview_pipeline.topview.errors import AccountError, QueryError, TaskUnknown, Unavailable
from topview_pipeline.topview.models import ImageReplaceResult

_QUESTIONS: Final = 5
_ASK_AGAIN_SECONDS: Final = 600.0


async def check_image(desk: Desk, piece: Piece) -> None:
    """Return when the image is not to blame, or when there is none in the request.

    Raises:
        DeadImageError: the image is dead.
        HeldError: Topview does not say now whether it is.
    """
    if piece.stage is not FINISHED_VIDEO or piece.chosen is None or piece.upstream is None:
        return
    task_id = ImageReplaceResult.model_validate(piece.upstream.result).task_id
    try:
        with desk.activity.asking():
            if await _gives(desk, task_id, piece.chosen) or not await _lists_know(desk, piece):
                return
    except AccountError:
        return  # the next submit meets it too, and pauses the account
    except QueryError as error:
        raise HeldError(
            HeldReason.DEAD_IMAGE,
            f"an id in the request is gone, and which one could not be found out: {error}",
            until=desk.clock() + _ASK_AGAIN_SECONDS,
        ) from error
    raise DeadImageError(piece.chosen.number, task_id)


async def _gives(desk: Desk, task_id: str, chosen: ChosenImage) -> bool:
    try:
        now = await _asked(desk, task_id)
    except TaskUnknown:
        return False
    return any(image.image_id == chosen.image_id for image in now.images)


async def _asked(desk: Desk, task_id: str) -> ImageReplaceResult:
    """A few attempts: a lost answer says nothing about the image."""
    wait = desk.config.network_seconds
    for _ in range(_QUESTIONS - 1):
        try:
            return await desk.client.query_image_replace(task_id)
        except Unavailable as error:
            await asyncio.sleep(max(wait, error.retry_after or 0.0))
            wait *= 2
    return await desk.client.query_image_replace(task_id)


async def _lists_know(desk: Desk, piece: Piece) -> bool:
    voice, caption = piece.product.voice_id, piece.product.caption_id
    if voice and not await _lists_voice(desk, voice):
        return False
    captions = await desk.client.captions() if caption else []
    return not caption or caption in {known.caption_id for known in captions}


async def _lists_voice(desk: Desk, voice_id: str) -> bool:
    for custom in (False, True):
        if voice_id in {known.voice_id for known in await desk.client.voices(custom=custom)}:
            return True
    return False
