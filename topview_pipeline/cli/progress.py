"""The progress of a run and its outcome, in words, as a table and as JSON.

All of it comes from the plan and the events that the run's resource reports; the ledger is asked
for refused scenes, and for what a stop left behind.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table

from topview_pipeline.catalogue import Catalogue
from topview_pipeline.catalogue.references import shown
from topview_pipeline.cli.console import SOME_FAILED, SOME_PENDING, in_credits, say, say_rows, span
from topview_pipeline.defs.events import Planned
from topview_pipeline.defs.failures import Entry, Trouble, entries_of, not_finished, trouble_of
from topview_pipeline.engine import Failed, Held, Made, Observed, Warned
from topview_pipeline.ledger import Ledger, Task, TaskState
from topview_pipeline.plan import Forecast
from topview_pipeline.settings import PipelineConfig
from topview_pipeline.stages import SCENE, STAGES, needs_face
from topview_pipeline.text import counted, one_line

Phase = Literal["done", "running", "reading", "queued", "later", "held", "failed"]
"""reading waits for its photos and other files, queued for a slot of the account, and later for the
stage before it."""
Phases = dict[str, Counter[Phase]]
"""Numbers of products in each phase, by stage."""
Key = tuple[str, str]
"""(product, stage)."""
Said = tuple[str | None, dict[str, object] | None]
"""A log's line on an event, and its JSON document; None: it is not worth one."""

AT_TOPVIEW: Final = (TaskState.RESERVED, TaskState.PENDING, TaskState.SUCCEEDED)
_WIDE: Final = 80
_STAGES: Final[Mapping[str, str]] = {stage.source: stage.key for stage in STAGES}
"""By the source of their own inputs."""
_WORDS: Final[Mapping[Phase, str]] = {
    "done": "done",
    "running": "running",
    "reading": "reading photos and other files",
    "queued": "waiting for a slot",
    "later": "waiting for the stage before",
    "held": "held",
    "failed": "failed",
}
_WITH_DAEMON: Final = "  The pending_task_sensor of the Dagster daemon collects the results."
_WITHOUT_DAEMON: Final = (
    "  No Dagster daemon runs here: run again within 7 days to collect the results; Topview keeps "
    "them no longer."
)


