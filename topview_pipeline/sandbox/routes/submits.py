"""The submit routes of the pipeline."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from starlette.routing import Route

from topview_pipeline.sandbox.interference import submit_trouble
from topview_pipeline.sandbox.kinds import Kind
from topview_pipeline.sandbox.state import State
from topview_pipeline.sandbox.submissions import (
    Submission,
    image2video,
    image_replace,
    remove_background,
)
from topview_pipeline.sandbox.wire import ApiError, base_of, body_of

from .endpoint import Call, endpoint

_Reader = Callable[[Mapping[str, Any], State, str], Submission]


def submit(kind: Kind, path: str, read: _Reader) -> Route:
    """A submit route: `read` checks the body."""

    async def handler(call: Call) -> dict[str, Any]:
        world = call.world
        world.tally.submits[kind.value] += 1
        try:
            submission = read(await body_of(call.request), world.state, call.account.uid)
            return _accept(call, submission)
        except ApiError as error:
            world.tally.refused[error.code] += 1
            raise

    return Route(path, endpoint(handler, own_faults=True), methods=["POST"])


def _accept(call: Call, submission: Submission) -> dict[str, Any]:
    world = call.world
    trouble = submit_trouble(
        world.faults,
        submission.content(call.account.uid),
        world.config.retry_after_seconds,
    )
    if trouble is not None and not trouble.accepted:
        raise trouble
    world.settle()  # time has passed since: the body had to arrive
    task = world.desk.accept(submission, call.account, base_of(call.request))
    if task.notice_url:
        world.notices.watch(world, task)
    if trouble is not None:
        raise trouble
    return {
        "taskId": task.id,
        # Accepted, not finished: what the real submit answers.
        "status": "success",
        "errorMsg": None,
        "noticeUuid": task.notice_uuid,
    }


ROUTES = [
    submit(Kind.REMOVE_BACKGROUND, "/v1/common_task/remove_background/submit", remove_background),
    *(
        submit(
            Kind.IMAGE_REPLACE,
            f"/{version}/product_avatar/task/image_replace/submit",
            partial(image_replace, version=version),
        )
        for version in ("v2", "v3")
    ),
    *(
        submit(
            Kind.IMAGE2VIDEO,
            f"/{version}/product_avatar/task/image2Video/submit",
            partial(image2video, version=version),
        )
        for version in ("v2", "v3")
    ),
]
