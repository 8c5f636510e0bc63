"""What each product has come to: its pictures, its video, its costs and its troubles.

Read once for the whole catalogue, in a few queries. Manifest and gallery are made from it. It knows
nothing of Dagster, and looks into no file. shown.py is what there is to show, reading.py reads it
from the ledger, origins.py finds what a video was made from, doubtful.py whose row cannot be used.
"""

from topview_pipeline.portfolio.reading import read_portfolio
from topview_pipeline.portfolio.shown import (
    OUTCOMES,
    Outcome,
    ProductShown,
    Refusal,
    SceneShown,
    StageShown,
    file_of,
    refusal_of,
)

__all__ = [
    "OUTCOMES",
    "Outcome",
    "ProductShown",
    "Refusal",
    "SceneShown",
    "StageShown",
    "file_of",
    "read_portfolio",
    "refusal_of",
]
