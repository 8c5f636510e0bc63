"""What there is to do: for each product and stage, whether it is up to date, and why not.

Pure: it looks at what it is given, asks nobody and spends nothing. It predicts what the producer
will decide; the producer decides again with fresh rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from topview_pipeline.catalogue import Product
from topview_pipeline.inputs import InputError
from topview_pipeline.ledger import TaskGlance, TaskState
from topview_pipeline.producer.work import Piece, data_version, piece_of
from topview_pipeline.stages import STAGES, PreconditionError, Stage
from topview_pipeline.stages.estimates import speech_seconds
from topview_pipeline.stages.requests import Upstream
from topview_pipeline.stages.shapes import Shape, fingerprint_of


@dataclass(frozen=True)
class PlannedOrder:
    """One thing to do.

    Attributes:
        reason: why, in words of the catalogue.
        credits: what it will cost; 0 when nothing will be paid for it, None when unknown.
        submits: whether it needs a new task at Topview, free ones included.
    """

    product_id: str
    stage: str
    reason: str
    credits: float | None
    submits: bool = False


@dataclass(frozen=True)
class Known:
    """What ledger and Dagster know, loaded once for all products.

    Attributes:
        rows: task rows by fingerprint, the oldest first.
        generations: the generation reached, by (product, stage); 0 where there is none.
        open_orders: (product, stage) of what is wanted already.
        choices: a person's image, by (product, fingerprint of replacedImages).
        materialized: data version of the newest materialization, by (product, stage).
        last_stored: what a product last stored of a stage, whatever its inputs are now.
        cost: what a task of (stage, mode) costs with so many seconds of speech; None when unknown.
    """

    account: str
    rows: Mapping[str, Sequence[TaskGlance]]
    generations: Mapping[tuple[str, str], int]
    open_orders: Collection[tuple[str, str]]
    choices: Mapping[tuple[str, str], int]
    materialized: Mapping[tuple[str, str], str]
    last_stored: Callable[[str, str], TaskGlance | None]
    cost: Callable[[Stage, str | None, float | None], float | None]


@dataclass(frozen=True)
class _Upstream:
    """What the next stage will be made from.

    Attributes:
        task: the stored row; None while it is not there, or there is no stage before.
        missing: why it is not there yet.
        is_coming: whether this plan brings it.
    """

    task: TaskGlance | None = None
    missing: str | None = None
    is_coming: bool = False


@dataclass(frozen=True)
class _Verdict:
    """`reason` is None when the stage is up to date; `pays`: a new task may be paid for."""

    reason: str | None
    pays: bool = False


def plan(
    products: Iterable[Product],
    stages: Sequence[Stage],
    known: Known,
    *,
    shape_of: Callable[[Stage, Product], Shape],
    force: bool = False,
    when_no_face: Literal["fail", "avatar2"] = "fail",
) -> list[PlannedOrder]:
    """The orders that bring products up to date, in the catalogue's order.

    Args:
        stages: which ones; a stage before them that is not among them is not made: they are made
            from what the product last stored of it, even if its inputs changed since.
        shape_of: the product's own inputs of a stage; may raise InputError.
        force: make everything anew, whatever there is.
    """
    planner = _Planner(stages, known, shape_of, force, when_no_face)
    return [order for product in products for order in planner.of_product(product)]


def first_products(orders: Sequence[PlannedOrder], limit: int | None) -> list[PlannedOrder]:
    """The orders of the first so many products that have any; all without a limit."""
    products = list(dict.fromkeys(order.product_id for order in orders))
    kept = set(products[:limit])
    return [order for order in orders if order.product_id in kept]


@dataclass(frozen=True)
class _Planner:
    stages: Sequence[Stage]
    known: Known
    shape_of: Callable[[Stage, Product], Shape]
    force: bool
    when_no_face: Literal["fail", "avatar2"]

    def of_product(self, product: Product) -> Iterator[PlannedOrder]:
        """The product's orders, in the order of the stages."""
        upstream = _Upstream()
        for stage in STAGES:
            if stage not in self.stages:
                upstream = _Upstream(self.known.last_stored(product.product_id, stage.key))
                continue
            row: TaskGlance | None = None
            mode = _likely_mode(stage, product)
            if upstream.missing is not None:
                verdict = _Verdict(upstream.missing, upstream.is_coming)
            else:
                try:
                    piece = self._piece(stage, product, upstream.task)
                except (PreconditionError, InputError) as error:
                    verdict = _Verdict(str(error))
                else:
                    mode = piece.mode
                    row = self._row(piece)
                    verdict = self._verdict(piece, row, upstream.task)
            if verdict.reason is not None:
                cost: float | None = 0.0
                if verdict.pays:
                    cost = self.known.cost(stage, mode, speech_seconds(stage, product))
                yield PlannedOrder(
                    product.product_id, stage.key, verdict.reason, cost, verdict.pays
                )
            upstream = self._next(stage, row, verdict)

    def _piece(self, stage: Stage, product: Product, upstream: TaskGlance | None) -> Piece:
        preferred = None
        if upstream is not None:
            preferred = self.known.choices.get((product.product_id, upstream.fingerprint))
        return piece_of(
            stage,
            product,
            self.shape_of(stage, product),
            # Its files shape nothing, so a plan does not look at them.
            None if upstream is None else Upstream(upstream.fingerprint, upstream.result or {}, ()),
            account=self.known.account,
            preferred_image=preferred,
            when_no_face=self.when_no_face,
        )

    def _row(self, piece: Piece) -> TaskGlance | None:
        """The row that stands for the current inputs of a stage."""
        generation = self.known.generations.get((piece.product.product_id, piece.stage.key), 0)
        rows = self.known.rows.get(fingerprint_of(piece.work, generation), ())
        counting = [row for row in rows if row.state in _VERDICTS or row.state is TaskState.STORED]
        return counting[-1] if counting else None

    def _verdict(
        self, piece: Piece, row: TaskGlance | None, upstream: TaskGlance | None
    ) -> _Verdict:
        key = (piece.product.product_id, piece.stage.key)
        is_dead = upstream is not None and upstream.state is TaskState.SUPERSEDED
        if is_dead and (self.force or row is None or row.state is TaskState.FAILED):
            what = f"Topview forgot the images of {piece.stage.upstream}"
            return _Verdict(f"{what}: make it too")
        if self.force:
            return _Verdict("forced", pays=True)
        version = self.known.materialized.get(key)
        if row is None:
            return _Verdict("new" if version is None else self._what_changed(piece), pays=True)
        if row.state is TaskState.FAILED and not row.retryable:
            return _Verdict("refused before: only sent again with force or changed inputs")
        if row.state is TaskState.EXPIRED and piece.stage.free:
            return _Verdict("expired", pays=True)
        if row.state is not TaskState.STORED:
            return _VERDICTS[row.state]
        if version != data_version(row.fingerprint):
            return _Verdict("in the store, and Dagster has not heard of it")
        return _Verdict("ordered" if key in self.known.open_orders else None)

    def _what_changed(self, piece: Piece) -> str:
        """What differs from what the product last stored of this stage."""
        last = self.known.last_stored(piece.product.product_id, piece.stage.key)
        before = {} if last is None else last.inputs
        changed = [key for key, version in piece.inputs.items() if before.get(key) != version]
        return f"{' and '.join(_WORDS.get(key, key) for key in changed) or 'its making'} changed"

    def _next(self, stage: Stage, row: TaskGlance | None, verdict: _Verdict) -> _Upstream:
        if row is not None and row.state is TaskState.STORED and not self.force:
            return _Upstream(row)
        if verdict.pays or (row is not None and row.state in _COMING):
            return _Upstream(None, f"{stage.key} is made anew", is_coming=True)
        return _Upstream(None, f"{stage.key} cannot be made")


def _likely_mode(stage: Stage, product: Product) -> str | None:
    """The mode that a stage's price goes by, as far as it is known before its upstream is."""
    return {
        "replacedImages": "auto" if product.location is None else "manual",
        "finishedVideo": product.mode,
    }.get(stage.key)


_WORDS: Final = {"productImage": "photo", "productScene": "scene", "productScript": "script"}
_COMING: Final = frozenset({TaskState.RESERVED, TaskState.PENDING, TaskState.SUCCEEDED})
_VERDICTS: Final[Mapping[TaskState, _Verdict]] = {
    TaskState.RESERVED: _Verdict("being submitted"),
    TaskState.PENDING: _Verdict("pending at Topview"),
    TaskState.SUCCEEDED: _Verdict("finished at Topview, not yet in the store"),
    TaskState.FAILED: _Verdict("failed before", pays=True),
    TaskState.UNKNOWN: _Verdict("unknown: the submit's answer was lost"),
    TaskState.STALLED: _Verdict("stalled at Topview"),
    TaskState.EXPIRED: _Verdict("expired: only force makes it anew"),
    TaskState.SUPERSEDED: _Verdict("Topview forgot its images", pays=True),
}
