"""The trial of a plan: it meets the proofs and the limits that a run meets, and submits nothing.

A plan knows the hashes of files. The trial opens those of what is to be made, measures recordings,
looks ids up, and adds up credits as a run would book them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from topview_pipeline.catalogue import InputFiles, Product
from topview_pipeline.engine.events import FIXES, HoldReason
from topview_pipeline.engine.inputs import ProductInputs, Reader
from topview_pipeline.ledger import OverLimit, Priced, limit_reached
from topview_pipeline.plan.plan import Outcome, PlannedStage
from topview_pipeline.prices import Estimate
from topview_pipeline.stages import BY_KEY, PreconditionError, ProofLists

_Key = tuple[str, str]  # product, stage
_LOOK_SECONDS: Final = 1.0
_RUN_TO_COME: Final = "to come"


@dataclass(frozen=True)
class Proved:
    """The outcome of the proofs.

    Attributes:
        failures: what a run would fail with, by (product, stage).
        seconds: of recordings, by (product, stage).
        left: products that the time was too short for.
    """

    failures: Mapping[_Key, PreconditionError]
    seconds: Mapping[_Key, float]
    left: tuple[str, ...]


@dataclass
class _Prover:
    products: Mapping[str, Product]
    reader: Reader
    lists: ProofLists
    failures: dict[_Key, PreconditionError] = field(default_factory=dict)
    seconds: dict[_Key, float] = field(default_factory=dict)
    checked: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    """By path or URL: products share templates, and each is opened once."""

    async def prove(self, chain: Sequence[PlannedStage]) -> None:
        """Prove what is to be made of one product, in a run's order, up to the first failure."""
        product = self.products[chain[0].product_id]
        inputs = ProductInputs(product, self.reader, self.lists)
        for place, one in enumerate(chain, 1):
            stage, key = BY_KEY[one.stage], (one.product_id, one.stage)
            try:
                await inputs.prove(stage, one.mode, [BY_KEY[it.stage] for it in chain[place:]])
                for ref, kind in stage.sources(product).items():
                    if ref not in self.checked:
                        opened = self._open(self.reader.content(ref, kind))
                        self.checked[ref] = asyncio.ensure_future(opened)
                    await self.checked[ref]
                recorded = await inputs.recorded(stage)
            except PreconditionError as error:
                self.failures[key] = error
                return
            if recorded is not None:
                self.seconds[key] = recorded

    @staticmethod
    async def _open(reading: Awaitable[object]) -> None:
        await reading  # and let go of the bytes


async def prove(
    planned: Sequence[PlannedStage],
    products: Mapping[str, Product],
    files: InputFiles,
    lists: ProofLists,
    *,
    longest_seconds: float,
) -> Proved:
    """Prove what a plan makes; asks servers for files, and Topview for its lists."""
    prover = _Prover(products, Reader(files), lists)
    chains: dict[str, list[PlannedStage]] = {}
    for one in planned:
        if one.is_made and one.moves:
            chains.setdefault(one.product_id, []).append(one)
    proofs = {asyncio.ensure_future(prover.prove(chain)): name for name, chain in chains.items()}
    pending: set[asyncio.Future[None]] = set(proofs)
    ends_at = asyncio.get_running_loop().time() + longest_seconds
    while pending and asyncio.get_running_loop().time() < ends_at:
        done, pending = await asyncio.wait(pending, timeout=_LOOK_SECONDS)
        for proof in done:
            proof.result()  # a bug is no failure of the product
    for proof in (*pending, *prover.checked.values()):
        proof.cancel()
    left = tuple(name for proof, name in proofs.items() if proof in pending)
    return Proved(prover.failures, prover.seconds, left)


