"""The artifact store: what Topview made, kept whole, by path or fsspec URL.

store.py has the rules, slugs.py the folder names of products, storage.py what a place for files
does, local.py and remote.py the two places.
"""

from topview_pipeline.artifacts.storage import StoreError
from topview_pipeline.artifacts.store import RESULT_NAME, Artifact, ArtifactStore, sha256_of

__all__ = ["RESULT_NAME", "Artifact", "ArtifactStore", "StoreError", "sha256_of"]
