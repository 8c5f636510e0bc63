"""One kept file as data: how it stands in the ledger and in result.json."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Artifact:
    """One kept file: its path inside the store (posix, relative), sha256 in hex, size in bytes."""

    name: str
    path: str
    sha256: str
    bytes: int
    media_type: str

    def to_json(self) -> dict[str, Any]:
        """As it stands in the ledger and in result.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Artifact":
        """The inverse of `to_json`; unknown fields are ignored, a missing one is a ValueError."""
        try:
            return cls(
                name=str(data["name"]),
                path=str(data["path"]),
                sha256=str(data["sha256"]),
                bytes=int(data["bytes"]),
                media_type=str(data["media_type"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an artifact: {data!r}") from error
