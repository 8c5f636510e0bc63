"""The product report: what each product has come to, and its past, read for a whole catalogue.

It reads the ledger in a few queries, and of the catalogue's files those that changed since they
were hashed. It opens nothing in the store.
"""

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal, get_args

from topview_pipeline.catalogue import Catalogue, InputError, InputFiles, Product
from topview_pipeline.engine.gate import under_review
from topview_pipeline.ledger import Ledger, ReviewDecision, Task, TaskState
from topview_pipeline.ledger.budget import midnight_after
from topview_pipeline.ledger.health import is_retried, trouble_of
from topview_pipeline.ledger.history import TaskEvent
from topview_pipeline.media import Verdict, is_refused
from topview_pipeline.stages import (
    CUT_OUT,
    SCENE,
    VIDEO,
    PreconditionError,
    Stage,
    Upstream,
    data_version,
)
from topview_pipeline.store import Artifact

Status = Literal["failed", "held", "pending", "new", "done"]
STATUSES: Final[tuple[Status, ...]] = get_args(Status)
"""Of a stage or product, the worst first; "new": nothing was made or begun yet."""
_MADE: Final = (TaskState.STORED, TaskState.SUCCEEDED)
_Version = tuple[str, str]  # stage, data version of its result


@dataclass(frozen=True)
class SceneReport:
    """One image of replacedImages. `is_chosen`: by a person; `is_used`: it is in the video."""

    number: int
    image: Artifact
    has_face: bool | None
    is_chosen: bool
    is_used: bool


@dataclass(frozen=True)
class StageReport:
    """One stage of a product.

    Attributes:
        task: the row that it stands on; None: nothing was made yet.
        what: why it failed or is held; `fix`: what to do about that.
        is_outdated: it was made from other inputs than the product has now.
    """

    stage: Stage
    status: Status
    task: Task | None = None
    what: str | None = None
    fix: str | None = None
    is_outdated: bool = False

    @property
    def refused(self) -> str | None:
        """The reason why its check says that no customer may see it."""
        return None if self.task is None else refusal_of(self.task)

    def file(self, name: str) -> Artifact | None:
        """A stored file of this stage."""
        return None if self.task is None else file_of(self.task, name)


@dataclass(frozen=True)
class ProductReport:
    """A product with all its stages.

    Attributes:
        product: as the catalogue describes it; None while its row cannot be used.
        stages: by key.
        behind: by stage, the rows that its video was made from, its own among them; without a
            video those that it stands on. A row that the ledger has no more is missing.
        scenes: the images that it has now.
        scene: the image in its video, which an older scene may have given.
        seconds: that the rows behind it ran at Topview; None when that is not known of one.
        row_problem: why its row in the catalogue cannot be used.
        decides_about: the result that a person decides about.
        decisions: about its rows, by fingerprint.
    """

    product_id: str
    product: Product | None
    stages: Mapping[str, StageReport]
    behind: Mapping[str, Task]
    scenes: tuple[SceneReport, ...] = ()
    scene: Artifact | None = None
    seconds: float | None = None
    row_problem: str | None = None
    decides_about: Task | None = None
    decisions: Mapping[str, ReviewDecision] = field(default_factory=dict)

    def decision(self, row: Task | None) -> ReviewDecision | None:
        """A person's decision about one of its rows."""
        return None if row is None else self.decisions.get(row.fingerprint)

    @property
    def status(self) -> Status:
        """That of its worst stage."""
        return min((stage.status for stage in self.stages.values()), key=STATUSES.index)

    @property
    def is_outdated(self) -> bool:
        """True if its video may not be what is wanted now: a run would make a stage of it again."""
        stages = [self.stages[key] for key in self.behind]
        return self.row_problem is not None or any(
            stage.is_outdated or stage.status != "done" for stage in stages
        )

    @property
    def video(self) -> StageReport:
        """The stage with the finished video."""
        return self.stages[VIDEO.key]

    @property
    def cutout(self) -> Artifact | None:
        """The cut-out that its scene was made from."""
        row = self.behind.get(CUT_OUT.key)
        return None if row is None else file_of(row, CUT_OUT.main_file)

    @property
    def credits(self) -> float | None:
        """The cost of the rows behind it; one that it shares with others counts in full."""
        costs = [row.cost_credits for row in self.behind.values()]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if known else None

    @property
    def refusal(self) -> str | None:
        """The reason why its video is not exported.

        A person rejected a row behind it, or one failed its check and nobody approved of it.
        """
        for key, row in self.behind.items():
            why, now = refusal_of(row), self.stages[key].task
            decision = self.decision(row)
            if decision != "rejected" and (why is None or decision == "approved"):
                continue
            is_current = now is None or now.id == row.id
            noun = f"the {self.stages[key].stage.noun}"
            noun += "" if is_current else " that its video was made from"
            what, fix = f"{noun} failed its check: {why}", ""
            if decision == "rejected":
                name = shlex.quote(self.product_id)
                what = f"a person rejected {noun}."
                fix = f" topview-pipeline review --again {name} remakes it, and pays again; "
                fix += f"--approve {name} takes that back."
            return what + (fix if is_current else " There is a newer one: remake the video.")
        return None


