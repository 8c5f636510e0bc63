"""Plans products: for each stage, whether it is up to date, and if not, why and for how much.

Pure. It asks the engine's own decision about every stage; the engine decides again, with fresh
rows, when it acts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Final, Literal, NamedTuple

from topview_pipeline.catalogue import InputError, Product
from topview_pipeline.engine.decide import (
    Action,
    Circumstances,
    Decision,
    decide,
    generation_of,
    why_not_forced,
)
from topview_pipeline.engine.events import HoldReason
from topview_pipeline.engine.gate import (
    Before,
    Canaries,
    ReviewRules,
    canary_group_of,
    shared_stages,
)
from topview_pipeline.ledger import NO_REVIEW, Review, TaskGlance, TaskState, Tried
from topview_pipeline.prices import Estimate
from topview_pipeline.stages import (
    BY_KEY,
    STAGES,
    Inputs,
    PreconditionError,
    Stage,
    UnfitResultError,
    Upstream,
    WorkItem,
    data_version,
    fingerprint_of,
    work_of,
)

Outcome = Literal["failed", "held"]
"""Of what a run does not make: failed is final for the run, what is held waits."""
ASKED_AGAIN: Final = "a person asked for a remake"
"""Reason of what a person had made again by `topview-pipeline review`."""
_AT_ONCE: Final = 500  # products whose rows are read together
_A_RUN_TO_COME: Final = ""  # no row is of a run that does not exist yet


@dataclass(frozen=True)
class Known:
    """Facts of the ledger and of Dagster.

    Attributes:
        now: by the ledger's clock.
        rows_of: the account's task rows of some works, by work, the oldest first.
        reviews: people's decisions, by (product, fingerprint of the result).
        materialized: data version of the newest materialization, by (product, stage).
        last_made_ids: the number of the row that each product's stage stands on.
        last_made: that row, whatever the product's inputs are now.
    """

    account: str
    pipeline: str
    now: float
    rows_of: Callable[[Collection[str]], Mapping[str, Sequence[TaskGlance]]]
    alive: frozenset[str]
    reviews: Mapping[tuple[str, str], Review]
    materialized: Mapping[tuple[str, str], str]
    last_made_ids: Mapping[tuple[str, str], int]
    last_made: Callable[[str, str], TaskGlance | None]
    estimate: Callable[..., Estimate]
    tried: Callable[[str], Sequence[Tried]] = lambda _: ()


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One thing to do for a product.

    Attributes:
        reason: why, in words of the catalogue.
        credits: what it will cost; 0 when nothing will be paid for it, None when unknown.
        most: what a limit counts for it; None: the same.
        submits: it needs a new task at Topview, free ones included.
        outcome: of a run that does not make it; None: it makes progress with it.
        row: the number of the task row that says so.
        again: it was made before, and a new task makes it again.
        made_with: an earlier product of the plan whose new task makes this one's, too.
        looked_at: the number of the row of the result that a person must decide about first.
        is_read: its files were looked at; if not, a run finds out what there is to do.
        fingerprint: of what is to be made; None when it cannot be. While the stage before is made,
            it is good only to compare stages of one plan.
    """

    product_id: str
    stage: str
    reason: str
    credits: float | None
    submits: bool = False
    outcome: Outcome | None = None
    fix: str = ""
    row: int | None = None
    again: bool = False
    made_with: str | None = None
    mode: str | None = None
    looked_at: int | None = None
    is_read: bool = True
    fingerprint: str | None = None
    most: float | None = None

    @property
    def reserved(self) -> float | None:
        """The credits that a limit counts until its price is booked."""
        return self.credits if self.most is None else self.most

    @property
    def moves(self) -> bool:
        """A run makes progress with it; otherwise it needs a person, or Topview's answer."""
        return self.outcome is None

    @property
    def is_made(self) -> bool:
        """A new task makes it: its own, or the one of `made_with`."""
        return self.submits or self.made_with is not None

    @property
    def why(self) -> str:
        """The reason, what becomes of it in a run, and whose task makes it."""
        why = self.reason if self.made_with is None else f"{self.reason}, with {self.made_with}"
        return why if self.outcome is None else f"{self.outcome}: {why}"


class _Verdict(NamedTuple):
    reason: str | None
    pays: bool = False
    outcome: Outcome | None = None
    fix: str = ""
    looked_at: int | None = None
    waits: bool = False  # what is after it waits, too


