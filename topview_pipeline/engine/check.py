"""The check of a stored result: measured once, and remembered in its row.

A run that takes the result from the store, or shares it, has the verdict for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from topview_pipeline.ledger import Ledger, Task
from topview_pipeline.media import Outcome, Verdict, unmeasured
from topview_pipeline.stages import Stage
from topview_pipeline.store import Artifact, Store, StoreError

Json = Mapping[str, Any]


def verdict_of(stage: Stage, task: Task, ledger: Ledger, store: Store) -> Verdict:
    """The verdict on a stored row, which is remembered."""
    verdict, quality = measured(stage, task, store)
    if quality is not None and quality != task.quality:
        ledger.tasks.measured(task.id, quality)
    return verdict


def measured(stage: Stage, task: Task, store: Store) -> tuple[Verdict, Json | None]:
    """The verdict on a stored row, and what its row keeps: None while the store has trouble."""
    known = Verdict.from_json(task.quality)
    if known is not None:
        return known, task.quality
    verdict, is_lasting = _measured(stage, task, store)
    return verdict, verdict.to_json() if is_lasting else None


def _measured(stage: Stage, task: Task, store: Store) -> tuple[Verdict, bool]:
    """A verdict, and whether it would be the same tomorrow: a store may answer again."""
    # Pillow and FFmpeg take 0.3 s to import, and the code location must load without them.
    from topview_pipeline.media.probe import MediaError, MediaUnreadError

    artifacts = [Artifact.from_json(one) for one in task.artifacts or ()]
    try:
        with ExitStack() as copies:
            files = {one.name: copies.enter_context(store.local_copy(one)) for one in artifacts}
            return stage.check(task, files), True
    except MediaUnreadError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return unmeasured("one of its files is gone from the store"), False
        return unmeasured(f"a file of it {error.what}"), False
    except MediaError as error:
        fix = "Remake it with force."
        return Verdict(Outcome.FAILED, f"One of its files {error.what}.", fix), True
    except (StoreError, OSError) as error:
        return unmeasured(f"the store does not give its files ({error})"), False
    except MemoryError:
        return unmeasured("there is not enough memory to check it"), False
    except KeyError as error:
        return unmeasured(f"it has no {error.args[0]}"), True
