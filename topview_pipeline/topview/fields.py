"""Types of single fields on Topview's wire: ids, texts, credits, times. models.py builds on them.

Documented fields come as null, "", a number for a string or the reverse, depending on the age of
the endpoint. A field that only decorates must not make a paid result unreadable, so it becomes
None; ids must be right.
"""

from datetime import datetime, timezone
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    FiniteFloat,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from topview_pipeline.printable import printable

_T = TypeVar("_T")


def _none_if_unreadable(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        return handler(value)
    except ValidationError:
        return None


Lenient = Annotated[_T | None, WrapValidator(_none_if_unreadable)]
"""A decorative field: None instead of a value that does not fit."""


def _number_as_id(value: Any) -> Any:
    # Old public avatars have ids like 1798; some endpoints send them as numbers.
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("has characters that no id has")
    return value


def _blank_as_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


Id = Annotated[
    str,
    Field(min_length=1),
    AfterValidator(_printable),
    BeforeValidator(_number_as_id),
]
"""An id at Topview: opaque, never empty."""

OptionalId = Annotated[Id | None, BeforeValidator(_blank_as_none)]
"""An id that may be missing, null or ""."""


def readable(text: str) -> str:
    """Return `text` without what no database takes, NULs and half characters, and what a terminal
    would obey: control characters."""
    if text.isprintable():  # nearly always, and a plan reads 100,000 of them
        return text
    return printable(text.encode("utf-8", "replace").decode("utf-8").replace("\0", ""))


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return _blank_as_none(readable(value))
    return value


Text = Annotated[Lenient[str], BeforeValidator(_text)]
"""Free text; None when it is missing, null, "" or no text."""

Url = Annotated[Text, Field(repr=False)]
"""A URL, else as `Text`. The query of a signed one opens its file, so no repr shows it."""

Credits = Lenient[FiniteFloat]
"""Credits; a number, or a string on a few old endpoints. None when unknown."""


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:  # Topview writes UTC as `yyyy-MM-dd HH:mm:ss`.
        return value.replace(tzinfo=timezone.utc)
    return value.astimezone(timezone.utc)


UtcTime = Lenient[Annotated[datetime, AfterValidator(_utc)]]
"""An aware UTC time; text without a zone is UTC."""


def _given_text(value: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("is not valid Unicode text") from error
    return value


Given = Annotated[
    Annotated[str, AfterValidator(_given_text)] | None, BeforeValidator(_blank_as_none)
]
"""A text or id of a request; "" counts as absent, as it does at Topview."""


def what_is_wrong(error: ValidationError) -> str:
    """Return the fields that could not be read and why, without their values."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'result'}: {item['msg']}" for item in error.errors()
    )