_UP_TO_DATE: Final = _Verdict(None)
_UNKNOWN: Final = _Verdict("unknown: the submit's answer was lost", outcome="held")
_OVERDUE: Final = _Verdict("overdue at Topview", outcome="held")
_VERDICTS: Final[Mapping[Action, _Verdict]] = {
    Action.DOWNLOAD: _Verdict("finished at Topview, not yet in the store"),
    Action.WAIT: _Verdict("another run is making it"),
    Action.POLL: _Verdict("pending at Topview"),
    Action.ASK: _OVERDUE,
    Action.HOLD_OVERDUE: _OVERDUE,
    Action.LOST: _UNKNOWN,
    Action.HOLD_UNKNOWN: _UNKNOWN,
    Action.HOLD_EXPIRED: _Verdict("expired: only force remakes it", outcome="held"),
    Action.HOLD_RETRY: _Verdict("failed before"),
    Action.REJECTED: _Verdict(
        "refused before: sent again only with force or changed inputs", outcome="failed"
    ),
    Action.USED_UP: _Verdict("failed too often", outcome="failed"),
    Action.VOID: _Verdict("its answer was lost, and nothing was charged", pays=True),
}
_COMING: Final = frozenset({Action.DOWNLOAD, Action.WAIT, Action.POLL})
"""Their result is there by the end of a run."""
_AWAITED: Final = frozenset({Action.ASK, Action.HOLD_OVERDUE, Action.LOST, Action.HOLD_UNKNOWN})
"""Their result may come, and nothing says when."""


class _Next(NamedTuple):
    """The results that the next stage will be made from."""

    row: TaskGlance | None = None  # what is there
    missing: str | None = None  # why it is not there yet
    fingerprint: str | None = None  # of what comes
    outcome: Outcome | None = None  # of what does not come in a run

    @property
    def is_awaited(self) -> bool:  # it comes, and nothing says when
        return self.fingerprint is not None and self.outcome is not None


class _Look(NamedTuple):
    """One stage of a product, looked at; without a fingerprint it cannot be made."""

    verdict: _Verdict
    mode: str | None
    fingerprint: str | None = None
    action: Action | None = None
    row: TaskGlance | None = None


