"""Foreign text on its way to people: nothing in it commands a terminal or begins another line.

An API's messages, a catalogue's ids and another program's errors may hold escape sequences, which
a terminal obeys, and line ends, behind which a log would show a line that nobody wrote.
"""

import re
from typing import Final

_COMMANDS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters but tab and line feed, the one-byte forms of escape sequences among them."""


def printable(text: str) -> str:
    """The text with a question mark for each control character; it keeps its lines and tabs."""
    return _COMMANDS.sub("?", text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """The text in one line, with a question mark for each control character.

    A stretch of blanks and line ends, Unicode's among them, becomes one blank.
    """
    return " ".join(printable(part) for part in text.split())
