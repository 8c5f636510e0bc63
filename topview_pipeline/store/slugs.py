"""Product ids as folder names.

A catalogue's ids are data: any string may come. `product_slug` makes of each a name that every file
system and object store takes, that a person still recognises, and that no other id has.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final

INDEX: Final = "index"  # the folder of an account that finds its results by fingerprint
RESERVED: Final = frozenset({INDEX, "gallery", "manifest", "plans", "runs"})
"""Folders of an account that are no product's."""

_READABLE: Final = 64  # characters kept of an id; with its hash a name stays far below 255
_PLAIN: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?")
_LOOKS_HASHED: Final = re.compile(r".*--[0-9a-f]{12}", re.IGNORECASE)
_DEVICE_NAMES: Final = frozenset(
    ["con", "prn", "aux", "nul"] + [f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)]
)


def product_slug(product_id: str) -> str:
    """Return the folder name of a product: readable, ASCII, at most 79 characters, one per id.

    An id that is already a safe name stays as it is. Every other one keeps what is readable of it
    and gets `--` and a hash of the whole id, and so does an id that looks like such a name. Ids
    that differ only by case share a folder on macOS and Windows, which mixes up nothing: below it
    each result has a folder of its own.
    """
    return product_id if _is_plain(product_id) else hashed_slug(product_id)


def hashed_slug(product_id: str) -> str:
    """Return the name with a hash, which differs from all others even where case does not count."""
    digest = hashlib.sha256(product_id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{_readable(product_id)}--{digest}"


def _is_plain(product_id: str) -> bool:
    name = product_id.lower()
    return (
        _PLAIN.fullmatch(product_id) is not None
        and _LOOKS_HASHED.fullmatch(product_id) is None
        and name.partition(".")[0] not in _DEVICE_NAMES
        and name not in RESERVED
    )


def _readable(product_id: str) -> str:
    letters = unicodedata.normalize("NFKD", product_id).encode("ascii", "ignore").decode("ascii")
    words = re.sub(r"[^A-Za-z0-9_.]+", "-", letters)
    name = re.sub(r"\.{2,}", ".", words).strip(".-")[:_READABLE].rstrip(".-")
    # Windows reserves a device's name with any extension: `con.png--...` would be the console.
    return f"_{name}" if not name or name.partition(".")[0].lower() in _DEVICE_NAMES else name
