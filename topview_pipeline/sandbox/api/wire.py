"""The envelope, the error codes, and the reading of sloppy input.

Business errors are HTTP 200 with a body code other than "200", as measured on the real API. Codes
are strings. Empty strings count as absent, everywhere.
"""

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        "200": "Success",
        "401": "Unauthorized, need to login again",
        "4000": "Request parameter error",
        "4001": "Request data format does not match!",
        "4002": "Request digital signature does not match!",
        "4003": "Required parameter cannot be null",
        "4004": "Resource not found!",
        "4005": "Name duplicated",
        "4006": "Request refuse",
        "4007": "Exists unfinished task, please wait until the previous task is completed.",
        "4100": "Credit not enough",
        "5000": "Internal server error!",
        "5001": "Feign invoke error",
        "5003": "Server is busy, please try again later!",
        "5004": "I/O error occurred",
        "5005": "Unknown error occurred",
        "6001": "Security problem detect",
    }
)
"""docs.topview.ai/reference/error-response; 401 is the official client's."""


class ApiError(Exception):
    """A call that the API refuses; `code` is the body code."""

    def __init__(self, code: str, detail: str = "", *, http_status: int = 200) -> None:
        self.code = code
        self.message = f"{MESSAGES[code]} ({detail})" if detail else MESSAGES[code]
        self.http_status = http_status
        super().__init__(self.message)


def answer(result: Any) -> Response:
    """The envelope of success."""
    return _envelope("200", MESSAGES["200"], result, 200)


def refusal(error: ApiError, codes: Mapping[str, str] = MappingProxyType({})) -> Response:
    """The envelope of an error; `codes` are those that take another's place."""
    code = codes.get(error.code, error.code)
    message = error.message if code == error.code else MESSAGES.get(code, error.message)
    return _envelope(code, message, None, error.http_status)


def _envelope(code: str, message: str, result: Any, http_status: int) -> Response:
    body = json.dumps({"code": code, "message": message, "result": result}, separators=(",", ":"))
    return Response(body, http_status, media_type="application/json")


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object of a submit, whatever its Content-Type says; 4001 for anything else."""
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        raise ApiError("4001", "the body is not JSON") from error
    if not isinstance(body, dict):
        raise ApiError("4001", "the body is not a JSON object")
    return body


def text(body: Mapping[str, Any], name: str, default: str = "") -> str:
    """A string field; absent, null and empty all give `default`; other types are 4001."""
    value = body.get(name)
    if value is None or value == "":
        return default
    if not isinstance(value, str):
        raise ApiError("4001", f"{name} is not a string")
    return value


def required(body: Mapping[str, Any], name: str) -> str:
    """A string field that must not be empty; 4003 when it is."""
    value = text(body, name)
    if not value:
        raise ApiError("4003", name)
    return value


def choice(body: Mapping[str, Any], name: str, allowed: Iterable[str], default: str) -> str:
    """A string field with a closed set of values; 4000 for others."""
    value, known = text(body, name, default), tuple(allowed)
    if value not in known:
        raise ApiError("4000", f"{name} is {value!r}, not one of {', '.join(known)}")
    return value


def notice_url(body: Mapping[str, Any]) -> str:
    """The `noticeUrl` of a body, or the empty string; 4000 unless http or https with a host."""
    url = text(body, "noticeUrl")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        valid = False
    if url and not valid:
        raise ApiError("4000", "noticeUrl is not an http address")
    return url


def query_text(request: Request, name: str) -> str:
    """A query parameter; absent, bare and empty are all the empty string."""
    return request.query_params.get(name, "")


def query_flag(request: Request, name: str) -> bool:
    """A boolean query parameter: only `true`, in any case, is true."""
    return query_text(request, name).lower() == "true"


def page_of(request: Request, items: list[Any]) -> dict[str, Any]:
    """One page of a list, by `pageNo` (from 1) and `pageSize` (20)."""
    number, size = _query_count(request, "pageNo", 1), _query_count(request, "pageSize", 20)
    first = (number - 1) * size
    return {
        "total": len(items),
        "pageNo": number,
        "pageSize": size,
        "data": items[first : first + size],
    }


def _query_count(request: Request, name: str, default: int) -> int:
    """A positive whole number in the query; 4001 for anything else."""
    value = query_text(request, name)
    if not value:
        return default
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise ApiError("4001", f"{name} is not a positive number")
    return int(value)


def base_of(request: Request) -> str:
    """Scheme and host as this client sees them; signed URLs start with it."""
    return f"{request.scope['scheme']}://{request.headers.get('host', 'localhost')}"
