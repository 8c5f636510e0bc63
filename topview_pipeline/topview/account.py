"""Where the API is and who calls it, checked before the first call. Reads no environment."""

import hmac
import re
from dataclasses import dataclass, field

import httpx

from topview_pipeline.topview.origins import read_base_url


@dataclass(frozen=True)
class Account:
    """The base URL and the credentials; the key is never shown."""

    base_url: httpx.URL
    uid: str
    api_key: str = field(repr=False)

    @classmethod
    def read(cls, *, base_url: str, uid: str, api_key: str) -> "Account":
        """Check the three settings.

        Raises:
            ValueError: One cannot work; it is named as the environment names it.
        """
        return cls(
            base_url=read_base_url(base_url),
            uid=_header_value("TOPVIEW_UID", uid),
            api_key=_header_value("TOPVIEW_API_KEY", api_key),
        )

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every API call."""
        return {"Topview-Uid": self.uid, "Authorization": f"Bearer {self.api_key}"}

    def is_own_key(self, shown: str) -> bool:
        """Whether a key as Topview shows it can be ours; a masked one says less than a whole one.

        `ab****yz` is any key that begins and ends so.
        """
        begin, *masked = re.split(r"\*+|\.{3,}|\u2026+", shown.strip())
        if not masked:
            return hmac.compare_digest(begin.encode(), self.api_key.encode())
        return self.api_key.startswith(begin) and self.api_key.endswith(masked[-1])


def _header_value(setting: str, value: str) -> str:
    """Return `value` as it may stand in a header; a key file's last newline is not part of it."""
    value = value.strip()
    if not value:
        raise ValueError(f"{setting} is empty")
    if not (value.isascii() and value.isprintable()):
        raise ValueError(f"{setting} has characters that no HTTP header takes")
    return value
