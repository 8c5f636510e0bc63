"""What a catalogue is called where nobody gave it a name: by its location, without secrets."""

import hashlib
import re
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from topview_pipeline.catalogue.files import CatalogueFile
from topview_pipeline.catalogue.opening import Source
from topview_pipeline.sources import is_url, shown

_SIGNATURES: Final = frozenset({"signature", "sig", "x-amz-signature", "x-goog-signature"})
_OF_A_SIGNATURE: Final = re.compile(
    r"x-(amz|goog)-.*|signature|expires|awsaccesskeyid|googleaccessid|key-pair-id|policy"
    r"|sig|s[eprtv]|spr|sk[estv]|skoid|sktid"
)
"""What signed addresses of Amazon, Google and Azure carry beside what they name."""
_DIGITS: Final = 12


def name_of(source: Source) -> str:
    """The name of a source that has no other: always the same for the same place."""
    return name_of_location(source.location) if isinstance(source, CatalogueFile) else source.where


def name_of_location(location: str) -> str:
    """The name of a file's catalogue.

    Two sheets of one export address differ by the query alone, which may also hold a secret: it is
    in the name as a hash. A signature is not: it is another one each day.
    """
    place = shown(location)
    if not is_url(location):
        return place
    try:
        parts = urlsplit(location)
    except ValueError:
        return place
    asked = _without_signature(parts.query) + (f"#{parts.fragment}" if parts.fragment else "")
    if not asked:
        return place
    return f"{place}?{hashlib.sha256(asked.encode()).hexdigest()[:_DIGITS]}"


def _without_signature(query: str) -> str:
    pairs = parse_qsl(query, keep_blank_values=True)
    if not any(name.lower() in _SIGNATURES for name, _ in pairs):
        return query
    return urlencode([pair for pair in pairs if not _OF_A_SIGNATURE.fullmatch(pair[0].lower())])