class Progress:
    """Outcome of each stage that a run wants. Knows no terminal, and asks nobody.

    Attributes:
        made: True for what a task of this run made, False for what was reused.
        credits: that Topview booked for tasks of this run.
        fingerprints: as planned: two products may share a task.
        credits_left: of the account before it; None when Topview did not say.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self.was_planned = False
        self.wanted: list[Key] = []
        self.made: dict[Key, bool] = {}
        self.troubled: dict[Key, Trouble] = {}
        self.credits = 0.0
        self.credits_left: float | None = None
        self._paid: set[int] = set()
        self._submitted: set[Key] = set()
        self._failed: set[str] = set()
        self._read: set[Key] = set()
        self.fingerprints: Mapping[Key, str] = {}
        self.left = 0

    def add(self, event: object) -> Said:
        """Take in the plan or an event of the engine.

        No event is kept: those of 10,000 products would fill the memory.
        """
        if isinstance(event, Planned):
            return self._add_plan(event)
        if isinstance(event, Observed):
            self._read.update((event.product_id, _STAGES[source]) for source in event.versions)
        if isinstance(event, Warned):
            return one_line(f"Warning: {event.what}"), {"event": "warning", "what": event.what}
        if isinstance(event, Made):
            return self._add_made(event.product_id, event.stage, event.task)
        if isinstance(event, (Failed, Held)):
            return self._add_trouble(event)
        return None, None

    def _add_plan(self, event: Planned) -> Said:
        self.was_planned, self.fingerprints = True, event.fingerprints
        self.left = event.left
        self.wanted = [(product, key) for product, keys in event.wanted.items() for key in keys]
        coming = event.forecast
        document = {
            "event": "planned",
            "products": len(event.wanted),
            "products_left": event.left,
            "stages": len(self.wanted),
            "new_tasks": coming.tasks,
            "credits": coming.credits,
            "unpriced": coming.unpriced,
            "seconds": coming.seconds,
            "credits_left": self.credits_left,
            "credits_last_seconds": coming.lasts(self.credits_left),
        }
        if not self.wanted:
            return None, document
        stages, products = counted(len(self.wanted), "stage"), counted(len(event.wanted), "product")
        line = (
            f"To make: {stages} of {products}, {cost_of(coming)}."
            f"{balance(coming, self.credits_left)}{left_over(self.left)}"
        )
        return line, document

    def _add_made(self, product: str, stage: str, task: Task) -> Said:
        is_new = task.run_id == self._run_id
        self.made[product, stage] = is_new
        self.troubled.pop((product, stage), None)
        if is_new and task.id not in self._paid:  # two products may share it
            self._paid.add(task.id)
            self.credits += task.cost_credits or 0.0
        how = "made" if is_new else "reused at no cost"
        if is_new and task.succeeded_at is not None and task.pending_at is not None:
            how += f" in {task.succeeded_at - task.pending_at:.1f} s"
        if is_new and task.cost_credits:
            how += f", {in_credits(task.cost_credits)}"
        return one_line(f"{product} {stage} {how}"), {
            "event": "made",
            "product": product,
            "stage": stage,
            "is_new": is_new,
            "row": task.id,
            "task_id": task.topview_task_id,
            "credits": task.cost_credits,
        }

    def _add_trouble(self, event: Failed | Held) -> Said:
        trouble = trouble_of(event)
        self.troubled[trouble.product, trouble.stage] = trouble
        line = None
        # Not of the stages that wait for the one that failed.
        if trouble.outcome == "failed" and trouble.product not in self._failed:
            self._failed.add(trouble.product)
            line = one_line(f"{trouble.product} {trouble.stage} failed: {trouble.what}")
        return line, {
            "event": trouble.outcome,
            "product": trouble.product,
            "stage": trouble.stage,
            "reason": event.reason.value if isinstance(event, Held) else None,
            "what": trouble.what,
            "fix": trouble.fix,
            "task_id": trouble.task_id or None,
        }

    @property
    def open(self) -> list[Key]:
        """Stages that are neither made nor given up."""
        return [key for key in self.wanted if not (key in self.made or key in self.troubled)]

    def exit_code(self, *, bad_rows: bool) -> int:
        """1 some failed, else 3 some still pending or held, else 0."""
        outcomes = {trouble.outcome for trouble in self.troubled.values()}
        if bad_rows or "failed" in outcomes:
            return SOME_FAILED
        is_open = outcomes or self.open or self.left or not self.was_planned
        return SOME_PENDING if is_open else 0

    def phases(self, at_topview: Collection[Key]) -> Phases:
        """Count the products in each phase, with the tasks that are at Topview now."""
        # Once submitted it runs until Dagster has its event, also while that is being stored.
        self._submitted.update(at_topview)
        stages: Phases = {stage.key: Counter() for stage in STAGES}
        waiting: set[str] = set()
        for key in self.wanted:
            phase: Phase = "queued" if key in self._read else "reading"
            if key in self.made:
                phase = "done"
            elif key in self.troubled:
                phase = self.troubled[key].outcome
            elif key in self._submitted:
                phase = "running"
            elif key[0] in waiting:
                phase = "later"
            if phase in ("running", "reading", "queued"):
                waiting.add(key[0])
            stages[key[1]][phase] += 1
        return {key: counts for key, counts in stages.items() if counts}


def cost_of(coming: Forecast) -> str:
    """The new tasks of a plan, with their credits and their time, in words."""
    unpriced = f" and {coming.unpriced} of unknown price" if coming.unpriced else ""
    tasks, cost = counted(coming.tasks, "new task"), in_credits(coming.credits)
    return f"{tasks}, about {cost}{unpriced}, about {span(coming.seconds)}"


def balance(coming: Forecast, credits_left: float | None) -> str:
    """A sentence on the account's credits beside a plan; empty when there is nothing to compare."""
    if credits_left is None or not (coming.credits or coming.unpriced):
        return ""
    has = f" The account has {in_credits(round(credits_left, 2))} for the API"
    seconds = coming.lasts(credits_left)
    if seconds is not None:
        return (
            f"{has}, which is not enough: they run out after about {span(seconds)}, and what is "
            "left then is held. Buy more, or make fewer with --limit."
        )
    return f"{has}: enough{' for all of known price' if coming.unpriced else ''}."


