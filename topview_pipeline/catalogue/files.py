"""The files that a catalogue names: photos, templates, faces, recordings; read, and hashed.

The identity of a file is the sha256 of its bytes. A file that is no picture or no recording is
refused here, before anything is sent or paid. Not here: getting bytes (`references`), many at once
(`threads`), uploading them (`topview`).
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, Protocol

from topview_pipeline.catalogue.references import (
    VERSION,
    Content,
    InputError,
    file_mark,
    is_local,
    local_path,
    read,
    shown,
)
from topview_pipeline.catalogue.threads import in_parallel
from topview_pipeline.text import is_url

if TYPE_CHECKING:
    from av.container import InputContainer

IMAGE_BYTES: Final = 20 * 2**20  # Topview names no limit; a good product photo has under 5 MiB
AUDIO_BYTES: Final = 50 * 2**20  # as Topview's web page allows; 120 s of WAV are 23 MiB
IMAGE_PIXELS: Final = 50_000_000  # four bytes each, and the answer is 1080p at most

_RACY_NANOSECONDS: Final = 2_000_000_000  # the coarsest clock of a file system (FAT)
_LEARNED_AT_ONCE: Final = 500

_IMAGE_FORMATS: Final = {"PNG": "png", "JPEG": "jpg", "MPO": "jpg", "BMP": "bmp", "WEBP": "webp"}
_AUDIO_FORMATS: Final = ("mp3", "wav", "m4a")  # FFmpeg and Topview have the same words

Remembered = tuple[str, str]
"""(mark, sha256) of a file: while it has this mark, its bytes have this hash."""
_Answer = tuple[str | InputError, Remembered | None]  # and what the cache is to learn
_ReadAll = Callable[[Iterable[str], Callable[[str], _Answer]], Iterator[tuple[str, _Answer]]]


class HashCache(Protocol):
    """The hashes of files that were read before, shared by all processes. Safe in threads.

    A key is a path or a URL, which may be signed: a cache that lasts keeps only a hash of it.
    """

    def get_many(self, keys: Collection[str]) -> Mapping[str, Remembered]:
        """The last mark and hash of each of these files that is known."""

    def learnt_within(self, seconds: float, keys: Collection[str]) -> Collection[str]:
        """Those of the files that were asked for so short a time ago."""

    def put_many(self, hashes: Mapping[str, Remembered]) -> None:
        """Remember these in place of the ones before."""


@dataclass(frozen=True, slots=True)
class FileHashes:
    """The hash of each file, or why it has none, by reference.

    `guesses` are of files that were not read: the hash of before, else one that fits nothing.
    """

    answers: Mapping[str, str | InputError]
    guesses: Mapping[str, str] = field(default_factory=dict)

    def guess(self, ref: str) -> str:
        """The file's hash as far as it is known. Raises as `sha256`, but not if it was not read."""
        return self.guesses[ref] if ref in self.guesses else self.sha256(ref)

    def sha256(self, ref: str) -> str:
        """The hash of the file's bytes in hex. Raises InputError: it could not be read."""
        answer = self.answers[ref]
        if isinstance(answer, InputError):
            raise answer
        return answer


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file ready to be uploaded. `format` is Topview's word for it, such as png or mp3."""

    data: bytes
    sha256: str
    format: str


