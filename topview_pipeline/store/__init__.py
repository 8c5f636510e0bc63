"""The store: what Topview made, kept whole and found again by fingerprint.

`store` has the rules, records and folder names, `backends` the places, `identity` the check that
ledger and store belong together.
"""

from topview_pipeline.store.backends import StoreError, whole
from topview_pipeline.store.identity import LostLedger, OtherStore, check_identity
from topview_pipeline.store.store import (
    Artifact,
    ResultRecord,
    Store,
    Times,
    hashed_slug,
    product_slug,
)
