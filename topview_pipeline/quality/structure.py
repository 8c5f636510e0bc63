"""What the structure of a file says of its being whole, without decoding anything.

Not here: whether what is inside can be decoded (`decoding`).
"""

from __future__ import annotations

import os
from typing import BinaryIO, Final

_NEEDED: Final = (b"mdat", b"moov", b"moof")
_OTHERS: Final = (b"ftyp", b"styp", b"free", b"skip", b"wide", b"sidx", b"uuid", b"meta", b"mfra")
_LENGTH_PREFIXED: Final = ("h264", "hevc")


def is_cut_off(file: BinaryIO) -> bool:
    """Whether an MP4 file ends inside one of its boxes; False of anything that is no MP4.

    A download that broke off has its index, which comes first, and less of the media than the box
    around it announces (ISO/IEC 14496-12, 4.2). Reading moves the file's position.
    """
    end = file.seek(0, os.SEEK_END)
    begin, kind = 0, b""
    while begin + 8 <= end:
        file.seek(begin)
        head = file.read(16)
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if kind not in _NEEDED + _OTHERS:
            return False
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if size == 0:  # up to the end of the file, wherever that is
            return False
        begin += max(size, 8)
    return begin > end and kind in _NEEDED


def unit_length_size(codec: str, extradata: bytes | None) -> int | None:
    """Bytes of the number before each unit of a packet; None where units have no such number.

    Args:
        codec: FFmpeg's name of it.
        extradata: the decoder's configuration as MP4 keeps it (ISO/IEC 14496-15, 5.3.3 and 8.3.3).
    """
    at = 4 if codec == "h264" else 21
    if codec not in _LENGTH_PREFIXED or not extradata or len(extradata) <= at or extradata[0] != 1:
        return None
    return (extradata[at] & 3) + 1


def is_filled(packet: bytes, length_size: int) -> bool:
    """Whether a packet's units fill it exactly, as they do unless its bytes were lost."""
    at = 0
    while at + length_size < len(packet):
        length = int.from_bytes(packet[at : at + length_size], "big")
        if length == 0:
            return False
        at += length_size + length
    return at == len(packet)
