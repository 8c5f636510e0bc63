"""Reading a store for a rebuild of its ledger: what is there, what is damaged, what is gone.

Nothing here writes, and nothing asks Topview. Not here: making the rows (`ledger.rebuilding`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from topview_pipeline.artifacts import RESULT_NAME, USE_NAME, Artifact, ArtifactStore, DamagedFile
from topview_pipeline.ledger import KeptResult, KeptUse, TaskState
from topview_pipeline.producer.records import kept_result, kept_use

_READERS: Final = 16
"""Files read at the same time: a bucket answers each after some 50 ms."""


@dataclass(frozen=True)
class Survey:
    """What a store knows of one account.

    Attributes:
        results: one for each finished task, with the state its row should have.
        uses: of results by other products, or again.
        damaged: results that cannot be read, each with where and why.
        gone: results whose files are missing or not what they were, each with the file.
        files: size in bytes of all files of the account, by path.
        of_others: how many results other accounts have.
    """

    results: tuple[KeptResult, ...]
    uses: tuple[KeptUse, ...]
    damaged: tuple[str, ...]
    gone: tuple[str, ...]
    files: Mapping[str, int]
    of_others: int


def survey(store: ArtifactStore, account: str, *, verify: bool = False) -> Survey:
    """Read everything that a store keeps of an account.

    Args:
        verify: read every file and compare its hash, not only its size.

    Raises:
        StoreError: the store does not answer. A single damaged file is only named.
    """
    files = store.files(account)
    kept = [path for path in files if _is_result(path) or path.endswith(f"/{USE_NAME}")]
    with ThreadPoolExecutor(_READERS) as readers:
        found = list(readers.map(partial(_read, store, account), kept))
        results = [one for one in found if isinstance(one, KeptResult)]
        flaws = list(readers.map(partial(_flaw, store, files, verify), results))
    return Survey(
        results=tuple(_with_states(results, flaws)),
        uses=tuple(one for one in found if isinstance(one, KeptUse)),
        damaged=tuple(one for one in found if isinstance(one, str)),
        gone=tuple(flaw for flaw in flaws if flaw is not None),
        files=files,
        of_others=sum(map(_is_result, store.files())) - sum(map(_is_result, files)),
    )


def _is_result(path: str) -> bool:
    return path.endswith(f"/{RESULT_NAME}")


def _read(store: ArtifactStore, account: str, path: str) -> KeptResult | KeptUse | str:
    """What a file says, or what is wrong with it."""
    try:
        record = store.read_json(path)
        if _is_result(path):
            return kept_result(record, account=account)
        return kept_use(record, account=account)
    except DamagedFile as error:
        return str(error)
    except ValueError as error:
        return f"{store.uri_of(path)}: {error}."


def _flaw(
    store: ArtifactStore, files: Mapping[str, int], verify: bool, kept: KeptResult
) -> str | None:
    """What is wrong with a result's files; None when nothing is."""
    for one in kept.artifacts:
        artifact = Artifact.from_json(one)
        size = files.get(artifact.path)
        if size is None:
            return f"{store.uri(artifact)}: it is gone."
        if size != artifact.bytes:
            return f"{store.uri(artifact)}: it has {size} bytes instead of {artifact.bytes}."
        if verify and not store.has(artifact, verify=True):
            return f"{store.uri(artifact)}: its bytes have changed."
    return None


def _with_states(
    results: Sequence[KeptResult], flaws: Sequence[str | None]
) -> Iterator[KeptResult]:
    """Of several results of the same work the last one made stands for it."""
    last: dict[str, KeptResult] = {}
    for kept in results:
        before = last.get(kept.fingerprint)
        if before is None or _age(kept) > _age(before):
            last[kept.fingerprint] = kept
    for kept, flaw in zip(results, flaws, strict=True):
        if kept.topview_task_id != last[kept.fingerprint].topview_task_id:
            yield replace(kept, state=TaskState.SUPERSEDED)
        elif flaw is not None:
            yield replace(kept, state=TaskState.SUCCEEDED)
        else:
            yield kept


def _age(kept: KeptResult) -> tuple[int, float]:
    return kept.anew, kept.reserved_at
