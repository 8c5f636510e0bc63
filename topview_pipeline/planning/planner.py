"""Looks at each product and stage: whether it is up to date, and if not, why and for how much."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from topview_pipeline.catalogue import Product
from topview_pipeline.inputs import InputError
from topview_pipeline.ledger import TaskGlance, TaskState
from topview_pipeline.planning.known import Known
from topview_pipeline.planning.orders import PlannedOrder
from topview_pipeline.planning.verdicts import AWAITED, COMING, OF_STATE, Verdict
from topview_pipeline.producer.work import Piece, data_version, piece_of
from topview_pipeline.stages import REPLACED_IMAGES, STAGES, PreconditionError, Stage
from topview_pipeline.stages.estimates import speech_seconds
from topview_pipeline.stages.requests import Upstream
from topview_pipeline.stages.shapes import Shape, fingerprint_of, work_of

_TO_BE_FORCED: Final = -1
"""Stands for the generation that a forced order gets when it is placed: nothing is made of it."""
_WORDS: Final = {"productImage": "photo", "productScene": "scene", "productScript": "script"}


@dataclass(frozen=True, slots=True)
class _Upstream:
    """What the next stage will be made from.

    Attributes:
        task: the stored row; None while it is not there, or there is no stage before.
        missing: why it is not there yet.
        fingerprint: of what is not there and comes; None when it does not come.
        is_awaited: nothing says when it comes.
    """

    task: TaskGlance | None = None
    missing: str | None = None
    fingerprint: str | None = None
    is_awaited: bool = False


@dataclass(frozen=True, slots=True)
class _Look:
    """One stage of a product, looked at; without a fingerprint it cannot be made."""

    verdict: Verdict
    mode: str | None
    fingerprint: str | None = None
    row: TaskGlance | None = None


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


@dataclass(frozen=True)
class _Planner:
    stages: Sequence[Stage]
    known: Known
    shape_of: Callable[[Stage, Product], Shape]
    force: bool
    when_no_face: Literal["fail", "avatar2"]
    payers: dict[str, str] = field(default_factory=dict)
    """The first product of the plan that each new task is for, by fingerprint."""

    def of_product(self, product: Product) -> Iterator[PlannedOrder]:
        """The product's orders, in the order of the stages."""
        upstream = _Upstream()
        for stage in STAGES:
            if stage not in self.stages:
                upstream = _Upstream(self.known.last_stored(product.product_id, stage.key))
                continue
            look = self._look(stage, product, upstream)
            if look.verdict.reason is not None:
                yield self._order(stage, product, look, look.verdict.reason)
            upstream = self._next(stage, look, upstream)

    def _look(self, stage: Stage, product: Product, upstream: _Upstream) -> _Look:
        mode = _likely_mode(stage, product)
        is_coming = upstream.fingerprint is not None
        if upstream.missing is not None and not is_coming:
            return _Look(Verdict(upstream.missing, moves=False), mode)
        try:
            shape = self.shape_of(stage, product)
            if is_coming and stage.upstream == REPLACED_IMAGES.key:
                # Which of its images is taken is not known yet, so no row can be the video's.
                work = work_of(self.known.account, stage, shape, upstream.fingerprint)
                verdict = Verdict(upstream.missing, pays=True, moves=not upstream.is_awaited)
                return _Look(verdict, mode, self._fingerprint(stage, product, work))
            piece = self._piece(stage, product, shape, upstream)
        except (PreconditionError, InputError) as error:
            return _Look(Verdict(str(error), moves=False), mode)
        fingerprint = self._fingerprint(stage, product, piece.work)
        row = self._row(fingerprint)
        verdict = self._verdict(piece, row, upstream)
        if upstream.is_awaited and verdict.pays:
            verdict = replace(verdict, moves=False)
        return _Look(verdict, piece.mode, fingerprint, row)

    def _order(self, stage: Stage, product: Product, look: _Look, reason: str) -> PlannedOrder:
        payer = product.product_id
        if look.verdict.pays and look.fingerprint is not None:
            payer = self.payers.setdefault(look.fingerprint, payer)
        submits = look.verdict.pays and payer == product.product_id
        return PlannedOrder(
            product.product_id,
            stage.key,
            reason,
            self.known.cost(stage, look.mode, speech_seconds(stage, product)) if submits else 0.0,
            submits,
            look.verdict.moves,
            None if payer == product.product_id else payer,
        )

    def _piece(self, stage: Stage, product: Product, shape: Shape, upstream: _Upstream) -> Piece:
        preferred, made_from = None, None
        if upstream.task is not None:
            row = upstream.task
            preferred = self.known.choices.get((product.product_id, row.fingerprint))
            # Its files shape nothing, so a plan does not look at them.
            made_from = Upstream(row.fingerprint, row.result or {}, ())
        elif upstream.fingerprint is not None:
            made_from = Upstream(upstream.fingerprint, {}, ())
        return piece_of(
            stage,
            product,
            shape,
            made_from,
            account=self.known.account,
            preferred_image=preferred,
            when_no_face=self.when_no_face,
        )

    def _fingerprint(self, stage: Stage, product: Product, work: str) -> str:
        if self.force:
            return fingerprint_of(work, _TO_BE_FORCED)
        generation = self.known.generations.get((product.product_id, stage.key), 0)
        return fingerprint_of(work, generation)

    def _row(self, fingerprint: str) -> TaskGlance | None:
        """The row that stands for the current inputs of a stage."""
        rows = self.known.rows.get(fingerprint, ())
        counting = [row for row in rows if row.state in OF_STATE or row.state is TaskState.STORED]
        return counting[-1] if counting else None

    def _verdict(self, piece: Piece, row: TaskGlance | None, upstream: _Upstream) -> Verdict:
        key = (piece.product.product_id, piece.stage.key)
        is_dead = upstream.task is not None and upstream.task.state is TaskState.SUPERSEDED
        if is_dead and (row is None or row.state is TaskState.FAILED):
            what = f"Topview forgot the images of {piece.stage.upstream}"
            return Verdict(f"{what}: make it too", moves=False)
        if self.force:
            return Verdict(upstream.missing or "forced", pays=True)
        version = self.known.materialized.get(key)
        if row is None:
            why = upstream.missing or ("new" if version is None else self._what_changed(piece))
            return Verdict(why, pays=True)
        if row.state is TaskState.FAILED and not row.retryable:
            refused = "refused before: only sent again with force or changed inputs"
            return Verdict(refused, moves=False)
        if row.state is TaskState.EXPIRED and piece.stage.free:
            return Verdict("expired", pays=True)
        if row.state is not TaskState.STORED:
            return OF_STATE[row.state]
        if version != data_version(row.fingerprint):
            return Verdict("in the store, and Dagster has not heard of it")
        return Verdict("ordered" if key in self.known.open_orders else None)

    def _what_changed(self, piece: Piece) -> str:
        """What differs from what the product last stored of this stage."""
        last = self.known.last_stored(piece.product.product_id, piece.stage.key)
        before = {} if last is None else last.inputs
        changed = [key for key, version in piece.inputs.items() if before.get(key) != version]
        return f"{' and '.join(_WORDS.get(key, key) for key in changed) or 'its making'} changed"

    def _next(self, stage: Stage, look: _Look, upstream: _Upstream) -> _Upstream:
        state = None if look.row is None else look.row.state
        if state is TaskState.STORED:
            return _Upstream(look.row)
        is_awaited = state in AWAITED or (look.verdict.pays and upstream.is_awaited)
        if is_awaited:
            return _Upstream(None, f"waits for {stage.key}", look.fingerprint, is_awaited=True)
        if look.verdict.pays or state in COMING:
            return _Upstream(None, f"{stage.key} is made anew", look.fingerprint)
        return _Upstream(None, f"{stage.key} cannot be made")


def _likely_mode(stage: Stage, product: Product) -> str | None:
    """The mode that a stage's price goes by, as far as it is known before its upstream is."""
    return {
        "replacedImages": "auto" if product.location is None else "manual",
        "finishedVideo": product.mode,
    }.get(stage.key)
