"""Byte ranges: the Range header, and which bytes of a file were sent so far."""

import re

_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """The span [first, end) that a Range header asks of `size` bytes.

    No header, and one that is not a single byte range, ask for everything. None: not satisfiable.
    """
    found = _RANGE.match(header)
    if found is None or found.groups() == ("", ""):
        return 0, size
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    return (start, end) if start < end else None


def add_range(ranges: list[list[int]], first: int, end: int) -> None:
    """Add [first, end) to disjoint sorted ranges, in place, joining those that touch."""
    joined: list[list[int]] = []
    for start, stop in sorted([*ranges, [first, end]]):
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], stop)
        else:
            joined.append([start, stop])
    ranges[:] = joined
