"""The files a catalogue names: photos, templates, faces, recordings. What they are, and hashes.

What is no picture or no recording is refused here, before anything is sent or paid. files.py is
what a caller uses, cache.py remembers hashes between processes, parallel.py reads several files at
once, media.py says what the bytes are. Not here: getting bytes (`sources`), uploading them
(`topview`).
"""

from topview_pipeline.inputs.cache import HashCache
from topview_pipeline.inputs.errors import InputError
from topview_pipeline.inputs.files import AUDIO_BYTES, IMAGE_BYTES, InputFile, InputFiles
from topview_pipeline.inputs.media import IMAGE_PIXELS, audio_seconds, image_format

__all__ = [
    "AUDIO_BYTES",
    "IMAGE_BYTES",
    "IMAGE_PIXELS",
    "HashCache",
    "InputError",
    "InputFile",
    "InputFiles",
    "audio_seconds",
    "image_format",
]
