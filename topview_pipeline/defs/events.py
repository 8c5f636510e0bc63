"""Events of a run in Dagster: materializations, observations and check results for what the engine
reports; and as JSON lines for a log collector.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import dagster as dg

from topview_pipeline.defs.checks import evaluation, not_made
from topview_pipeline.defs.data_versions import Sources, Versions
from topview_pipeline.defs.decision_jobs import REVIEW_SCENES
from topview_pipeline.defs.failures import Trouble, entries_of, trouble_of
from topview_pipeline.defs.metadata import Preview, made_metadata, pictures_of, preview_of
from topview_pipeline.engine import Event, Failed, Held, HoldReason, Made, Observed, Warned
from topview_pipeline.engine.check import measured
from topview_pipeline.engine.gate import ReviewRules
from topview_pipeline.ledger import Ledger, Task
from topview_pipeline.media import Verdict
from topview_pipeline.plan import Forecast
from topview_pipeline.stages import BY_KEY, data_version
from topview_pipeline.text import FirstOfEach

if TYPE_CHECKING:
    from topview_pipeline.catalogue import Product
    from topview_pipeline.defs.resources import TopviewResource

ACCOUNT_TAG: Final = "topview/account"
"""Tag of a materialization: by it a new ledger learns that the account was used before."""
DagsterEvent = (
    dg.AssetMaterialization
    | dg.AssetObservation
    | dg.AssetCheckEvaluation
    | dg.MaterializeResult[Any]
)


@dataclass(frozen=True)
class Planned:
    """The plan of a catch-up run, for listeners of the resource.

    Attributes:
        wanted: keys of the stages by product id.
        fingerprints: by product id and stage, of what can be made.
        left: products that need something and are left for the next run.
    """

    wanted: Mapping[str, Sequence[str]]
    forecast: Forecast
    fingerprints: Mapping[tuple[str, str], str] = field(default_factory=dict)
    left: int = 0


@dataclass
class RunOutcome:
    """Outcome of a run."""

    made: int = 0
    reused: int = 0
    credits: float = 0.0
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def summary(self) -> str:
        counts = {"made": self.made - self.reused, "reused": self.reused}
        counts |= Counter(entry.cause.outcome for entry in entries_of(self.troubles))
        said = [f"{count} {what}" for what, count in counts.items() if count]
        return ", ".join(said) or "nothing to do"


class Reporter:
    """Turns the engine's events into Dagster's, and adds up what the run came to.

    Args:
        result_for: a product whose stages are yielded as `MaterializeResult`s of the step's own
            outputs, so that another asset of the same run goes on. Possible in a run of one
            partition; ranged runs yield `AssetMaterialization`s.
    """

    def __init__(
        self,
        context: dg.OpExecutionContext | dg.AssetExecutionContext,
        topview: TopviewResource,
        ledger: Ledger,
        *,
        result_for: str | None,
    ) -> None:
        self._log = context.log
        self._run_id = context.run.run_id
        self._config = topview.config
        self._store = topview.store
        self._ledger = ledger
        self._instance = context.instance
        self._outline = topview.outline
        self._key = topview.outline.key
        self._versions = Versions(context.instance, topview.outline)
        self._result_for = result_for
        self._products: Mapping[str, Product] = {}
        self._yielded: set[str] = set()
        self._adopted: set[str] = set()
        self._held: set[str] = set()
        self._few = FirstOfEach()
        self.outcome = RunOutcome()

    def expect(self, products: Mapping[str, Product], rules: ReviewRules) -> None:
        """Load what Dagster knows of these products' inputs; the gate's rules are the run's."""
        self._products, self._rules = products, rules
        self._versions.expect(products)
        self._sources = Sources(
            self._instance,
            self._outline,
            products,
            pictures=len(BY_KEY) * len(products) if self._config.previews else 0,
        )

    def dagster_events(self, event: Event) -> Iterator[DagsterEvent]:
        """The Dagster events of one event; once they are stored, the ledger knows it."""
        if isinstance(event, Observed):
            yield from self._observed(event)
        elif isinstance(event, Made):
            yield from self._made(event)
        elif isinstance(event, Warned):
            self._log.warning(event.what)
        else:
            yield from self._not_made(event)

    def _observed(self, event: Observed) -> Iterator[dg.AssetObservation]:
        for source, version in event.versions.items():
            is_first = not self._versions.is_observed(source, event.product_id)
            if self._versions.is_news(source, event.product_id, version):
                yield self._sources.observation(
                    source, event.product_id, version, is_first=is_first
                )
            self._versions.note({(source, event.product_id): version})

    def _made(self, made: Made) -> Iterator[DagsterEvent]:
        stage = BY_KEY[made.stage]
        upstream = BY_KEY.get(stage.upstream or "") if self._config.previews else None
        task, is_late, before = self._ledger.tasks.to_report(
            made.task.id, made.product_id, upstream.key if upstream else None
        )
        reused = task.reported_at is not None or task.pipeline != self._ledger.pipeline
        if not reused:
            yield from self._adoption(made, task)
        verdict, quality = self._verdict(made, task)
        yield self._materialization(
            made, task, verdict, before, reused=reused, duration_is_unknown=is_late
        )
        if verdict is not None:
            # Also of a reused one: a new event without a result would hide the old one's.
            version = data_version(task.fingerprint)
            record = self._versions.stored(made.stage, made.product_id, version)
            blocks = self._blocks(made, verdict)
            yield evaluation(self._key(made.stage), made.product_id, verdict, record, blocks=blocks)
        # From here on Dagster has the event.
        who = f"run {self._run_id}"
        self._ledger.tasks.reported(task.id, made.product_id, who=who, quality=quality)
        self.outcome.made += 1
        self.outcome.reused += reused
        self.outcome.credits += 0.0 if reused else task.cost_credits or 0.0

    def _blocks(self, made: Made, verdict: Verdict) -> bool:
        """The verdict stops what others make of the result, in a run of one product."""
        product = self._products.get(made.product_id)
        if product is None or made.product_id != self._result_for:
            return False
        review = self._ledger.reviews.of(made.product_id, made.task.fingerprint)
        stage = BY_KEY[made.stage]
        return self._rules.needed(product, stage, verdict.to_json(), review) is not None

    def _verdict(self, made: Made, task: Task) -> tuple[Verdict | None, Mapping[str, Any] | None]:
        """The check's verdict, and what the row keeps of it; None where checks are off."""
        if not self._config.checks:
            return None, None
        if Verdict.from_json(made.task.quality) is not None:  # the engine has measured it
            task = replace(task, quality=made.task.quality)
        verdict, quality = measured(BY_KEY[made.stage], task, self._store)
        if verdict.is_refused:
            self._log.warning(
                f"{made.product_id} / {made.stage} failed its check: {verdict.why} {verdict.fix}"
            )
        return verdict, quality

    def _materialization(
        self,
        made: Made,
        task: Task,
        verdict: Verdict | None,
        before: Task | None,
        *,
        reused: bool,
        duration_is_unknown: bool,
    ) -> DagsterEvent:
        stage, gallery = BY_KEY[made.stage], self._config.gallery_url
        metadata = made_metadata(
            stage,
            task,
            self._store,
            reused=reused,
            duration_is_unknown=duration_is_unknown,
            preview=self._preview(made, task, before) if self._config.previews else None,
            verdict=verdict,
            media_url=self._config.media_url,
            gallery_url=gallery and f"{gallery}/#{urlencode({'product': made.product_id})}",
        )
        version = data_version(task.fingerprint)
        tags = self._versions.tags(stage, made.product_id, version, made.inputs)
        tags[ACCOUNT_TAG] = self._ledger.account
        self._versions.note({(made.stage, made.product_id): version})
        # A step gives each output once: a scene that had to be made again is an event beside it.
        is_output = made.wanted and made.product_id == self._result_for
        if is_output and made.stage not in self._yielded:
            self._yielded.add(made.stage)
            return dg.MaterializeResult(
                asset_key=self._key(made.stage),
                metadata=metadata,
                tags=tags,
                data_version=dg.DataVersion(version),
            )
        return dg.AssetMaterialization(
            asset_key=self._key(made.stage),
            partition=made.product_id,
            description=f"{made.product_id}: {stage.label}, {metadata['topview/caption']}",
            metadata=metadata,
            tags=tags,
        )

    def _preview(self, made: Made, task: Task, row: Task | None) -> Preview:
        """Its own picture, and those of the stage before (`row`) that it was chosen from."""
        stage = BY_KEY[made.stage]
        preview = preview_of(stage, task, self._store)
        upstream = BY_KEY.get(str(stage.upstream))
        if row is None or upstream is None or not upstream.shows_all_files:
            return preview
        if data_version(row.fingerprint) != made.inputs.get(upstream.key):
            return preview
        used = stage.upstream_files(task.request or {}, row.result or {})
        behind = pictures_of(upstream, row, self._store, used=used, by=stage.label.lower())
        return replace(preview, pictures={**preview.pictures, **behind})

    def _adoption(self, made: Made, task: Task) -> Iterator[dg.AssetObservation]:
        """A mark, once a product, when another run submitted what this one collects first."""
        if task.run_id != self._run_id and made.product_id not in self._adopted:
            self._adopted.add(made.product_id)
            yield _mark(
                self._key(made.stage),
                made.product_id,
                "adopted",
                f"Run {task.run_id} submitted it; this run collected it.",
                {"topview/task_id": task.topview_task_id, "topview/submitted_by_run": task.run_id},
            )

    def _not_made(
        self, event: Failed | Held
    ) -> Iterator[dg.AssetObservation | dg.AssetCheckEvaluation]:
        trouble = trouble_of(event)
        if isinstance(event, Held) and event.reason is HoldReason.REVIEW:
            job = self._outline.of(REVIEW_SCENES)
            trouble = replace(trouble, fix=f"{trouble.fix}; in Dagster, the job {job}")
        self.outcome.troubles.append(trouble)
        what = f"{trouble.stage} {trouble.outcome}: {trouble.what}"
        if self._few.admit(what):
            self._log.warning(f"{trouble.product} / {what}")
        until = None
        if isinstance(event, Held):
            # Once a product, at the stage where it waits; a range's own page has the rest.
            if event.reason is HoldReason.UPSTREAM or event.product_id in self._held:
                return
            self._held.add(event.product_id)
            until = event.until and dg.MetadataValue.timestamp(event.until)
        values = {
            "topview/what_to_do": trouble.fix,
            "topview/until": until,
            "topview/task_id": trouble.task_id or None,
        }
        key, name = self._key(event.stage), event.product_id
        yield _mark(key, name, trouble.outcome, trouble.what, values)
        if self._config.checks and self._ledger.tasks.last_made(name, event.stage) is None:
            yield not_made(key, trouble)


