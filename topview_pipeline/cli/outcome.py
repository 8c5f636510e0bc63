"""The outcome of a run: what was made, refused scenes, and what a stop left behind."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console

from topview_pipeline.catalogue import Product
from topview_pipeline.catalogue.references import shown
from topview_pipeline.cli.console import in_credits, say, say_rows
from topview_pipeline.cli.progress import Key, Progress, left_over
from topview_pipeline.cli.watcher import AT_TOPVIEW
from topview_pipeline.defs.failures import Entry, entries_of, not_finished
from topview_pipeline.ledger import Ledger, Task, TaskState
from topview_pipeline.stages import SCENE, WhenNoFace, needs_face
from topview_pipeline.text import counted


def _entries(progress: Progress) -> list[Entry]:
    """An entry for each product that was not finished, in the plan's order."""
    return entries_of(progress.troubled[key] for key in progress.wanted if key in progress.troubled)


def say_outcome(console: Console, progress: Progress, *, quiet: bool = False) -> None:
    """Print what was made, what it cost, and every trouble with its way out."""
    if not progress.was_planned:
        return
    if not quiet:
        say(_sums(progress), console)
    for line in not_finished(_entries(progress)):
        say(line, console)
    if progress.left:
        say(left_over(progress.left).strip(), console)


def _sums(progress: Progress) -> str:
    if not progress.wanted:
        return "Everything is up to date: nothing was submitted, nothing was paid."
    new, reused = _made(progress)
    also = f", {reused} reused at no cost" if reused else ""
    return f"{new} made{also}, {in_credits(progress.credits)}."


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
        at_topview = [row for row in rows if row.state not in elsewhere]
        return cls(at_topview, unknown, unsent)

    def lines(self, *, has_daemon: bool) -> Iterator[str]:
        """Say what is left, and who takes care of it."""
        if self.at_topview:
            known = [cost for cost in map(_cost, self.at_topview) if cost is not None]
            unpriced = len(self.at_topview) - len(known)
            also = f" and {unpriced} of unknown price" if unpriced else ""
            yield (
                f"Stopped. In progress at Topview: {counted(len(self.at_topview), 'task')}, "
                f"about {in_credits(round(sum(known), 2))}{also}."
            )
            if has_daemon:
                yield "  The pending_task_sensor of the Dagster daemon collects the results."
            else:
                yield (
                    "  No Dagster daemon runs here: run again within 7 days to collect the "
                    "results; Topview keeps them no longer."
                )
        else:
            yield "Stopped. No task of this run is in progress at Topview."
        if self.unknown:
            yield (
                f"  The answer to a submit was lost for {counted(self.unknown, 'task')}, perhaps "
                "paid: topview-pipeline tasks list --state unknown"
            )
        if self.unsent:
            products = len({product for product, _ in self.unsent})
            yield (
                f"  Never sent: {counted(len(self.unsent), 'stage')} of "
                f"{counted(products, 'product')}; run again to make them."
            )


def _cost(task: Task) -> float | None:
    return task.estimate if task.cost_credits is None else task.cost_credits


@dataclass(frozen=True)
class Refused:
    """Scenes of one template or avatar, and one mode; `credits` as Topview booked them."""

    template: str
    mode: str
    scenes: int
    credits: float


def refused_scenes(
    ledger: Ledger, products: Collection[Product], when_no_face: WhenNoFace
) -> list[Refused]:
    """The refused scenes of the pipeline so far, the most expensive template first.

    Args:
        products: of the catalogue; their templates are called by their files.
    """
    speak = {one.product_id for one in products if when_no_face == "fail" and needs_face(one.mode)}
    known = ledger.history.refused(SCENE.key)
    rows = [row for row in known if not row.is_faceless or row.product_id in speak]
    if not rows:
        return []
    names = _names_of_templates(ledger, products)
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


def _names_of_templates(ledger: Ledger, products: Iterable[Product]) -> dict[str, str]:
    """Templates of the catalogue by their file ids at Topview, as far as they are known."""
    refs = {one.template_image for one in products if one.template_image is not None}
    names = {}
    for ref, (_, sha256) in ledger.hashes.get_many(refs).items():
        file_id = ledger.uploads.find(sha256)
        if file_id is not None:
            names[file_id] = shown(ref)
    return names


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
