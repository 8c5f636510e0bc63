"""Bytes from what a person wrote down: a path, an http(s) URL or an fsspec URL (`s3://...`).

refs.py is the writing, reading.py the bytes behind it, http.py those that a web server gives. Not
here: what the bytes mean (`catalogue`, `inputs`).
"""

from topview_pipeline.sources.errors import SourceError, SourceTimeout
from topview_pipeline.sources.reading import (
    Content,
    file_mark,
    mark_of,
    read_changed,
    read_limited,
)
from topview_pipeline.sources.refs import host_of, is_url, local_path, resolved, shown

__all__ = [
    "Content",
    "SourceError",
    "SourceTimeout",
    "file_mark",
    "host_of",
    "is_url",
    "local_path",
    "mark_of",
    "read_changed",
    "read_limited",
    "resolved",
    "shown",
]
