"""The store's marker: a small file in its root, by which a ledger knows the store again.

A directory that is not mounted, or another bucket, has none or another one. It moves and is copied
with the store. What follows from that is decided in `pairing`.
"""

import json
import secrets
from typing import Final

from topview_pipeline.artifacts.documents import write_json
from topview_pipeline.artifacts.storage import Storage, StoreError

MARKER_NAME: Final = ".topview-store.json"
_MEANING: Final = (
    "Marks this folder as one artifact store of topview_pipeline. The ledgers that keep results "
    "here know it by this id: leave it, and take it along when the store is moved."
)


class Marker:
    """The marker of one store. Its methods raise StoreError when the storage does not answer."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def read(self) -> str | None:
        """The store's id by one request; None when there is no marker that can be read."""
        return _id_in(self._storage.read(MARKER_NAME))

    def create(self) -> str:
        """The store's id; a store without a marker gets one, one that cannot be read is replaced.

        Raises:
            StoreError: also when the marker is not there after it was written.
        """
        before = self._storage.read(MARKER_NAME)
        found = _id_in(before)
        if found is not None:
            return found
        data = {"store_id": secrets.token_hex(16), "meaning": _MEANING}
        write_json(self._storage, MARKER_NAME, data, new=before is None)
        # Another process may have been quicker: what is there now counts for both.
        found = self.read()
        if found is None:
            where = self._storage.uri(MARKER_NAME)
            raise StoreError("it is not there after it was written", where, "Run again.")
        return found


def _id_in(data: bytes | None) -> str | None:
    try:
        found = json.loads(data or b"")["store_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) and 0 < len(found) <= 32 else None
