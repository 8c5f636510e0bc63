"""Reading and hashing what a catalogue names. The identity of a file is the sha256 of its bytes."""

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from topview_pipeline.inputs.cache import HashCache
from topview_pipeline.inputs.errors import InputError
from topview_pipeline.inputs.media import image_format, opened_audio
from topview_pipeline.inputs.parallel import for_each
from topview_pipeline.sources import (
    Content,
    SourceError,
    SourceTimeout,
    file_mark,
    host_of,
    is_url,
    local_path,
    read_changed,
    shown,
)

IMAGE_BYTES: Final = 20 * 2**20
"""Largest picture in bytes. Topview names no limit; a good product photo has under 5 MiB."""
AUDIO_BYTES: Final = 50 * 2**20
"""Largest recording in bytes, as Topview's web page allows; 120 s of WAV are 23 MiB."""

_RACY_NANOSECONDS: Final = 2_000_000_000
"""The coarsest clock of a file system (FAT: 2 s). A file changed so lately may change again and
keep size and time, so its hash is not remembered; git's index calls such a file racily clean."""
_TIMEOUTS_OF_HOST: Final = 3
"""A host that let so many requests in a row run out of time is not asked again in this run."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file ready to be uploaded. `format` is Topview's word for what the bytes are."""

    data: bytes
    sha256: str
    format: str


class InputFiles:
    """Reads and hashes by path, http(s) or fsspec URL. Its methods block: call them in a thread.

    A file of this machine is hashed again when its size or time changed. A URL is asked once by
    one InputFiles, so use one for one run; it is downloaded again when its ETag, or else its
    Last-Modified, is another one than the cache remembers.
    """

    def __init__(
        self,
        cache: HashCache | None = None,
        *,
        offline: bool = False,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Nothing is read yet.

        Args:
            cache: the memory between processes; closed by `close`.
            offline: ask no server; of URLs the cache alone is asked.
            clock: nanoseconds since the epoch, as the file systems' times.
        """
        self._cache = cache
        self._offline = offline
        self._clock = clock
        self._here: dict[str, tuple[str, str]] = {}
        self._urls: dict[str, str | InputError] = {}
        self._timeouts: dict[str, int] = {}

    def sha256(self, ref: str) -> str:
        """The hash of the bytes in hex, whatever they are. Raises InputError: missing, too big."""
        if _is_here(ref):
            return self._known_here(ref) or self._hash(ref, None)
        if ref not in self._urls:
            self._urls[ref] = self._ask(ref)
        found = self._urls[ref]
        if isinstance(found, InputError):
            raise found
        return found

    def prefetch(self, refs: Iterable[str]) -> dict[str, str]:
        """Hash what is not yet known, several at once; `sha256` then answers without waiting.

        Returns the hashes that were known before, for whoever needs no second look at the files.
        Raises nothing: what is wrong with a file is said by `sha256`.
        """
        known: dict[str, str] = {}
        missing: list[str] = []
        for ref in dict.fromkeys(refs):
            found = self._known_here(ref) if _is_here(ref) else self._urls.get(ref)
            if found is None:
                missing.append(ref)
            elif not isinstance(found, InputError):
                known[ref] = found
        for_each(missing, self._try)
        return known

    def read(self, ref: str, *, kind: Literal["image", "audio"]) -> InputFile:
        """The bytes, proven to be a whole picture or a recording. Raises InputError otherwise."""
        where = shown(ref)
        if kind == "image":
            data = _content(ref, IMAGE_BYTES).data
            format_ = image_format(data, where)
        else:
            data = _content(ref, AUDIO_BYTES).data
            format_ = opened_audio(data, where)[0]
        return InputFile(data, hashlib.sha256(data).hexdigest(), format_)

    def close(self) -> None:
        """Close the cache."""
        if self._cache is not None:
            self._cache.close()

    def _try(self, ref: str) -> None:
        try:
            self.sha256(ref)
        except InputError:
            return  # of a URL it is remembered, of a file soon said again

    def _known_here(self, ref: str) -> str | None:
        """What is remembered of a file of this machine as it is now."""
        name = _name(ref)
        try:
            mark = file_mark(os.stat(name))
        except (OSError, ValueError):
            return None  # reading says what is wrong
        known = self._here.get(name) or self._remembered(name)
        if known is None or known[0] != mark:
            return None
        self._here[name] = known
        return known[1]

    def _ask(self, url: str) -> str | InputError:
        """The hash of a URL's bytes, or what is wrong: what this run goes by."""
        try:
            return self._hash_of_url(url)
        except InputError as error:
            return error

    def _hash_of_url(self, url: str) -> str:
        known = self._remembered(_name(url))
        if self._offline:
            return _of(known, url)
        host = host_of(url)
        if self._timeouts.get(host, 0) >= _TIMEOUTS_OF_HOST:
            what = f"not asked: {host} let {_TIMEOUTS_OF_HOST} requests run out of time"
            raise InputError(what, shown(url), "Run again when it answers.")
        try:
            found = self._hash(url, known)
        except InputError as error:
            if isinstance(error.__cause__, SourceTimeout):
                self._timeouts[host] = self._timeouts.get(host, 0) + 1
            raise
        self._timeouts[host] = 0
        return found

    def _hash(self, ref: str, known: tuple[str, str] | None) -> str:
        content = _changed(ref, AUDIO_BYTES, known[0] if known is not None else None)
        if content is None:
            return _of(known, ref)
        sha256 = hashlib.sha256(content.data).hexdigest()
        if content.mark is not None and not self._is_racy(ref, content.mark):
            if _is_here(ref):
                self._here[_name(ref)] = (content.mark, sha256)
            if self._cache is not None:
                self._cache.learn(_name(ref), content.mark, sha256)
        elif known is not None and known[1] != sha256 and self._cache is not None:
            self._cache.forget(_name(ref))
        return sha256

    def _is_racy(self, ref: str, mark: str) -> bool:
        if not _is_here(ref):
            return False
        changed = int(mark.rpartition(" ")[2])
        return changed > self._clock() - _RACY_NANOSECONDS

    def _remembered(self, name: str) -> tuple[str, str] | None:
        return None if self._cache is None else self._cache.known(name)


def _is_here(ref: str) -> bool:
    return not is_url(ref) or local_path(ref) is not None


def _of(known: tuple[str, str] | None, ref: str) -> str:
    if known is None:
        raise InputError("its bytes were not read yet", shown(ref), "A run reads it.")
    return known[1]


def _name(ref: str) -> str:
    """What the cache calls a file. An address may carry a signature: it is kept as its hash."""
    path = ref if not is_url(ref) else local_path(ref)  # no Path where text will do: it is slow
    if path is not None:
        return os.path.abspath(path)
    return f"url {hashlib.sha256(ref.encode()).hexdigest()}"


def _content(ref: str, limit: int) -> Content:
    content = _changed(ref, limit, None)
    if content is None:  # nothing was known of it; this narrows the type
        raise InputError("no bytes came", shown(ref), "Try again.")
    return content


def _changed(ref: str, limit: int, known: str | None) -> Content | None:
    try:
        content = read_changed(ref, limit, known)
    except SourceError as error:
        raise InputError(error.what, error.where, error.mend) from error
    if content is not None and not content.data:
        raise InputError("empty", shown(ref), "Get it anew.")
    return content
