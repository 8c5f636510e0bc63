"""The catalogue in Dagster: its products become partitions, its changed inputs are observed, and
products that left it long ago are forgotten.

Spends nothing, and calls nobody but the catalogue, the ledger and the files' own servers. It needs
no key, and a uid only for what the ledger remembers.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from topview_pipeline.defs.checks import problem_metadata
from topview_pipeline.defs.dagster_private import materialized_partitions
from topview_pipeline.defs.data_versions import Sources, Versions
from topview_pipeline.stages import STAGES, Inputs, Stage
from topview_pipeline.text import in_few_lines

if TYPE_CHECKING:
    from topview_pipeline.catalogue import Catalogue, Product, RowProblem
    from topview_pipeline.defs.outline import Outline
    from topview_pipeline.defs.resources import TopviewResource
    from topview_pipeline.ledger import Ledger, Task, TaskGlance

_DAY_SECONDS: Final = 86_400.0
_BATCH: Final = 5000
"""Partitions added in one transaction, so that runs write their events in between."""
_AT_ONCE: Final = 100
"""Products whose files are looked up together, where a tick's time is short."""
_PATIENCE_SECONDS: Final = 20.0
"""Without an answer from any server: the rest is left for the next look."""
_MOST_PICTURES: Final = 50
"""Thumbnails of one look: each takes some hundredths of a second."""


@contextmanager
def ledger_or_none(topview: TopviewResource) -> Iterator[Ledger | None]:
    """The ledger of the account; None where no uid is set: then nothing was made from here."""
    if topview.config.uid is None:
        yield None
        return
    with topview.ledger() as ledger:
        yield ledger


def check_catalogue(topview: TopviewResource, catalogue: Catalogue) -> None:
    """Refuse a catalogue that lost too many products, until a run with `accept_change`."""
    with ledger_or_none(topview) as ledger:
        if ledger is not None:
            check_losses(ledger, catalogue)


def check_losses(ledger: Ledger, catalogue: Catalogue, *, accept_change: bool = False) -> None:
    from topview_pipeline.catalogue import check_gone

    known, where = ledger.catalogue.products(), catalogue.source
    check_gone(known, catalogue.product_ids, accept_change=accept_change, where=where)


def accept_catalogue(
    instance: dg.DagsterInstance,
    outline: Outline,
    catalogue: Catalogue,
    ledger: Ledger | None,
    *,
    accept_change: bool = False,
    named: Collection[str] = (),
) -> tuple[Sequence[str], Sequence[str]]:
    """Accept a catalogue: new products become partitions, those that left are retired.

    Returns the new ones and those that left, which keep partition and history. Raises
    ChangeNotAccepted, and holds the catalogue, if too many products are gone. A run over `named`
    products only adds products: that others left is not its business.
    """
    from topview_pipeline.catalogue import ChangeNotAccepted

    if ledger is None:
        return register(instance, outline, catalogue.products), ()
    try:
        check_losses(ledger, catalogue, accept_change=accept_change or bool(named))
    except ChangeNotAccepted as error:
        ledger.catalogue.hold(str(error))
        raise
    new = register(instance, outline, catalogue.products)
    kept = () if catalogue.names_all_products else ledger.catalogue.products()
    left = ledger.catalogue.accept(
        products=catalogue.products, kept={*catalogue.product_ids, *kept}, is_whole=not named
    )
    return new, tuple(left)


def register(
    instance: dg.DagsterInstance, outline: Outline, product_ids: Iterable[str]
) -> tuple[str, ...]:
    """Make products partitions, so that their events have a home; those that were none yet."""
    known = set(instance.get_dynamic_partitions(outline.partition_set))
    new = tuple(product_id for product_id in product_ids if product_id not in known)
    for begin in range(0, len(new), _BATCH):
        instance.add_dynamic_partitions(outline.partition_set, new[begin : begin + _BATCH])
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

    def observations(
        self, instance: dg.DagsterInstance, topview: TopviewResource, catalogue: Catalogue
    ) -> Iterator[dg.AssetObservation]:
        """The observations of what changed; the first with a thumbnail, where previews are on."""
        pictures = _MOST_PICTURES if topview.config.previews else 0
        sources = Sources(instance, topview.outline, catalogue.products, pictures=pictures)
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
    chosen = _choices_over(ledger)
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
                inputs = chosen(stage, product, stage.inputs(product, hash_of))
            except InputError as error:
                looked.unreadable[product.product_id] = f"{error.where}: {error.what}"
            else:
                versions[stage.source, product.product_id] = inputs.version
    looked.changed = Versions(instance, outline).unobserved(versions)
    return looked