def _mark(
    asset: dg.AssetKey, product_id: str, what: str, said: str, values: dict[str, Any]
) -> dg.AssetObservation:
    known = {name: value for name, value in values.items() if value is not None}
    return dg.AssetObservation(
        asset_key=asset,
        partition=product_id,
        description=f"{what.capitalize()}: {said}",
        metadata=known,
    )


def write_line(event: object, run_id: str) -> None:
    """Write the line of an event of the engine, if it has one."""
    values = _values(event)
    if values is not None:
        at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        line = {"time": at, "logger": "topview_pipeline", "run_id": run_id, **values}
        sys.stderr.write(f"{json.dumps(line)}\n")
        sys.stderr.flush()


def _values(event: object) -> dict[str, Any] | None:
    if isinstance(event, Warned):
        return {"level": "warning", "event": "warning", "message": event.what}
    if isinstance(event, Made):
        task = event.task
        return {
            "level": "info",
            "event": "made",
            "product": event.product_id,
            "stage": event.stage,
            "task_id": task.topview_task_id,
            "row": task.id,
            "credits": task.cost_credits,
        }
    if isinstance(event, (Failed, Held)):
        trouble = trouble_of(event)
        return {
            "level": "error" if trouble.outcome == "failed" else "warning",
            "event": trouble.outcome,
            "product": trouble.product,
            "stage": trouble.stage,
            "task_id": trouble.task_id or None,
            "message": trouble.what,
            "fix": trouble.fix,
        }
    return None
