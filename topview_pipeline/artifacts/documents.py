"""Small JSON files of a store: written whole or not at all, and read with an error that helps.

Not here: what stands in them.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from topview_pipeline.artifacts.storage import Storage, StoreError, incoming_file, told

_RESTORE: Final = "Restore it from a backup."


class DamagedFile(StoreError):
    """A file is there and is not what it has to be: no other file is concerned."""


def write_json(storage: Storage, path: str, data: Mapping[str, Any], *, new: bool = False) -> None:
    """Write it atomically; with `new` a file that is there already stays.

    Raises:
        ValueError: no JSON reader would take it.
    """
    text = json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    with incoming_file(storage) as incoming:
        with told("cannot be written", str(incoming)):
            incoming.write_text(text + "\n", encoding="utf-8")
        put = storage.put_new if new else storage.put
        put(incoming, path)


def read_json(storage: Storage, path: str) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        DamagedFile: it is gone, or no JSON object.
        StoreError: the storage does not answer.
    """
    data = storage.read(path)
    if data is None:
        raise DamagedFile("it is gone", storage.uri(path), _RESTORE)
    try:
        found = json.loads(data)
    except ValueError as error:
        raise DamagedFile("this is not JSON", storage.uri(path), _RESTORE) from error
    if not isinstance(found, dict):
        raise DamagedFile("this is no JSON object", storage.uri(path), _RESTORE)
    return found
