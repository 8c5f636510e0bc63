"""Topview's lists of ids, to look a product's up in before anything is paid for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from topview_pipeline.stages.stage import PreconditionError, WhenNoFace

if TYPE_CHECKING:
    from topview_pipeline.topview.client import TopviewClient

ListKind = Literal["voice", "caption", "avatar"]
_LONGEST_SECONDS: Final = 30.0
"""For one list: without it no scene waits any longer."""
_NAMED: Final = 3
"""Valid ids that a refusal names."""


class ProofLists:
    """The lists of one run, read at most once, when first asked for.

    A list that is empty, cannot be read in 30 seconds, or need not be whole says nothing.

    Args:
        client: None: nobody is asked, and every id passes.
        refuse: an id that a list lacks fails the product; else it is warned of, once.
        when_no_face: a script must fit each mode in which it may be sent.
    """

    def __init__(
        self,
        client: TopviewClient | None,
        *,
        refuse: bool = False,
        when_no_face: WhenNoFace = "fail",
        warn: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._client = client
        self._refuse = refuse
        self.when_no_face = when_no_face
        self._warn = warn
        self._warned: set[str] = set()
        self._lock = asyncio.Lock()
        self._lists: dict[str, Mapping[str, str]] = {}

    async def check(self, kind: ListKind, wanted: str | None) -> None:
        """Warn of an id that Topview does not list, or raise PreconditionError."""
        if self._client is None or wanted is None:
            return
        async with self._lock:
            if kind not in self._lists:
                self._lists[kind] = await self._read(self._client, kind)
        known = self._lists[kind]
        if not known or wanted in known:
            return
        first = list(known.items())[:_NAMED]
        some = "; ".join(f"{one} ({name})" if name else one for one, name in first)
        what = f"Topview lists no {kind} {wanted} ({kind}_id)"
        fix = f"Set {kind}_id to one of `topview-pipeline {kind}s`, such as {some}."
        if self._refuse:
            fix += " Where the list lacks it by mistake, set TOPVIEW_UNKNOWN_IDS=warn."
            raise PreconditionError(f"{what}, so nothing is made with it", fix=fix)
        if what not in self._warned:
            self._warned.add(what)
            self._warn(
                f"{what}. If it does not exist, what is made with it fails, perhaps after earlier "
                f"stages were paid. {fix} TOPVIEW_UNKNOWN_IDS=fail refuses such products."
            )

    @staticmethod
    async def _read(client: TopviewClient, kind: ListKind) -> Mapping[str, str]:
        """Words on each by its id; empty when the list says nothing."""
        from topview_pipeline.topview.errors import QueryError
        from topview_pipeline.topview.http import within

        found: list[list[Any]] = []
        try:
            if kind == "voice":
                found.append(await within(_LONGEST_SECONDS, client.voices()))
                own = await within(_LONGEST_SECONDS, client.voices(custom=True))
                if own and own in found:
                    return {}  # the filter had no effect, and neither list need have all
                found.append(own)
            elif kind == "caption":
                found.append(await within(_LONGEST_SECONDS, client.captions()))
            else:
                found.append(await within(_LONGEST_SECONDS, client.avatars()))
        except (QueryError, asyncio.TimeoutError):
            return {}
        words = "voice_name", "language"
        return {
            getattr(one, f"{kind}_id"): ", ".join(
                filter(None, (getattr(one, w, "") for w in words))
            )
            for some in found
            for one in some
        }