@dataclass
class _ProductPlan:
    product: Product
    results: dict[str, _Next] = field(default_factory=dict)
    unread: str | None = None  # the first stage with a file that was not looked at yet
    found: list[PlannedStage] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Planner:
    """Plans the stages that bring products up to date. Use it once.

    Attributes:
        wanted: the stages to be made. One before them that is not wanted is not made: they are made
            from what the product last made of it, even if its inputs changed since.
        inputs_of: gives the product's own inputs of a stage; may raise InputError.
        unread_of: gives the place of a file of the stage whose hash is a guess.
        occasion: see `RunInfo`.
        failing: products that a run's proofs refuse: they take no place among the first.
    """

    wanted: Sequence[Stage]
    known: Known
    inputs_of: Callable[[Stage, Product], Inputs]
    unread_of: Callable[[Stage, Product], str | None] = lambda *_: None
    force: bool = False
    rules: ReviewRules = ReviewRules()  # noqa: RUF009 - it is frozen
    occasion: str = _A_RUN_TO_COME
    failing: Collection[str] = ()
    _payers: dict[str, str] = field(default_factory=dict)
    """The first product of the plan that each new task is for, by fingerprint."""

    @cached_property
    def _canaries(self) -> Canaries:
        return Canaries(self.rules, self.known.tried, self._review)

    @cached_property
    def _asked_again(self) -> Set[tuple[str, str]]:
        return {key for key, review in self.known.reviews.items() if review.decision == "again"}

    def plan(self, products: Iterable[Product]) -> list[PlannedStage]:
        """Return what is not up to date, by product and in pipeline order."""
        found: list[PlannedStage] = []
        rest = iter(products)
        while some := [_ProductPlan(product) for product in islice(rest, _AT_ONCE)]:
            for stage in STAGES:
                self._plan_stage(stage, some)
            found += (stage for one in some for stage in one.found)
        return found

    def _plan_stage(self, stage: Stage, plans: Sequence[_ProductPlan]) -> None:
        if stage not in self.wanted:
            for one in plans:
                last = self.known.last_made(one.product.product_id, stage.key)
                one.results[stage.key] = _Next(last)
            return
        befores = [one.results[stage.upstream] if stage.upstream else _Next() for one in plans]
        pairs = zip(plans, befores, strict=True)
        looks = [self._look(stage, one.product, before) for one, before in pairs]
        rows = self.known.rows_of({look.work for look in looks if isinstance(look, WorkItem)})
        here = Circumstances(
            now=self.known.now,
            worker="",
            occasion=self.occasion,
            explicit=True,
            free=stage.free,
            submit_seconds=float("inf"),
            is_alive=self.known.alive.__contains__,
            has_files=lambda _: True,
        )
        for one, before, look in zip(plans, befores, looks, strict=True):
            if isinstance(look, WorkItem):
                look = self._decided(look, rows.get(look.work, ()), before, here)
            self._add(one, stage, look, before)

    def _add(self, plan: _ProductPlan, stage: Stage, look: _Look, upstream: _Next) -> None:
        reason = look.verdict.reason
        where = self.unread_of(stage, plan.product)
        if where is not None and (reason is None or look.verdict.pays):
            reason = f"{stage.source_label} not checked yet: {where}"
        elif reason is None and plan.unread is not None:
            reason = f"waits for {plan.unread}"
        plan.unread = plan.unread or (None if where is None else f"the {stage.noun}")
        if reason is not None:
            is_read = plan.unread is None
            plan.found.append(self._planned(stage, plan.product, look, reason, is_read=is_read))
        plan.results[stage.key] = self._next(stage, look, upstream)

    def _look(self, stage: Stage, product: Product, upstream: _Next) -> _Look | WorkItem:
        mode = stage.likely_mode(product)
        row, fingerprint = upstream.row, upstream.fingerprint
        if upstream.missing is not None and fingerprint is None:
            return _Look(_Verdict(upstream.missing, outcome=upstream.outcome), mode)
        try:
            inputs = self.inputs_of(stage, product)
            if fingerprint is not None and stage.reads_upstream_result:
                # Which of its results is taken is not known yet, so no row can be this stage's.
                work = work_of(self.known.account, stage, inputs, fingerprint)
                reason = self._why_after(upstream, product, stage)
                verdict = _Verdict(reason, pays=True, outcome=upstream.outcome)
                verdict = self._gated(verdict, stage, product, upstream)
                return _Look(verdict, mode, fingerprint_of(work, 0))
            made_from = None if fingerprint is None else Upstream(fingerprint, {})
            if row is not None:
                made_from = Upstream(row.fingerprint, row.result or {}, quality=row.quality)
            return stage.item(
                product,
                inputs,
                made_from,
                account=self.known.account,
                choice=self._review_of(product, row).image,
                when_no_face=self.rules.when_no_face,
            )
        except (InputError, PreconditionError) as error:
            reason = f"{error.where}: {error.what}" if error.where else error.what
            about = row.id if row is not None and isinstance(error, UnfitResultError) else None
            return _Look(_Verdict(reason, False, "failed", error.fix, about), mode)

    def _why_after(self, upstream: _Next, product: Product, stage: Stage) -> str | None:
        """Return why a stage is made after one that is not there yet: a new product's is new."""
        is_new = (product.product_id, stage.key) not in self.known.materialized
        return "new" if is_new and not (upstream.is_awaited or self.force) else upstream.missing

    def _decided(
        self, item: WorkItem, rows: Sequence[TaskGlance], upstream: _Next, here: Circumstances
    ) -> _Look:
        product, stage, name = item.product, item.stage, item.product.product_id
        if self.force and (found := why_not_forced(rows, _A_RUN_TO_COME)) is not None:
            return _Look(_Verdict(found[1], False, "failed", found[2]), item.mode)
        again = [row.generation for row in rows if (name, row.fingerprint) in self._asked_again]
        generation = generation_of(
            rows,
            name,
            pipeline=self.known.pipeline,
            force=self.force,
            root_run_id=_A_RUN_TO_COME,
            last_made=self.known.last_made_ids.get((name, stage.key)),
            again=again,
        )
        fingerprint = fingerprint_of(item.work, generation)
        rows = [row for row in rows if row.generation == generation]
        decision = decide(rows, here)
        verdict = self._verdict(item, fingerprint, decision, upstream)
        if upstream.is_awaited and verdict.pays:
            verdict = _Verdict(verdict.reason, pays=True, outcome=upstream.outcome)
        elif generation and verdict.pays and generation - 1 in again:
            verdict = _Verdict(ASKED_AGAIN, pays=True)
        image = None if item.chosen is None else item.chosen.number
        verdict = self._gated(verdict, stage, product, upstream, image)
        return _Look(verdict, item.mode, fingerprint, decision.action, decision.row)

    def _review(self, product_id: str, fingerprint: str) -> Review:
        return self.known.reviews.get((product_id, fingerprint), NO_REVIEW)

    def _review_of(self, product: Product, row: TaskGlance | None) -> Review:
        return NO_REVIEW if row is None else self._review(product.product_id, row.fingerprint)

    def _gated(
        self,
        verdict: _Verdict,
        stage: Stage,
        product: Product,
        upstream: _Next,
        image: int | None = None,
    ) -> _Verdict:
        """The verdict on a new task, after the gate before it."""
        if not verdict.pays or verdict.outcome is not None:
            return verdict
        row, before, canary_group = upstream.row, None, None
        if stage.upstream is not None:
            quality, review = None if row is None else row.quality, self._review_of(product, row)
            before = Before(BY_KEY[stage.upstream], quality, review, image)
        if product.product_id not in self.failing and self._canaries.holds(product):
            shared = {one: self.inputs_of(one, product) for one in shared_stages(stage, STAGES)}
            canary_group = canary_group_of(product, stage, shared)
        hold = self._canaries.turn(product, stage, canary_group, before).hold
        if hold is None:
            return verdict
        about = row.id if row is not None and hold.reason is HoldReason.REVIEW else None
        return _Verdict(hold.what, False, "held", hold.fix, about, waits=True)

    def _verdict(
        self, item: WorkItem, fingerprint: str, decision: Decision[TaskGlance], upstream: _Next
    ) -> _Verdict:
        version = self.known.materialized.get((item.product.product_id, item.stage.key))
        if decision.action is Action.REUSE:
            # A run may have died after Dagster stored its event and before the ledger knew: the
            # next stage would not find what it is made from.
            last = self.known.last_made_ids.get((item.product.product_id, item.stage.key))
            is_known = decision.row is not None and decision.row.id == last
            is_reported = is_known and version == data_version(fingerprint)
            return _UP_TO_DATE if is_reported else _Verdict("in the store, not yet reported")
        if decision.action is not Action.SUBMIT:
            return _VERDICTS[decision.action]
        if decision.row is not None:
            is_expired = decision.row.state is TaskState.EXPIRED
            return _Verdict("expired" if is_expired else "failed before", pays=True)
        if upstream.missing is not None:
            return _Verdict(self._why_after(upstream, item.product, item.stage), pays=True)
        if self.force:
            return _Verdict("forced", pays=True)
        return _Verdict("new" if version is None else self._what_changed(item), pays=True)

    def _what_changed(self, item: WorkItem) -> str:
        stage, versions = item.stage, item.input_versions
        last = self.known.last_made(item.product.product_id, stage.key)
        before = {} if last is None else last.inputs
        changed = [key for key, version in versions.items() if before.get(key) != version]
        if changed == [stage.source] and stage.is_other_choice(item, before.get(stage.source)):
            return "another scene was chosen"
        words = {stage.source: stage.source_label}
        return f"{' and '.join(words.get(key, key) for key in changed) or 'how it is made'} changed"

    def _planned(
        self, stage: Stage, product: Product, look: _Look, reason: str, *, is_read: bool
    ) -> PlannedStage:
        payer = product.product_id
        if look.verdict.pays and look.fingerprint is not None:
            payer = self._payers.setdefault(look.fingerprint, payer)
        submits = look.verdict.pays and payer == product.product_id
        is_made = (product.product_id, stage.key) in self.known.materialized
        most = paid = None
        if submits:
            usual = stage.speech_seconds(product, slowly=False)
            found = self.known.estimate(stage, look.mode, stage.speech_seconds(product), usual)
            most, paid = found.credits, found.likely
        return PlannedStage(
            product.product_id,
            stage.key,
            reason,
            paid if submits else 0.0,
            submits=submits,
            outcome=look.verdict.outcome,
            fix=look.verdict.fix,
            row=look.row.id if look.row is not None and look.verdict.outcome else None,
            # What was not looked at has hardly changed, and a host that hangs is no slip.
            again=look.verdict.pays and is_made and is_read,
            made_with=None if payer == product.product_id else payer,
            mode=look.mode,
            looked_at=look.verdict.looked_at,
            is_read=is_read,
            fingerprint=look.fingerprint,
            most=most,
        )

    def _next(self, stage: Stage, look: _Look, upstream: _Next) -> _Next:
        if look.action is Action.REUSE:
            return _Next(look.row)
        if look.action in _AWAITED or (look.verdict.pays and upstream.is_awaited):
            return _Next(None, f"waits for the {stage.noun}", look.fingerprint, "held")
        if look.verdict.pays or look.action in _COMING:
            return _Next(None, f"makes the {stage.noun} first", look.fingerprint)
        if look.verdict.waits:
            return _Next(None, f"waits for the {stage.noun}", outcome="held")
        return _Next(None, f"the {stage.noun} cannot be made", outcome=look.verdict.outcome)
