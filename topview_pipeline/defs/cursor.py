"""Cursors of sensors, small dataclasses of pydantic that are kept as JSON, and digests in them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


def read_cursor(kind: type[T], text: str | None) -> T | None:
    """The cursor as it was kept; None when there is none that can be read."""
    try:
        return TypeAdapter(kind).validate_json(text or "")
    except ValidationError:
        return None


def written(cursor: Any) -> str:
    """The text of a cursor."""
    return json.dumps(asdict(cursor))


def digest(value: object) -> str:
    """A short text that changes with the value's repr."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]