@dataclass(frozen=True)
class Report:
    """All products of a catalogue, in its order; those whose row cannot be used come last."""

    products: tuple[ProductReport, ...]

    def unmeasured(self) -> list[tuple[Stage, Task]]:
        """The rows behind videos that today's checks have not measured."""
        found = {
            row.id: (product.stages[key].stage, row)
            for product in self.products
            if product.video.task is not None
            for key, row in product.behind.items()
            if row.state is TaskState.STORED and Verdict.from_json(row.quality) is None
        }
        return list(found.values())


def build_report(catalogue: Catalogue, ledger: Ledger, stages: Sequence[Stage]) -> Report:
    """Report what a catalogue's products have come to.

    A product whose row cannot be used keeps what was made of it; one that left is not reported.
    """
    builder = _Builder(catalogue, ledger, stages)
    problems = problems_by_product(catalogue, ledger)
    return Report(
        (
            *(builder.report(name, product) for name, product in catalogue.products.items()),
            *(builder.report(name, None, problem) for name, problem in problems.items()),
        )
    )


def problems_by_product(catalogue: Catalogue, ledger: Ledger) -> dict[str, str]:
    """The problems of products whose row in the catalogue cannot be used, by product id.

    While a bad row has no id, it may be the row of any product that is missing.
    """
    found: dict[str, str] = {}
    for problem in catalogue.problems:
        name = problem.product_id
        if name is not None and name not in catalogue.products:
            found[name] = f"{found[name]}; {problem}" if name in found else str(problem)
    nameless = next((one for one in catalogue.problems if one.product_id is None), None)
    if nameless is not None:
        missing = ledger.catalogue.products().difference(catalogue.products, found)
        found |= dict.fromkeys(sorted(missing), f"it may be the one in {nameless}")
    return found


def file_of(row: Task, name: str) -> Artifact | None:
    """A stored file of a row by its name."""
    found = (Artifact.from_json(one) for one in row.artifacts or () if one.get("name") == name)
    return next(found, None)


def refusal_of(row: Task) -> str | None:
    """The reason why a row's check refuses it; None also for what was not measured."""
    if row.quality is None or not is_refused(row.quality):
        return None
    return " ".join(str(row.quality[key]) for key in ("why", "fix") if row.quality.get(key))