def as_proved(
    planned: Sequence[PlannedStage], proved: Proved, estimate: Callable[..., Estimate]
) -> list[PlannedStage]:
    """The plan without what cannot be made, and with prices by the measured lengths.

    What a product without success would have paid another pays that shares it.
    """
    found: list[PlannedStage] = []
    failed: dict[str, str] = {}  # the noun of its stage, by product
    unpaid: dict[_Key, tuple[PlannedStage, str | None]] = {}  # tasks, and who pays for them now
    for one in planned:
        error = proved.failures.get((one.product_id, one.stage))
        if one.product_id in failed or error is not None:
            if one.submits:
                unpaid[one.product_id, one.stage] = one, None
            what, fix = f"the {failed.get(one.product_id)} cannot be made", ""
            if error is not None:
                failed[one.product_id], what, fix = BY_KEY[one.stage].noun, error.what, error.fix
            found.append(_not_made(one, "failed", what, fix))
            continue
        task, payer = unpaid.get((one.made_with or "", one.stage), (one, one.made_with))
        if task is not one and payer is None:
            unpaid[str(one.made_with), one.stage] = task, one.product_id
            one = replace(one, submits=True, credits=task.credits, most=task.most)
        one = replace(one, made_with=payer)
        seconds = proved.seconds.get((one.product_id, one.stage))
        if seconds is not None and one.submits:
            price = estimate(BY_KEY[one.stage], one.mode, seconds)
            one = replace(one, credits=price.likely, most=price.credits)
        found.append(one)
    return found


@dataclass(frozen=True)
class Limits:
    """The limits that a run meets.

    Attributes:
        a_day: credits of the account; `spent` of them are spent today or on their way.
        of_run: credits of the run.
        now: seconds since the epoch, by the ledger's clock.
        slots: of the account.
    """

    a_day: float | None
    of_run: float | None
    spent: float
    now: float
    slots: int


def within_limits(
    planned: Sequence[PlannedStage], limits: Limits, estimate: Callable[..., Estimate]
) -> list[PlannedStage]:
    """The plan, with what does not fit under the limits as held.

    A run begins as many products as there are slots, and finishes those before it begins others.
    """
    if limits.a_day is None and limits.of_run is None:
        return list(planned)
    names = dict.fromkeys(one.product_id for one in planned)
    batch = {name: place // limits.slots for place, name in enumerate(names)}
    depth = {key: place for place, key in enumerate(BY_KEY)}
    turns = sorted(
        range(len(planned)),
        key=lambda at: (batch[planned[at].product_id], depth[planned[at].stage]),
    )
    unpriced = {it.product_id: it for it in planned if it.submits and it.reserved is None}
    booked = 0.0
    held: dict[str, str] = {}  # the noun of its stage, by product
    refused: dict[_Key, PlannedStage] = {}
    found = list(planned)
    for at in turns:
        one = planned[at]
        if not one.moves:
            continue
        payer = refused.get((one.made_with or "", one.stage))
        if one.product_id in held:
            found[at] = _not_made(one, "held", f"waits for the {held[one.product_id]}", "")
        elif payer is not None:
            found[at] = _not_made(one, "held", payer.reason, payer.fix)
        elif one.submits and one.reserved != 0.0:
            # A stage is not paid for when nothing says what a later one costs.
            task = unpriced.get(one.product_id, one)
            over = limit_reached(
                Priced(
                    task.stage,
                    task.mode,
                    _RUN_TO_COME,
                    limits.of_run,
                    task.reserved,
                    estimate(BY_KEY[task.stage], task.mode, None).source,
                ),
                limits.a_day,
                limits.now,
                today=lambda: limits.spent + booked,  # noqa: B023
                by_run=lambda: booked,  # noqa: B023
            )
            if over is None:
                booked += one.reserved or 0.0
            else:
                found[at] = _not_made(one, "held", over.detail, _fix(over))
        if not found[at].moves:
            held.setdefault(one.product_id, BY_KEY[one.stage].noun)
            refused[one.product_id, one.stage] = found[at]
    return found


def _fix(over: OverLimit) -> str:
    return over.fix or FIXES[HoldReason.DAY_LIMIT if over.of == "day" else HoldReason.RUN_LIMIT]


def _not_made(one: PlannedStage, outcome: Outcome, reason: str, fix: str) -> PlannedStage:
    return replace(
        one,
        reason=reason,
        fix=fix,
        outcome=outcome,
        submits=False,
        credits=0.0,
        most=None,
        again=False,
        made_with=None,
    )
