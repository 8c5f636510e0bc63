"""The store: what Topview made, kept whole and found again by fingerprint.

`store` has the rules, `records` the data, `backends` the places, `slugs` the folder names of
products, `identity` the id by which a ledger knows its store. Not here: the download (`topview`)
and which files a stage has (`stages`).
"""

from topview_pipeline.store.backends import StoreError
from topview_pipeline.store.identity import LostLedger, OtherStore, check_pair
from topview_pipeline.store.records import Artifact, ResultRecord, Times
from topview_pipeline.store.slugs import hashed_slug, product_slug
from topview_pipeline.store.store import Store

__all__ = [
    "Artifact",
    "LostLedger",
    "OtherStore",
    "ResultRecord",
    "Store",
    "StoreError",
    "Times",
    "check_pair",
    "hashed_slug",
    "product_slug",
]