class InputFiles:
    """Reads and hashes files by path, http(s) or fsspec URL. Safe in threads; its methods block.

    A file is read again when its mark is another one than the cache has. One InputFiles asks for
    each URL once, so use one for one run.

    Args:
        cache: Memory of hashes; None: every file is read again.
        offline: Ask no server; the hashes of URLs come from the cache alone.
        trust_seconds: So long a URL is not asked for again.
    """

    def __init__(
        self, cache: HashCache | None = None, *, offline: bool = False, trust_seconds: float = 0.0
    ) -> None:
        self._cache = cache
        self._trust_seconds = trust_seconds
        self._offline = offline
        self._urls: dict[str, str | InputError] = {}
        self._locks: dict[str, threading.Lock] = {}

    def hashes(
        self, refs: Iterable[str], *, patience: float = math.inf, seconds: float = math.inf
    ) -> FileHashes:
        """The hashes of many files. Each is looked at once, and several are read at once.

        Args:
            patience, seconds: see `in_parallel`; what is left then was not read.
        """
        return self._look(refs, partial(in_parallel, patience=patience, seconds=seconds))

    def sha256(self, ref: str) -> str:
        """The hash of one file's bytes. Raises InputError: missing, unreadable, too large."""
        return self._look([ref], lambda refs, act: ((one, act(one)) for one in refs)).sha256(ref)

    def _look(self, refs: Iterable[str], read_all: _ReadAll) -> FileHashes:
        cache, keys = self._cache, {ref: _key(ref) for ref in refs}
        known = {} if cache is None else cache.get_many(set(keys.values()))
        answers: dict[str, str | InputError] = {}
        trusted = self._trusted(keys, known)
        for ref, key in keys.items():
            before = known.get(key)
            answer = known[key][1] if key in trusted else self._without_reading(ref, key, before)
            if answer is not None:
                answers[ref] = answer
        unread = [ref for ref in keys if ref not in answers]
        learned: dict[str, Remembered] = {}
        for ref, (answer, remembered) in read_all(
            unread, lambda ref: self._hash(ref, known.get(keys[ref]))
        ):
            answers[ref] = answer
            if remembered is not None:
                learned[keys[ref]] = remembered
            if cache is not None and len(learned) >= _LEARNED_AT_ONCE:
                cache.put_many(learned)
                learned = {}
        if cache is not None and learned:
            cache.put_many(learned)
        guesses = {}
        for ref in unread:
            if ref not in answers:
                before = known.get(keys[ref])
                answers[ref] = _not_read(ref)
                guesses[ref] = before[1] if before else hashlib.sha256(ref.encode()).hexdigest()
        return FileHashes(answers, guesses)

    def read(self, ref: str, *, kind: Literal["image", "audio"]) -> InputFile:
        """The bytes, decoded to prove a whole picture or a recording. Raises InputError."""
        data = _content(ref, IMAGE_BYTES if kind == "image" else AUDIO_BYTES).data
        where = shown(ref)
        format_ = _image_format(data, where) if kind == "image" else _opened_audio(data, where)[0]
        return InputFile(data, hashlib.sha256(data).hexdigest(), format_)

    def _trusted(self, keys: Mapping[str, str], known: Mapping[str, Remembered]) -> Collection[str]:
        """The keys of the URLs that were asked for so lately that they are not asked again."""
        if self._cache is None or not self._trust_seconds:
            return ()
        of_servers = [key for ref, key in keys.items() if key in known and not is_local(ref)]
        return self._cache.learnt_within(self._trust_seconds, of_servers)

    def _without_reading(
        self, ref: str, key: str, known: Remembered | None
    ) -> str | InputError | None:
        """Return what is known of a file as it is now; None when it has to be read."""
        if not is_local(ref):
            if ref in self._urls or not (self._offline or (known and VERSION in ref)):
                return self._urls.get(ref)
            return known[1] if known is not None else _not_read(ref)
        try:
            mark = file_mark(os.stat(key))
        except (OSError, ValueError):
            return None  # reading says what is wrong
        return known[1] if known is not None and known[0] == mark else None

    def _hash(self, ref: str, known: Remembered | None) -> _Answer:
        if is_local(ref):
            return self._read_hash(ref, known)
        with self._locks.setdefault(ref, threading.Lock()):  # many products share a template
            if ref in self._urls:
                return self._urls[ref], None
            answer = self._read_hash(ref, known)
            self._urls[ref] = answer[0]
            return answer

    def _read_hash(self, ref: str, known: Remembered | None) -> _Answer:
        try:
            content = _content(ref, AUDIO_BYTES, known[0] if known is not None else None)
        except InputError as error:
            return error, None
        if content.is_unchanged and known is not None:
            return known[1], known if self._trust_seconds else None
        sha256 = hashlib.sha256(content.data).hexdigest()
        if content.mark is not None and not (is_local(ref) and _is_racy(content.mark)):
            return sha256, (content.mark, sha256)
        # No mark shows the next change. An older hash is replaced, with a mark that fits nothing.
        is_replaced = known is not None and known[1] != sha256
        is_trusted = not is_local(ref) and (VERSION in ref or self._trust_seconds > 0)
        return sha256, ("", sha256) if is_replaced or is_trusted else None