def left_over(products: int) -> str:
    """A sentence on the products that a run leaves to the next one; empty without any."""
    if not products:
        return ""
    more = counted(products, "more product")
    return f" TOPVIEW_RUN_SIZE leaves {more} for the next run; --limit takes more at once."


def table_of(phases: Phases, caption: str, width: int = _WIDE) -> Table:
    """The live table, readable in 60 columns; wider ones have a bar."""
    legend = "queued: waits for its files or a slot; later: waits for the stage before it"
    caption = f"{caption}\n{legend}"
    table = Table(
        box=None, collapse_padding=True, pad_edge=False, caption=caption, caption_justify="left"
    )
    bars = [""] if width >= _WIDE else []
    columns = [name for name in _WORDS if name != "reading"]  # narrow terminals have no room
    for name in ("stage", *bars, *columns):
        is_left = name in ("stage", "")
        table.add_column(name, justify="left" if is_left else "right", no_wrap=True)
    for stage, counts in phases.items():
        total, done = counts.total(), counts["done"]
        shown = {**counts, "queued": counts["queued"] + counts["reading"]}
        others = [str(shown.get(name) or "-") for name in columns if name != "done"]
        bar = [ProgressBar(total=total, completed=done, width=10)] if bars else []
        table.add_row(stage, *bar, f"{done}/{total}", *others)
    return table


def summary_of(phases: Phases) -> str:
    """All stages together in one line of a log."""
    counts = sum(phases.values(), Counter[Phase]())
    parts = [f"{counts[phase]} {word}" for phase, word in _WORDS.items() if counts[phase]]
    return f"{counts.total()} to make: {', '.join(parts)}"


def _entries(progress: Progress) -> list[Entry]:
    """An entry for each product that was not finished, in the plan's order."""
    return entries_of(progress.troubled[key] for key in progress.wanted if key in progress.troubled)


def say_outcome(console: Console, progress: Progress, *, quiet: bool = False) -> None:
    """Print what was made, what it cost, and every trouble with its way out."""
    if not progress.was_planned:
        return
    new, reused = _made(progress)
    sums = "Everything is up to date: nothing was submitted, nothing was paid."
    if progress.wanted:
        also = f", {reused} reused at no cost" if reused else ""
        sums = f"{new} made{also}, {in_credits(progress.credits)}."
    if not quiet:
        say(sums, console)
    for line in not_finished(_entries(progress)):
        say(line, console)
    if progress.left:
        say(left_over(progress.left).strip(), console)


def _made(progress: Progress) -> tuple[int, int]:
    """The wanted stages that are new, and those that were reused."""
    made = [progress.made[key] for key in progress.wanted if key in progress.made]
    return sum(made), made.count(False)


