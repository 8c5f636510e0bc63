"""Whether a 4004 at a video's submit is about the scene's image, which cannot be uploaded again.

It counts as dead only when the query of its task no longer gives it, the free lists know the row's
voice and caption, and the request carries no file id of the catalogue's; otherwise the request
itself is to blame. A live scene taken for dead would be paid again: one odd answer proves nothing.
What follows from a dead image is `flow.py`'s.
"""

from __future__ import annotations

import asyncio
from typing import Final

from topview_pipeline.ledger import HeldReason
from topview_pipeline.producer.desk import Desk
from topview_pipeline.producer.outcomes import DeadImageError, HeldError
from topview_pipeline.producer.work import Piece
from topview_pipeline.stages import FINISHED_VIDEO
from topview_pipeline.stages.requests import files_needed
from topview_pipeline.stages.scenes import ChosenImage
from topview_pipeline.topview.errors import AccountError, QueryError, TaskUnknown, Unavailable
from topview_pipeline.topview.models import ImageReplaceResult, TaskStatus

_QUESTIONS: Final = 5
_DENIALS: Final = 3
"""How often Topview must say, uncontradicted, that the scene's task is unknown or has no images."""
_ASK_AGAIN_SECONDS: Final = 600.0


async def check_image(desk: Desk, piece: Piece) -> None:
    """Return when the image is not to blame, or when there is none in the request.

    Raises:
        DeadImageError: the image is dead.
        HeldError: Topview does not say now whether it is.
    """
    if piece.stage is not FINISHED_VIDEO or piece.chosen is None or piece.upstream is None:
        return
    files = files_needed(piece.stage, piece.product, piece.shape, piece.upstream)
    if not all(needed.can_be_uploaded for needed in files):
        return  # the dead id may be one of the catalogue's, and none of Topview's lists has those
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
    """Whether the scene's task still has the image, by an answer that can be relied on.

    Raises:
        QueryError: there was none in a few attempts.
    """
    denials = 0
    wait = desk.config.network_seconds
    for question in range(_QUESTIONS):
        if question:
            await asyncio.sleep(wait)
            wait *= 2
        try:
            now = await desk.client.query_image_replace(task_id)
        except Unavailable as error:
            trouble: QueryError = error
            wait = max(wait, error.retry_after or 0.0)
        except TaskUnknown as error:
            trouble = error
            denials += 1
        else:
            done = now.status is TaskStatus.SUCCESS
            if done and now.images:
                return any(image.image_id == chosen.image_id for image in now.images)
            trouble = Unavailable(
                f"it was finished and is now {now.raw_status!r} with {len(now.images)} images",
                doing="asking for a scene's images",
            )
            denials = denials + 1 if done else 0
        if denials == _DENIALS:
            return False
    raise trouble


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