class _Builder:
    def __init__(self, catalogue: Catalogue, ledger: Ledger, stages: Sequence[Stage]) -> None:
        self._account = ledger.account
        self._stages = {stage.key: stage for stage in stages}
        self._rows = _Rows(ledger, self._stages)
        self._unmade = {(row.product_id, row.stage): row for row in ledger.tasks.unmade()}
        self._reviews = ledger.reviews.all()
        self._choices = {key: one.image for key, one in self._reviews.items() if one.image}
        self._seen_late = ledger.history.with_unknown_duration()
        made = {product_id for product_id, _ in self._rows.current} & catalogue.products.keys()
        refs = {ref for product_id in made for ref in catalogue.products[product_id].files}
        self._hash_of = InputFiles(ledger.hashes, offline=True).hashes(refs).sha256

    def report(
        self, product_id: str, product: Product | None, row_problem: str | None = None
    ) -> ProductReport:
        stages = {
            key: self._stage(product_id, product, stage) for key, stage in self._stages.items()
        }
        tasks = {key: stage.task for key, stage in stages.items() if stage.task is not None}
        video = tasks.get(VIDEO.key)
        behind = tasks if video is None else self._rows.behind(video)
        found = under_review(tasks, tuple(self._stages.values()))
        decides = None if found is None else found[1]
        decisions = {
            row.fingerprint: review.decision
            for row in (*tasks.values(), *behind.values())
            if (review := self._reviews.get((product_id, row.fingerprint))) and review.decision
        }
        return ProductReport(
            product_id=product_id,
            product=product,
            stages=stages,
            behind=behind,
            scenes=self._scenes(product_id, tasks.get(SCENE.key), video),
            scene=_image_in(video, behind.get(SCENE.key)),
            seconds=self._seconds(behind.values()),
            row_problem=row_problem,
            decides_about=decides,
            decisions=decisions,
        )

    def _stage(self, product_id: str, product: Product | None, stage: Stage) -> StageReport:
        task = self._rows.current.get((product_id, stage.key))
        unmade = self._unmade.get((product_id, stage.key))
        if unmade is None:
            is_outdated = self._is_outdated(product, stage, task)
            status: Status = "new" if task is None else "done"
            return StageReport(stage, status, task, is_outdated=is_outdated)
        trouble = trouble_of(unmade)
        if trouble is None:
            return StageReport(stage, "pending", task)
        is_final = unmade.state is TaskState.FAILED and not is_retried(unmade)
        return StageReport(stage, "failed" if is_final else "held", task, *trouble)

    def _is_outdated(self, product: Product | None, stage: Stage, task: Task | None) -> bool:
        """True if the product's next task of the stage would be another work."""
        if product is None or task is None:
            return False
        before = self._rows.current.get((product.product_id, stage.upstream or ""))
        upstream, choice = None, None
        if before is not None:
            files = tuple(map(Artifact.from_json, before.artifacts or ()))
            upstream = Upstream(before.fingerprint, before.result or {}, files, before.quality)
            choice = self._choices.get((product.product_id, before.fingerprint))
        try:
            item = stage.item(
                product,
                stage.inputs(product, self._hash_of),
                upstream,
                account=self._account,
                choice=choice,
                when_no_face="avatar2",  # nothing else is ever sent without a face
            )
        except InputError:
            return False  # its file cannot be read now: nothing says that it changed
        except PreconditionError:
            return True
        return item.work != task.work

    def _scenes(
        self, product_id: str, scene: Task | None, video: Task | None
    ) -> tuple[SceneReport, ...]:
        if scene is None:
            return ()
        chosen = self._choices.get((product_id, scene.fingerprint))
        used = _image_in(video, scene)
        files = ((image, file_of(scene, image.file_name)) for image in SCENE.images(scene.result))
        return tuple(
            SceneReport(image.number, file, image.has_face, image.number == chosen, file == used)
            for image, file in files
            if file is not None
        )

    def _seconds(self, rows: Collection[Task]) -> float | None:
        spans = [
            row.succeeded_at - row.pending_at
            for row in rows
            if row.succeeded_at and row.pending_at and row.id not in self._seen_late
        ]
        return sum(spans) if rows and len(spans) == len(rows) else None


