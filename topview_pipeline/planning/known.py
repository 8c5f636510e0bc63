"""What a plan goes by beside the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from topview_pipeline.ledger import TaskGlance
from topview_pipeline.stages import Stage


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