def _choices_over(ledger: Ledger | None) -> Callable[[Stage, Product, Inputs], Inputs]:
    """Lays people's choices over a product's inputs: as the stage's next task would have them."""
    reviews = {} if ledger is None else ledger.reviews.all()
    choices = {key: one.image for key, one in reviews.items() if one.image}
    made: Mapping[tuple[str, str], TaskGlance] = {}
    if ledger is not None and choices:
        keys = [stage.key for stage in STAGES]
        made = ledger.tasks.last_made_all(results_of=keys, verdicts_of=keys)

    def chosen(stage: Stage, product: Product, inputs: Inputs) -> Inputs:
        last = made.get((product.product_id, str(stage.upstream)))
        if last is None:
            return inputs
        choice = choices.get((product.product_id, last.fingerprint))
        return stage.effective_inputs(inputs, choice, last.result, last.quality)

    return chosen


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
    def one(item: tuple[str, str]) -> str:
        return f"{item[0]} is not observed: {item[1]}"

    def many(items: Sequence[tuple[str, str]]) -> str:
        return f"{len(items)} products are not observed, {one(items[0])}"

    for line in in_few_lines(unreadable.items(), lambda item: item[1], one=one, many=many):
        log.warning(line)


# Products that left, for the command and the job `purge`.


def forgettable(
    instance: dg.DagsterInstance,
    topview: TopviewResource,
    ledger: Ledger,
    *,
    days: int,
    media: bool,
) -> tuple[dict[str, list[Task]], list[str]]:
    """The products that go, each with the rows that go with it, and those that stay."""
    from topview_pipeline.defs.run import check_ready
    from topview_pipeline.ledger.catalogue_state import is_on_its_way

    check_ready(instance, ledger, topview, write=False)
    going: dict[str, list[Task]] = {}
    staying: list[str] = []
    for product in ledger.retired.before(days * _DAY_SECONDS):
        rows = ledger.retired.tasks(product)
        if any(map(is_on_its_way, rows)):
            staying.append(product)
            continue
        shared = ledger.retired.shared(product, rows) if media else set()
        going[product] = [row for row in rows if media and row.id not in shared]
    return going, staying


def forget(
    instance: dg.DagsterInstance,
    topview: TopviewResource,
    ledger: Ledger,
    going: Mapping[str, Sequence[Task]],
    *,
    who: str,
    why: str = "",
) -> None:
    """Remove the products' partitions, the decisions about them, these rows and their files."""
    from topview_pipeline.export.thumbs import THUMBS

    home = topview.config.home
    if any(going.values()):  # copies of all pictures: those of the others are made again
        for copies in (home / topview.outline.of("gallery") / THUMBS, home / "candidates"):
            shutil.rmtree(copies, ignore_errors=True)
    for product, rows in going.items():
        for row in rows:
            _remove_files(topview.config.store, ledger.account, row)
        instance.delete_dynamic_partition(topview.outline.partition_set, product)
        # The rows name the files: they go last, so that a purge that was cut off is found again.
        ledger.retired.forget(product, rows, who=who, why=why)


def _remove_files(store: str, account: str, row: Task) -> None:
    """Remove a row's files, its record and its index entry from the store."""
    from upath import UPath

    from topview_pipeline.store import StoreError

    root = UPath(store)
    try:
        for key in _keys(account, row):
            (root / key).unlink(missing_ok=True)
        with suppress(OSError, NotImplementedError):
            for key in {key.rpartition("/")[0] for key in _keys(account, row)}:
                (root / key).rmdir()  # of a disk; it refuses where files are left
    except Exception as error:  # fsspec's file systems raise what their vendors' libraries raise
        fix = "Let this role delete there, then purge again."
        what = f"a file of {row.product_id} cannot be deleted ({type(error).__name__})"
        raise StoreError(what, fix=fix) from error


def _keys(account: str, row: Task) -> Iterator[str]:
    for artifact in row.artifacts or ():
        yield artifact["path"]
    yield f"{account}/index/{row.fingerprint}.json"
