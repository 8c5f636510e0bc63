"""What a run tells Dagster of each thing that its producer tells: events, marks, verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from topview_pipeline.artifacts import ArtifactStore
from topview_pipeline.defs.checks import evaluation
from topview_pipeline.defs.marks import Marks
from topview_pipeline.defs.metadata import made_metadata
from topview_pipeline.defs.pictures import preview_of
from topview_pipeline.defs.troubles import Trouble, trouble_of
from topview_pipeline.defs.versions import SOURCES, Versions, key_of, observation
from topview_pipeline.grouping import FirstOfEach
from topview_pipeline.inspection import verdict_of
from topview_pipeline.ledger import Ledger, Task
from topview_pipeline.producer import Event, Made, data_version
from topview_pipeline.quality import Verdict
from topview_pipeline.settings import Settings
from topview_pipeline.stages import BY_KEY

DagsterEvent = (
    dg.AssetMaterialization
    | dg.AssetObservation
    | dg.AssetCheckEvaluation
    | dg.MaterializeResult[Any]
)


@dataclass
class Report:
    """What a run came to."""

    made: int = 0
    reused: int = 0
    credits: float = 0.0
    troubles: list[Trouble] = field(default_factory=list)


class Teller:
    """Tells the events of one run, and adds up what the run came to.

    Args:
        result_for: a product whose stages are told as results of the step's own outputs.
    """

    def __init__(
        self,
        report: Report,
        *,
        log: dg.DagsterLogManager,
        run_id: str,
        settings: Settings,
        store: ArtifactStore,
        versions: Versions,
        result_for: str | None,
    ) -> None:
        self._report = report
        self._log = log
        self._settings = settings
        self._store = store
        self._versions = versions
        self._marks = Marks(run_id)
        self._result_for = result_for
        self._outputs: set[str] = set()
        self._few = FirstOfEach()

    def tell(
        self, ledger: Ledger, event: Event, *, is_asked: bool = False
    ) -> Iterator[DagsterEvent]:
        """Store one event in Dagster; `is_asked`: this run wants it, though it ordered nothing."""
        if not isinstance(event, Made):
            trouble = trouble_of(event)
            self._report.troubles.append(trouble)
            told = f"{trouble.product} / {trouble.stage} {trouble.outcome}: {trouble.what}"
            if self._few.is_said(f"{trouble.stage} {trouble.outcome}: {trouble.what}"):
                self._log.warning(told)
            yield from self._marks.of_trouble(event)
            return
        task = ledger.tasks.get(event.task.id)
        reused = task.materialized_at is not None
        is_own = is_asked or event.order_id is not None
        if event.order_id is not None:
            yield from self._read_later(event)
        yield from self._marks.of_made(event, task)
        verdict = self._verdict(ledger, event, task)
        yield self._event_of(ledger, event, task, verdict, reused=reused, is_own=is_own)
        if verdict is not None:
            # Also of a reused one: a new event without a result would hide the old one's.
            yield evaluation(event.stage, event.product_id, verdict)
        # From here on Dagster has the event: only now is the order done.
        if event.order_id is None:
            ledger.tasks.materialized(task.id)
        else:
            ledger.orders.done(event.order_id, task.id)
        self._report.made += 1
        self._report.reused += reused
        self._report.credits += 0.0 if reused else task.cost_credits or 0.0

    def _verdict(self, ledger: Ledger, made: Made, task: Task) -> Verdict | None:
        """How good a result is; None where checks are off."""
        if not self._settings.checks:
            return None
        verdict = verdict_of(task, ledger, self._store)
        if verdict.is_refused:
            self._log.warning(
                f"{made.product_id} / {made.stage} failed its check: {verdict.why} {verdict.mend}"
            )
        return verdict

    def _read_later(self, made: Made) -> Iterator[dg.AssetObservation]:
        """Observe an input that is newer than this run's own observations, as a choice is."""
        for source in SOURCES.intersection(made.inputs):
            version = made.inputs[source]
            if not self._versions.is_observed(source, made.product_id, version):
                yield observation(source, made.product_id, version)

    def _event_of(
        self,
        ledger: Ledger,
        made: Made,
        task: Task,
        verdict: Verdict | None,
        *,
        reused: bool,
        is_own: bool,
    ) -> DagsterEvent:
        seen_late = bool(ledger.history.seen_late([task.id]))
        preview = preview_of(task, self._store) if self._settings.previews else None
        metadata = made_metadata(
            task,
            self._store,
            reused=reused,
            seen_late=seen_late,
            preview=preview,
            verdict=verdict,
            media_url=self._settings.media_url,
        )
        version = data_version(task.fingerprint)
        tags = self._versions.tags(BY_KEY[made.stage], made.product_id, version, made.inputs)
        self._versions.note({(made.stage, made.product_id): version})
        # An order is of this run's own step; what was only brought home may be any asset's. A step
        # gives each output once: a scene that had to be made anew is told as an event beside it.
        if is_own and made.product_id == self._result_for and made.stage not in self._outputs:
            self._outputs.add(made.stage)
            return dg.MaterializeResult(
                asset_key=made.stage,
                metadata=metadata,
                tags=tags,
                data_version=dg.DataVersion(version),
            )
        return dg.AssetMaterialization(
            asset_key=key_of(made.stage), partition=made.product_id, metadata=metadata, tags=tags
        )