@dataclass(frozen=True)
class Left:
    """The rest of a run that a person stopped.

    Attributes:
        at_topview: submitted tasks whose results are not in the store yet.
        unknown: tasks whose submit's answer was lost.
        unsent: stages for which nothing was sent.
    """

    at_topview: Sequence[Task]
    unknown: int
    unsent: Sequence[Key]

    @classmethod
    def of(cls, progress: Progress, ledger: Ledger, run_id: str) -> Left:
        """Look into the ledger."""
        prints = {key: progress.fingerprints.get(key) for key in progress.open}
        shared = set(prints.values())
        # A stored one of this run was being measured when it stopped.
        states = (*AT_TOPVIEW, TaskState.OVERDUE, TaskState.UNKNOWN, TaskState.STORED)
        rows = [
            row
            for row in ledger.tasks.in_state(states)
            if row.run_id == run_id
            or (row.product_id, row.stage) in prints
            or row.fingerprint in shared
        ]
        sent: set[Key | str | None] = {(row.product_id, row.stage) for row in rows}
        # Another product's task may be this one's, too.
        sent |= {row.fingerprint for row in rows} | {prints[key] for key in prints if key in sent}
        sent.discard(None)
        unsent = [key for key, print_ in prints.items() if not sent & {key, print_}]
        unknown = sum(row.state is TaskState.UNKNOWN for row in rows)
        elsewhere = (TaskState.UNKNOWN, TaskState.STORED)
        return cls([row for row in rows if row.state not in elsewhere], unknown, unsent)

    def lines(self, *, has_daemon: bool) -> Iterator[str]:
        """Say what is left, and who takes care of it."""
        if not self.at_topview:
            yield "Stopped. No task of this run is in progress at Topview."
        else:
            costs = list(map(_cost, self.at_topview))
            unpriced = costs.count(None)
            also = f" and {unpriced} of unknown price" if unpriced else ""
            about = f"{in_credits(round(sum(cost or 0.0 for cost in costs), 2))}{also}"
            tasks = counted(len(costs), "task")
            yield f"Stopped. In progress at Topview: {tasks}, about {about}."
            yield _WITH_DAEMON if has_daemon else _WITHOUT_DAEMON
        if self.unknown:
            tasks = counted(self.unknown, "task")
            yield (
                f"  The answer to a submit was lost for {tasks}, perhaps paid: "
                "topview-pipeline tasks list --state unknown"
            )
        if self.unsent:
            products = counted(len({product for product, _ in self.unsent}), "product")
            stages = counted(len(self.unsent), "stage")
            yield f"  Never sent: {stages} of {products}; run again to make them."


def _cost(task: Task) -> float | None:
    return task.estimate if task.cost_credits is None else task.cost_credits


@dataclass(frozen=True)
class Refused:
    """Scenes of one template or avatar, and one mode; `credits` as Topview booked them."""

    template: str
    mode: str
    scenes: int
    credits: float


def refused_scenes(config: PipelineConfig, ledger: Ledger, catalogue: Catalogue) -> list[Refused]:
    """The refused scenes of the pipeline so far, the most expensive template first.

    Templates of the catalogue are called by their files, where it is known what they are.
    """
    products = catalogue.products.values() if config.when_no_face == "fail" else ()
    speak = {one.product_id for one in products if needs_face(one.mode)}
    known = ledger.history.refused(SCENE.key)
    rows = [row for row in known if not row.is_faceless or row.product_id in speak]
    if not rows:
        return []
    templates = {one.template_image for one in catalogue.products.values() if one.template_image}
    hashes = ledger.hashes.get_many(templates)
    names = {ledger.uploads.find(sha256): shown(ref) for ref, (_, sha256) in hashes.items()}
    sums: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        request = row.request or {}
        template = request.get("templateImageFileId")
        avatar = f"avatar {request.get('avatarId')}"
        name = names.get(template, f"template {template}") if template else avatar
        sums[name, row.mode or ""].append(row.cost_credits or 0.0)
    found = [
        Refused(template, mode, len(costs), round(sum(costs), 2))
        for (template, mode), costs in sums.items()
    ]
    return sorted(found, key=lambda one: (-one.credits, one.template, one.mode))


def say_refused(console: Console, refused: Sequence[Refused]) -> None:
    """Print what was paid for scenes that a check or a person refused, so far."""
    if refused:
        columns = ("template of refused scenes", "mode", "refused", "credits")
        rows = [
            (it.template, it.mode, str(it.scenes), f"{round(it.credits, 2):g}") for it in refused
        ]
        say_rows(console, columns, rows, right=columns[2:])


def summary_document(progress: Progress, run_id: str, left: Left | None) -> dict[str, object]:
    """The last line of `run --json`, without what only the command knows."""
    new, reused = _made(progress)
    counts = Counter(entry.cause.outcome for entry in _entries(progress))
    costs = [] if left is None else list(map(_cost, left.at_topview))
    return {
        "event": "summary",
        "run_id": run_id,
        "made": new,
        "reused": reused,
        "credits": progress.credits,
        "products_failed": counts["failed"],
        "products_held": counts["held"],
        "products_left": progress.left,
        "stopped": left is not None,
        "tasks_at_topview": len(costs),
        "credits_at_topview": sum(cost or 0.0 for cost in costs),
        "stages_not_sent": 0 if left is None else len(left.unsent),
    }
