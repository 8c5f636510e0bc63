"""Cursors of sensors: small dataclasses of pydantic, kept as JSON."""

from __future__ import annotations

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
