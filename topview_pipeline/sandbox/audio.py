"""How long an uploaded audio file is."""

from io import BytesIO

import av

from .wire import ApiError


def seconds_of(content: bytes) -> float:
    """The length of an audio file; 4000 if it is none."""
    try:
        with av.open(BytesIO(content), "r") as container:
            if not container.streams.audio or container.duration is None:
                raise ApiError("4000", "audioFileId is not an audio file")
            return container.duration / av.time_base
    except av.FFmpegError as error:
        raise ApiError("4000", "audioFileId is not an audio file") from error