def _not_read(ref: str) -> InputError:
    return InputError("its bytes were not read yet", shown(ref), "A run reads it.")


def _is_racy(mark: str) -> bool:
    """True for a file that was changed just now: it may change again and keep size and times."""
    return abs(time.time_ns() - int(mark.split()[1])) < _RACY_NANOSECONDS


def _key(ref: str) -> str:
    path = local_path(ref) if is_url(ref) else ref  # no Path where text will do: it is slow
    return ref if path is None else os.path.abspath(path)


def _content(ref: str, limit: int, known: str | None = None) -> Content:
    content = read(ref, limit, known=known)
    if not content.data and not content.is_unchanged:
        raise InputError("empty", shown(ref), "Replace it with an intact copy.")
    return content


def _image_format(data: bytes, where: str) -> str:
    """png, jpg, bmp or webp, after decoding all of it. Raises InputError naming `where`."""
    from PIL import Image, UnidentifiedImageError

    fix = "Save it as PNG, JPEG, BMP or WebP."
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "BMP", "WEBP")) as image:
            if image.width * image.height <= IMAGE_PIXELS:
                image.load()
                return _IMAGE_FORMATS[image.format or ""]
    except Image.DecompressionBombError:
        pass
    except UnidentifiedImageError as error:
        raise InputError("not a picture of a kind that Topview accepts", where, fix) from error
    except Exception as error:
        # Pillow's decoders raise what the broken bytes lead them to: no common class.
        what = f"a broken or cut-off picture ({type(error).__name__})"
        fix = f"Get it again, or open it and save it again. {fix}"
        raise InputError(what, where, fix) from error
    most = f"{IMAGE_PIXELS // 1_000_000} million pixels"
    raise InputError(f"more than {most}", where, "Scale it down.")


def audio_seconds(data: bytes, where: str = "audio") -> float:
    """The length of a recording. Raises InputError naming `where` when it is none."""
    return _opened_audio(data, where)[1]


def _opened_audio(data: bytes, where: str) -> tuple[str, float]:
    """mp3, wav or m4a, and its seconds, after decoding the beginning. Raises InputError."""
    fix = "Save it as MP3, WAV or M4A."
    try:
        import av  # 0.2 s, and most processes never see a recording

        with av.open(io.BytesIO(data), "r") as container:
            format_ = _audio_format(container)
            if format_ is not None:
                next(container.decode(audio=0))
                return format_, (container.duration or 0) / av.time_base
    except Exception as error:
        # FFmpeg's errors, StopIteration of a file without a frame, and others of broken bytes.
        what = f"not a recording that can be decoded ({type(error).__name__})"
        raise InputError(what, where, fix) from error
    raise InputError("not a recording of a kind that Topview accepts", where, fix)


def _audio_format(container: InputContainer) -> str | None:
    """mp3, wav or m4a; None for anything else, a video among them."""
    from av.stream import Disposition

    # The cover of a song is a video stream too, of one attached picture.
    is_video = any(not s.disposition & Disposition.attached_pic for s in container.streams.video)
    if is_video or not container.streams.audio:
        return None
    return next((name for name in container.format.name.split(",") if name in _AUDIO_FORMATS), None)
