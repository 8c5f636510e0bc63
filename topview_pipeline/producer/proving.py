"""What is proven of a video before its scene is paid for: its recording, its voice and caption.

The scene's own avatar needs no proof: its submit refuses a wrong one, and that costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Final, TypeVar

from topview_pipeline.catalogue import Product
from topview_pipeline.producer.desk import Desk
from topview_pipeline.producer.uploading import Uploader
from topview_pipeline.stages import PreconditionError
from topview_pipeline.stages.scenes import modes_that_may_be_sent
from topview_pipeline.topview.errors import NotTopview, QueryError
from topview_pipeline.topview.models import Voice
from topview_pipeline.topview.timeouts import within

_NAMED: Final = 3
"""Valid ids that a refusal names."""
_LONGEST_SECONDS: Final = 30.0
"""Of reading one list: without it no scene waits any longer."""

Names = Mapping[str, str]
"""What there is, in words, by id."""
_UNREAD: Final[Names] = {}
_Entry = TypeVar("_Entry")


class Prover:
    """Refuses products whose video could not succeed. Topview's lists are read once for a run."""

    def __init__(self, desk: Desk, uploader: Uploader) -> None:
        self._desk = desk
        self._uploader = uploader
        self._lock = asyncio.Lock()
        self._voices: Names | None = _UNREAD
        self._captions: Names | None = _UNREAD

    async def prove(self, product: Product) -> None:
        """Look whether a video of this product can succeed, as far as can be told before.

        Raises:
            PreconditionError: it cannot.
        """
        if product.audio is not None:
            modes = modes_that_may_be_sent(product.mode, self._desk.config.when_no_face)
            await self._uploader.prove_recording(product.audio, modes)
        if product.voice_id is not None:
            _prove_id("voice", product.voice_id, await self._all_voices(), "/v1/voice/query")
        if product.caption_id is not None:
            _prove_id("caption", product.caption_id, await self._all_captions(), "/v1/caption/list")

    async def _all_voices(self) -> Names | None:
        """None when they cannot be had now, or the account's own might not be among them."""
        async with self._lock:
            if self._voices is _UNREAD:
                common = await self._read(self._desk.client.voices())
                own = await self._read(self._desk.client.voices(custom=True))
                self._voices = _names_of(common, own)
            return self._voices

    async def _all_captions(self) -> Names | None:
        """None when they cannot be had now."""
        async with self._lock:
            if self._captions is _UNREAD:
                listed = await self._read(self._desk.client.captions())
                self._captions = None if listed is None else {one.caption_id: "" for one in listed}
            return self._captions

    async def _read(self, reading: Awaitable[list[_Entry]]) -> list[_Entry] | None:
        try:
            with self._desk.activity.asking():
                return await within(_LONGEST_SECONDS, reading)
        except (QueryError, NotTopview, asyncio.TimeoutError):
            return None


def _names_of(common: list[Voice] | None, own: list[Voice] | None) -> Names | None:
    if common is None or own is None:
        return None
    if own and own == common:  # the filter says nothing: neither list need have all
        return None
    return {
        voice.voice_id: ", ".join(word for word in (voice.voice_name, voice.language) if word)
        for voice in (*common, *own)
    }


def _prove_id(kind: str, wanted: str, known: Names | None, path: str) -> None:
    if not known or wanted in known:
        return
    some = "; ".join(
        f"{one} ({name})" if name else one for one, name in list(known.items())[:_NAMED]
    )
    raise PreconditionError(
        f"Topview has no {kind} {wanted} ({kind}_id), so the video could not be made",
        f"set {kind}_id to one of those that GET {path} lists, as {some}",
    )
