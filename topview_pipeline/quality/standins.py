"""Files that stand for media in rehearsals under load, and say so of themselves.

The sandbox's `--media tiny` makes them; nothing is to be seen in them, so nothing can be measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

STAND_IN: Final = "stand-in"
"""The comment that such a file carries: a PNG's text `Comment`, an MP4's metadata `comment`."""
WHY: Final = "the file says that it is only a stand-in, made to rehearse with"


def is_stand_in(said: Mapping[Any, Any]) -> bool:
    """Whether a file's own texts call it a stand-in, whatever the case of their names."""
    return any(str(name).lower() == "comment" and text == STAND_IN for name, text in said.items())
