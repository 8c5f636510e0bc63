"""Names of inputs, of work and of its results, as hashes. Pure.

Files count by the sha256 of their bytes, so a renamed file changes nothing. A changed hash pays
again for everything already made: `tests/stages/test_golden.py` holds them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from topview_pipeline.stages.stage import Stage

# json.dumps would make such an encoder at every call, and a plan calls it nine times a product.
_encode: Final = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode


def digest(value: Any) -> str:
    """sha256 of a JSON value, the same for any order of its keys."""
    return hashlib.sha256(_encode(value).encode()).hexdigest()


@dataclass(frozen=True)
class Inputs:
    """A product's own inputs of one stage, as a JSON object."""

    values: Mapping[str, Any]

    @cached_property
    def version(self) -> str:
        """Data version of the stage's source asset: equal inputs have equal versions."""
        return digest(self.values)[:32]


def work_of(account: str, stage: Stage, inputs: Inputs, upstream_fingerprint: str | None) -> str:
    """Name of a piece of work without its generation.

    The upstream's fingerprint goes in, never provider ids or output bytes: the same inputs made
    again are the same work.
    """
    return digest(
        {
            "account": account,
            "stage": stage.key,
            "version": stage.version,
            "shape": inputs.values,
            "upstream": upstream_fingerprint,
        }
    )


def fingerprint_of(work: str, generation: int) -> str:
    """Idempotency key of one paid task; a forced repeat has the next generation."""
    # As `digest` of both: a plan asks for tens of thousands, and the hash needs no quotes escaped.
    text = f'{{"generation":{generation},"work":"{work}"}}'
    return hashlib.sha256(text.encode()).hexdigest()


def data_version(fingerprint: str) -> str:
    """Dagster data version of the result with this fingerprint."""
    return fingerprint[:32]
