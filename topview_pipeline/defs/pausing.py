"""What the assets' pages show while the account's submits are paused. Once for each pause."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

import dagster as dg

from topview_pipeline.ledger import Ledger
from topview_pipeline.stages import STAGES


def pause_observations(ledger: Ledger, *, run_id: str) -> Iterator[dg.AssetObservation]:
    """An observation of each asset that a pause stops, if nobody told of this pause before."""
    pause = ledger.accounts.pause_to_tell(who=f"run {run_id}")
    if pause is None:
        return
    for stage in STAGES:
        yield dg.AssetObservation(
            asset_key=stage.key,
            description=f"Nothing is submitted: {pause.message}",
            metadata={
                "topview/paused_since": _moment(pause.since),
                "topview/paused_code": pause.code,
                "topview/next_probe": _moment(pause.probe_at),
                "topview/what_to_do": "mend the account; after a good probe it goes on by itself",
            },
        )


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
