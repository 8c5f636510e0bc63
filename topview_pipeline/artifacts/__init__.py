"""The artifact store: what Topview made, kept whole, by path or fsspec URL.

store.py has the rules, slugs.py the folder names of products, marker.py what a ledger knows the
store by, documents.py its JSON files, storage.py what a place for files does, local.py and
remote.py the two places.
"""

from topview_pipeline.artifacts.artifact import Artifact
from topview_pipeline.artifacts.documents import DamagedFile
from topview_pipeline.artifacts.marker import MARKER_NAME
from topview_pipeline.artifacts.storage import StoreError
from topview_pipeline.artifacts.store import (
    RESULT_NAME,
    USE_NAME,
    ArtifactStore,
    sha256_of,
)

__all__ = [
    "MARKER_NAME",
    "RESULT_NAME",
    "USE_NAME",
    "Artifact",
    "ArtifactStore",
    "DamagedFile",
    "StoreError",
    "sha256_of",
]
