"""The outcome of a run: what was made, refused scenes, and what a stop left behind."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console

from topview_pipeline.catalogue import Catalogue
from topview_pipeline.catalogue.references import shown
from topview_pipeline.cli.console import in_credits, say, say_rows
from topview_pipeline.cli.progress import Key, Progress, left_over
from topview_pipeline.cli.watcher import AT_TOPVIEW
from topview_pipeline.defs.failures import Entry, entries_of, not_finished
from topview_pipeline.ledger import Ledger, Task, TaskState
from topview_pipeline.settings import PipelineConfig
from topview_pipeline.stages import SCENE, needs_face
from topview_pipeline.text import counted

_WITH_DAEMON: Final = "  The pending_task_sensor of the Dagster daemon collects the results."
_WITHOUT_DAEMON: Final = (
    "  No Dagster daemon runs here: run again within 7 days to collect the results; Topview keeps "
    "them no longer."
)


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