def _image_in(video: Task | None, scene: Task | None) -> Artifact | None:
    """The file of the scene's image that a video was made from; None if it was another scene's."""
    if video is None or scene is None:
        return None
    sent = VIDEO.upstream_files(video.request or {}, scene.result or {})
    return file_of(scene, sent[0]) if sent else None


class _Rows:
    """The rows that products stand on, and those that these were made from, by data version."""

    def __init__(self, ledger: Ledger, stages: Mapping[str, Stage]) -> None:
        self._tasks = ledger.tasks
        self._stages = stages
        last_made = ledger.tasks.last_made_all().items()
        current = {key: glance.id for key, glance in last_made if glance.stage in stages}
        rows = ledger.tasks.of_ids(set(current.values()))
        self.current = {key: rows[task_id] for key, task_id in current.items()}
        self._by_version: dict[_Version, Task] = {}
        while rows:
            self._by_version |= {
                (row.stage, data_version(row.fingerprint)): row for row in rows.values()
            }
            origins = {origin for row in rows.values() if (origin := self._origin(row))}
            origins -= self._by_version.keys()
            older = self._older if origins else {}
            rows = ledger.tasks.of_ids(older[origin] for origin in origins if origin in older)

    def behind(self, row: Task) -> dict[str, Task]:
        """The rows that a row was made from, itself among them, by stage in their order."""
        found: dict[str, Task] = {}
        before: Task | None = row
        while before is not None:
            found[before.stage] = before
            origin = self._origin(before)
            before = None if origin is None else self._by_version.get(origin)
        return {key: found[key] for key in self._stages if key in found}

    def _origin(self, row: Task) -> _Version | None:
        """The version that a row was made from."""
        upstream = self._stages[row.stage].upstream
        version = None if upstream is None else row.inputs.get(upstream)
        return None if upstream is None or version is None else (upstream, version)

    @cached_property
    def _older(self) -> Mapping[_Version, int]:
        """Ids of all rows that are in the store; needed only where something newer was made."""
        return {
            (row.stage, data_version(row.fingerprint)): row.id
            for rows in self._tasks.glances().values()
            for row in rows
            if row.state in _MADE and row.stage in self._stages
        }


_DAY_SECONDS: Final = 86_400.0


@dataclass(frozen=True)
class Past:
    """The past of one product.

    Attributes:
        earlier: results that newer ones have replaced, the oldest first.
        credits: booked for it in all, those of earlier results too.
        credits_today: booked for it since midnight, UTC.
    """

    earlier: tuple[Task, ...] = ()
    decisions: tuple[TaskEvent, ...] = ()
    credits: float = 0.0
    credits_today: float = 0.0


NO_PAST: Final = Past()


def read_past(report: Report, ledger: Ledger) -> Mapping[str, Past]:
    """The past of the report's products, by product id, in a few queries."""
    paid = ledger.history.paid(midnight_after(ledger.now()) - _DAY_SECONDS)
    decisions = ledger.history.decisions()
    stages = [stage for product in report.products for stage in product.stages.values()]
    keys = {stage.stage.key for stage in stages}
    now = {stage.task.id for stage in stages if stage.task is not None}
    replaced = [
        glance.id
        for glances in ledger.tasks.glances().values()
        for glance in glances
        if glance.state is TaskState.STORED
        and glance.pipeline == ledger.pipeline
        and glance.stage in keys
        and glance.id not in now
    ]
    earlier: dict[str, list[Task]] = {}
    for row in ledger.tasks.of_ids(replaced).values():
        earlier.setdefault(row.product_id, []).append(row)
    return {
        name: Past(
            tuple(earlier.get(name, ())),
            tuple(decisions.get(name, ())),
            *paid.get(name, (0.0, 0.0)),
        )
        for name in (product.product_id for product in report.products)
    }
