"""The catalogue in Dagster: its products become partitions, its changed inputs are observed.

Spends nothing, and calls nobody but the catalogue, the ledger and the files' own servers. It needs
no key, and a uid only for what the ledger remembers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
import pydantic.dataclasses

from topview_pipeline.defs.checks import problem_metadata
from topview_pipeline.defs.dagster_private import materialized_partitions
from topview_pipeline.defs.data_versions import Versions
from topview_pipeline.defs.sources import Sources
from topview_pipeline.stages import STAGES, Inputs, Stage
from topview_pipeline.text import in_few_lines

if TYPE_CHECKING:
    from topview_pipeline.catalogue import Catalogue, Product, RowProblem
    from topview_pipeline.defs.outline import Outline
    from topview_pipeline.defs.resources import TopviewResource
    from topview_pipeline.ledger import Ledger, TaskGlance

_BATCH: Final = 5000
"""Partitions added in one transaction, so that runs write their events in between."""
_AT_ONCE: Final = 100
"""Products whose files are looked up together, where a tick's time is short."""
_PATIENCE_SECONDS: Final = 20.0
"""Without an answer from any server: the rest is left for the next look."""
_MOST_PICTURES: Final = 50
"""Thumbnails of one look: each takes some hundredths of a second."""
LOOK_AGAIN_SECONDS: Final = 600.0
"""A photo may change while the catalogue does not, and not every source has a version."""
MOST_OBSERVATIONS: Final = 500
"""In one tick of a sensor: Dagster stores an event in 17 ms, and other sensors wait meanwhile."""


@dataclass(frozen=True)
class AcceptedCatalogue:
    """Products that became partitions just now, and that left: these keep partition and history."""

    new: tuple[str, ...]
    left: tuple[str, ...] = ()


@contextmanager
def ledger_or_none(topview: TopviewResource) -> Iterator[Ledger | None]:
    """The ledger of the account; None where no uid is set: then nothing was made from here."""
    if topview.config.uid is None:
        yield None
        return
    with topview.ledger() as ledger:
        yield ledger


def catalogue_or_none(topview: TopviewResource, log: logging.Logger) -> Catalogue | None:
    """The catalogue; None, with a warning, where it cannot be read."""
    from topview_pipeline.errors import PipelineError

    try:
        return topview.catalogue()
    except PipelineError as error:
        why = topview.outline.worded(str(error))
        log.warning(f"Failed tasks are not retried, submitted ones are collected: {why}")
        return None


def check_catalogue(topview: TopviewResource, catalogue: Catalogue) -> None:
    """Refuse a catalogue that lost too many products, until a run with `accept_change`."""
    from topview_pipeline.catalogue import check_gone

    with ledger_or_none(topview) as ledger:
        if ledger is not None:
            check_gone(
                ledger.catalogue.products(),
                catalogue.product_ids,
                accept_change=False,
                where=catalogue.source,
            )


def accept_catalogue(
    instance: dg.DagsterInstance,
    outline: Outline,
    catalogue: Catalogue,
    ledger: Ledger | None,
    *,
    accept_change: bool = False,
) -> AcceptedCatalogue:
    """Accept a catalogue: new products become partitions, those that left are retired.

    Raises ChangeNotAccepted, and holds the catalogue, if too many products are gone.
    """
    from topview_pipeline.catalogue import ChangeNotAccepted, check_gone

    if ledger is None:
        return AcceptedCatalogue(register(instance, outline, catalogue.products))
    try:
        check_gone(
            ledger.catalogue.products(),
            catalogue.product_ids,
            accept_change=accept_change,
            where=catalogue.source,
        )
    except ChangeNotAccepted as error:
        ledger.catalogue.hold(str(error))
        raise
    new = register(instance, outline, catalogue.products)
    kept = () if catalogue.names_all_products else ledger.catalogue.products()
    left = ledger.catalogue.accept(
        products=catalogue.products, kept={*catalogue.product_ids, *kept}
    )
    return AcceptedCatalogue(new, tuple(left))


def register(
    instance: dg.DagsterInstance, outline: Outline, product_ids: Iterable[str]
) -> tuple[str, ...]:
    """Make products partitions, so that their events have a home; those that were none yet."""
    known = set(instance.get_dynamic_partitions(outline.partition_set))
    new = tuple(product_id for product_id in product_ids if product_id not in known)
    rest = iter(new)
    while batch := list(islice(rest, _BATCH)):
        instance.add_dynamic_partitions(outline.partition_set, batch)
    return new


# Changed inputs.


@dataclass
class InputChanges:
    """Inputs that changed since they were used.

    Attributes:
        changed: (source, product, version) of what was made from another version.
        unreadable: by product, why it is not observed; it keeps its last version.
        place: where a look that was cut short stopped, as `start` of the next.
        is_whole: it came to its end.
    """

    changed: list[tuple[str, str, str]] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    place: int = 0
    is_whole: bool = True

    def observations(self, sources: Sources) -> Iterator[dg.AssetObservation]:
        """The observations of what changed."""
        for source, product_id, version in self.changed:
            yield sources.observation(source, product_id, version, is_first=False)


