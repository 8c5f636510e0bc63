"""The account: credits, the credit log, disk space, and the check of a notice address."""

from datetime import datetime, timezone
from typing import Any

from starlette.routing import Route

from topview_pipeline.sandbox.wire import ApiError, is_notice_url, query_text

from .catalogue import page_of
from .endpoint import Call, endpoint

_LOG_TIME = "%Y-%m-%d %H:%M:%S"
_SPACE_BYTES = 100 * 1024**3
_SUBSCRIPTION_ENDS = "2099-12-31T23:59:59Z"


async def _credit_detail(call: Call) -> dict[str, Any]:
    account = call.account
    return {
        "uid": account.uid,
        "remainCredit": account.credits,
        "expiredTime": _SUBSCRIPTION_ENDS,
        "apiKeyMap": {},
    }


async def _credit_logs(call: Call) -> dict[str, Any]:
    """Charged tasks, newest first, by `taskType` and between `startTime` and `endTime` (UTC)."""
    request = call.request
    task_type = query_text(request, "taskType")
    start, end = _log_time(call, "startTime"), _log_time(call, "endTime")
    found = [
        {
            "uid": entry.uid,
            "apiKey": entry.api_key,
            "date": datetime.fromtimestamp(entry.at, timezone.utc).strftime(_LOG_TIME),
            "costCredit": entry.cost,
            "taskId": entry.task_id,
            "taskType": entry.task_type,
        }
        for entry in sorted(call.world.state.entries, key=lambda entry: -entry.at)
        if entry.uid == call.account.uid
        and (not task_type or entry.task_type == task_type)
        and (start is None or int(entry.at) >= start)
        and (end is None or int(entry.at) <= end)
    ]
    return page_of(request, found)


def _log_time(call: Call, name: str) -> float | None:
    value = query_text(call.request, name)
    if not value:
        return None
    try:
        return datetime.strptime(value, _LOG_TIME).replace(tzinfo=timezone.utc).timestamp()
    except ValueError as error:
        raise ApiError("4001", f"{name} is not yyyy-MM-dd HH:mm:ss") from error


async def _space(call: Call) -> dict[str, int]:
    files = call.world.state.files.values()
    used = sum(file.size for file in files if file.uid == call.account.uid)
    return {"usedSpace": used, "maxSpace": _SPACE_BYTES}


async def _check_notice_url(call: Call) -> bool:
    url = query_text(call.request, "noticeUrl")
    if not url:
        raise ApiError("4003", "noticeUrl")
    if not is_notice_url(url):
        raise ApiError("4000", "noticeUrl is not an http address")
    return True


ROUTES = [
    Route("/user/credit/detail", endpoint(_credit_detail, bearer_alone=True), methods=["GET"]),
    Route("/user/credit/logs", endpoint(_credit_logs), methods=["GET"]),
    Route("/user/space", endpoint(_space), methods=["GET"]),
    Route("/notice/notice_url/check", endpoint(_check_notice_url), methods=["POST"]),
]
