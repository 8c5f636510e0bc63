"""The query routes of the pipeline, and the faults that meet their answers."""

from typing import Any

from starlette.routing import Route

from topview_pipeline.sandbox.interference import call_trouble
from topview_pipeline.sandbox.kinds import Kind
from topview_pipeline.sandbox.records import Task
from topview_pipeline.sandbox.results import task_result
from topview_pipeline.sandbox.wire import ApiError, base_of, query_flag, query_text
from topview_pipeline.sandbox.world import World

from .endpoint import Call, endpoint

_STRANGE_STATUS = "queueing"
"""A status word that no document knows."""


def query(kind: Kind, path: str) -> Route:
    """The query route of one kind."""

    async def handler(call: Call) -> dict[str, Any]:
        world = call.world
        world.tally.queries[kind.value] += 1
        task = _task(call, kind)
        if world.faults.active:
            await _meet_faults(world, task)
        strange = world.faults.strikes("unknown_status", _subject(task))
        urls = not strange and not _withholds_urls(world, task)
        cloudfront = query_flag(call.request, "needCloudFrontUrl")
        base = base_of(call.request)
        result = task_result(world, task, base, cloudfront=cloudfront, urls=urls)
        if strange:
            result["status"] = _STRANGE_STATUS
        if urls and task.succeeded and task.seen_at is None:
            task.seen_at = world.clock()
            world.state.save_task(task)
        return result

    return Route(path, endpoint(handler, own_faults=True), methods=["GET"])


def _task(call: Call, kind: Kind) -> Task:
    task_id = query_text(call.request, "taskId")
    if not task_id:
        raise ApiError("4003", "taskId")
    task = call.world.state.tasks.get(task_id)
    if task is None or task.kind is not kind or task.uid != call.account.uid:
        raise ApiError("4004", f"taskId {task_id}")
    return task


def _subject(task: Task) -> str:
    return f"{task.content}/{task.repeat}"


async def _meet_faults(world: World, task: Task) -> None:
    subject = _subject(task)
    trouble = call_trouble(world.faults, f"query {subject}", world.config.retry_after_seconds)
    if trouble is not None:
        raise trouble
    if world.faults.strikes("slow_query", subject):
        await world.sleep(world.config.slow_seconds)
        world.settle()
    young = world.clock() < task.accepted_at + world.config.grace_seconds
    if young and world.faults.dooms("notfound_grace", subject):
        raise ApiError("4004", f"taskId {task.id}")


def _withholds_urls(world: World, task: Task) -> bool:
    if not task.succeeded or not world.faults.dooms("nourl", _subject(task)):
        return False
    world.tally.answers_without_urls[task.id] += 1
    return world.tally.answers_without_urls[task.id] <= world.config.nourl_queries


ROUTES = [
    query(Kind.REMOVE_BACKGROUND, "/v1/common_task/remove_background/query"),
    *(
        query(kind, f"/{version}/product_avatar/task/{kind.value}/query")
        for version in ("v2", "v3")
        for kind in (Kind.IMAGE_REPLACE, Kind.IMAGE2VIDEO)
    ),
]