def changed_inputs(
    instance: dg.DagsterInstance,
    topview: TopviewResource,
    catalogue: Catalogue,
    ledger: Ledger | None,
    *,
    start: int = 0,
    is_over: Callable[[], bool] | None = None,
    stages: Sequence[Stage] = STAGES,
) -> InputChanges:
    """Look which products' inputs differ from what was last observed.

    Only of what is made: nothing else can be stale, and the run that makes a product observes what
    it reads.

    Args:
        start: where an earlier look at the same catalogue stopped.
        is_over: asked every hundred products; True cuts the look short, and no server is asked for
            a file. Without it files are read several at once.
    """
    from topview_pipeline.catalogue import InputError

    outline = topview.outline
    made = {stage: materialized_partitions(instance, outline.key(stage.key)) for stage in stages}
    files = topview.files(ledger, offline=is_over is not None)
    choices = _Choices(ledger)
    looked, versions = InputChanges(), {}
    products = list(catalogue.products.values())
    step = _AT_ONCE if is_over is not None else max(len(products), 1)
    for place in range(start, len(products), step):
        if is_over is not None and is_over():
            looked.place, looked.is_whole = place, False
            break
        pairs = [
            (stage, product)
            for product in products[place : place + step]
            for stage in stages
            if product.product_id in made[stage]
        ]
        refs = {ref for _, product in pairs for ref in product.files}
        hash_of = files.hashes(refs, patience=_PATIENCE_SECONDS).sha256
        for stage, product in pairs:
            try:
                inputs = choices.laid_over(stage, product, stage.inputs(product, hash_of))
            except InputError as error:
                looked.unreadable[product.product_id] = f"{error.where}: {error.what}"
            else:
                versions[stage.source, product.product_id] = inputs.version
    looked.changed = Versions(instance, outline, stages).unobserved(versions)
    return looked


class _Choices:
    """People's choices, laid over the inputs that they are part of."""

    def __init__(self, ledger: Ledger | None) -> None:
        reviews = {} if ledger is None else ledger.reviews.all()
        self._choices = {key: one.image for key, one in reviews.items() if one.image}
        chosen = {product for product, _ in self._choices}
        self._last: Mapping[tuple[str, str], TaskGlance] = {}
        if ledger is not None and chosen:
            keys = [stage.key for stage in STAGES]
            self._last = ledger.tasks.last_made_all(results_of=keys, verdicts_of=keys)

    def laid_over(self, stage: Stage, product: Product, inputs: Inputs) -> Inputs:
        """The inputs as the stage's next task would have them."""
        last = self._last.get((product.product_id, str(stage.upstream)))
        if last is None:
            return inputs
        choice = self._choices.get((product.product_id, last.fingerprint))
        return stage.effective_inputs(inputs, choice, last.result, last.quality)


def sources_of(
    instance: dg.DagsterInstance, topview: TopviewResource, catalogue: Catalogue
) -> Sources:
    """Shows what changed inputs stand for; the first with a thumbnail, where previews are on."""
    pictures = _MOST_PICTURES if topview.config.previews else 0
    return Sources(instance, topview.outline, catalogue.products, pictures=pictures)


# What a run or a sensor says of it.


def log_problems(log: logging.Logger, catalogue: Catalogue) -> dict[str, Any]:
    """Log what is wrong with the catalogue and what was ignored; counts and rows, as metadata."""

    def many(problems: Sequence[RowProblem]) -> str:
        return f"{len(problems)} rows like {problems[0]}"

    problems = in_few_lines(
        catalogue.problems, lambda one: f"{one.column}: {one.reason}", one=str, many=many
    )
    for line in problems:
        log.warning(f"catalogue {catalogue.source}, {line}")
    notes = in_few_lines(
        catalogue.warnings, str, one=str, many=lambda some: f"{len(some)} like: {some[0]}"
    )
    for line in notes:
        log.warning(f"catalogue {catalogue.source}: {line}")
    return problem_metadata(catalogue)


def log_unreadable(log: logging.Logger, unreadable: Mapping[str, str]) -> None:
    """Log which products are not observed, and why."""

    def one(item: tuple[str, str]) -> str:
        return f"{item[0]} is not observed: {item[1]}"

    def many(items: Sequence[tuple[str, str]]) -> str:
        return f"{len(items)} products are not observed, {one(items[0])}"

    for line in in_few_lines(unreadable.items(), lambda item: item[1], one=one, many=many):
        log.warning(line)


# What the catalogue sensor remembers.


@pydantic.dataclasses.dataclass(frozen=True)
class Cursor:
    """The last look at the catalogue, kept in the sensor's cursor.

    Attributes:
        is_more: something was left over for the next tick.
        place: where the next tick continues. Not every file's hash can be remembered: from the
            start, ticks that are too short for all files would never come to the last.
        trouble: why it was not accepted.
        problems: digest of the bad rows that Dagster knows of.
    """

    version: str | None
    at: float
    is_more: bool
    place: int = 0
    trouble: str | None = None
    problems: str = ""

    def interrupted(self, trouble: str) -> Cursor:
        """After a look that failed before it knew the version: the next tick looks again."""
        return replace(self, is_more=True, place=self.place if self.is_more else 0, trouble=trouble)

    def place_in(self, version: str | None) -> int:
        """The place where a look at this version continues."""
        return self.place if self.is_more and version == self.version else 0

    def is_enough(self, version: str | None, *, now: float) -> bool:
        """Nothing can have changed since, as far as can be told without reading.

        A clock that was set back ends the wait.
        """
        return (
            not self.is_more
            and version == self.version
            and 0.0 <= now - self.at < LOOK_AGAIN_SECONDS
        )
