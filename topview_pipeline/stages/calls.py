"""Which of the client's methods starts a stage's task, and which one asks for it."""

from __future__ import annotations

from collections.abc import Collection

from topview_pipeline.stages import BG_REMOVED_IMAGE, REPLACED_IMAGES, Stage
from topview_pipeline.stages.requests import Request
from topview_pipeline.stages.results import TaskResult
from topview_pipeline.topview.client import TopviewClient
from topview_pipeline.topview.models import (
    ImageReplaceRequest,
    RemoveBackgroundRequest,
    Submitted,
)


async def submit(
    client: TopviewClient, request: Request, *, ids_of_ours: Collection[str] = ()
) -> Submitted:
    """Start a task, once.

    Raises:
        SubmitError: its class says what to do.
    """
    if isinstance(request, RemoveBackgroundRequest):
        return await client.submit_remove_background(request, ids_of_ours=ids_of_ours)
    if isinstance(request, ImageReplaceRequest):
        return await client.submit_image_replace(request, ids_of_ours=ids_of_ours)
    return await client.submit_image2video(request, ids_of_ours=ids_of_ours)


async def query(client: TopviewClient, stage: Stage, topview_task_id: str) -> TaskResult:
    """Ask once how far a stage's task is.

    Raises:
        QueryError: its class says what to do.
    """
    if stage is BG_REMOVED_IMAGE:
        return await client.query_remove_background(topview_task_id)
    if stage is REPLACED_IMAGES:
        return await client.query_image_replace(topview_task_id)
    return await client.query_image2video(topview_task_id)
